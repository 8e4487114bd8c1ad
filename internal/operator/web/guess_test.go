package web

import (
	"math/bits"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Guesses at once, all of one address and at many names, are not examined beyond what may fail; who signed in from that
// address comes in all the same, and who is signed in proves again.
func TestGuessesAtOnceDoNotOvertakeTheThrottle(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		codes = map[int]int{}
		begun = time.Now()
	)
	for i := range 60 {
		all.Go(func() {
			res, err := http.PostForm(b.at+"/sign-in", url.Values{"name": {"guest" + strconv.Itoa(i%7)}, "password": {"wrong wrong wrong"}})
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			codes[res.StatusCode]++
		})
	}
	all.Wait()
	// Five, and one more each time that the wait, which doubles from a second, was over on a slow machine.
	most := 5 + bits.Len(uint(time.Since(begun)/time.Second))
	if codes[401] < 5 || codes[401] > most || codes[401]+codes[429] != 60 {
		t.Errorf("of 60 guesses at once %v were answered, want 401 for 5 to %d of them", codes, most)
	}
	b.post("/prove", "password", password, "next", "/rules").has(b, 200, "Rules")
	b.anew()
	b.post("/sign-in", "name", "anna", "password", password).has(b, 200, "gw.example.com")
}
