package logging

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gated is a reader of the log that takes what the test lets it take. It notes what it took. The first of fail are
// errors of writes to come, of which cut bytes were taken.
type gated struct {
	mu     sync.Mutex
	open   *sync.Cond
	shut   bool
	fail   int
	cut    int
	writes int
	got    bytes.Buffer
}

func newGated(shut bool) *gated {
	g := &gated{shut: shut}
	g.open = sync.NewCond(&g.mu)
	return g
}

func (g *gated) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	g.open.Broadcast()
}

func (g *gated) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.shut {
		g.open.Wait()
	}
	g.writes++
	if g.fail > 0 {
		g.fail--
		n, _ := g.got.Write(p[:min(g.cut, len(p))])
		return n, errors.New("nobody is there")
	}
	return g.got.Write(p)
}

func (g *gated) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.String()
}

// gapLine is a line about a gap, with seconds of the bubble.
func gapLine(g gap) []byte {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return fmt.Appendf(nil, "lost %d from %v to %v\n", g.lines, g.from.Sub(begin), g.until.Sub(begin))
}

func TestLinesThatComeDuringAWriteGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newGated(true)
		w := newLineWriter(to, 1<<20, gapLine)
		var want strings.Builder
		for i := range 500 {
			line := fmt.Sprintf("line %d\n", i)
			want.WriteString(line)
			if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
			if i == 0 {
				synctest.Wait() // it is under way
			}
		}
		to.set(false)
		w.Close()
		if got := to.text(); got != want.String() || to.writes != 2 || w.Lost() != 0 {
			t.Errorf("%d bytes in %d writes, want %d in 2; %d lines lost", len(got), to.writes, want.Len(), w.Lost())
		}
	})
}

func TestALogThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newGated(true)
		w := newLineWriter(to, 100, gapLine)
		line := func(i int) { _, _ = fmt.Fprintf(w, "line %02d\n", i) } // 8 bytes
		line(0)
		synctest.Wait() // under way, for as long as it takes
		for i := range 50 {
			time.Sleep(time.Second)
			line(i + 1) // 12 of them wait
		}
		if w.Lost() != 38 {
			t.Errorf("%d lines lost, want 38", w.Lost())
		}
		to.set(false) // somebody reads again
		synctest.Wait()
		line(51)
		w.Close()
		var want strings.Builder
		for i := range 13 {
			fmt.Fprintf(&want, "line %02d\n", i)
		}
		want.WriteString("lost 38 from 13s to 50s\nline 51\n")
		if got := to.text(); got != want.String() {
			t.Errorf("the log is\n%s, want\n%s", got, want.String())
		}
		if w.Lost() != 38 {
			t.Errorf("%d lines lost in the end", w.Lost())
		}
	})
}

func TestLinesThatCannotBeWrittenAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newGated(false)
		w := newLineWriter(to, 1000, gapLine)
		put := func(text string) {
			_, _ = w.Write([]byte(text))
			synctest.Wait()
		}
		put("one\n")
		to.fail, to.cut = 2, 2
		put("two\nthree\n") // breaks off inside "two"
		put("four\n")       // and so does the line end before what was lost
		time.Sleep(time.Second)
		put("five\n")
		w.Close()
		if got, want := to.text(), "one\ntw\n\nlost 3 from 0s to 0s\nfive\n"; got != want {
			t.Errorf("the log is %q, want %q", got, want)
		}
		if w.Lost() != 3 {
			t.Errorf("%d lines lost, want 3", w.Lost())
		}
	})
}

// TestALongLineIsTaken: a line over the bound is not lost where nothing else waits.
func TestALongLineIsTaken(t *testing.T) {
	to := newGated(false)
	w := newLineWriter(to, 10, gapLine)
	long := strings.Repeat("x", 1000) + "\n"
	_, _ = w.Write([]byte(long))
	w.Close()
	if to.text() != long {
		t.Errorf("%d bytes", len(to.text()))
	}
	_, _ = w.Write([]byte("late\n"))
	if w.Lost() != 1 {
		t.Error("a line after Close is lost, and not counted")
	}
}

func TestTheEndWaitsOnlySoLongForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newGated(true)
		w := newLineWriter(to, 1000, gapLine)
		_, _ = w.Write([]byte("line\n"))
		began := time.Now()
		w.Close()
		if took := time.Since(began); took != flushTime {
			t.Errorf("Close took %v, want %v", took, flushTime)
		}
		to.set(false)
	})
}
