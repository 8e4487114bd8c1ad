package web

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"postern/internal/event"
	"postern/internal/operator/websession"
)

func TestALivePageHearsThatSomethingHappenedAndNothingElse(t *testing.T) {
	b := newConsole(t)
	b.get("/live").has(b, 200, "Sign in") // nobody is told anything
	b.setUp()
	r, err := http.NewRequestWithContext(t.Context(), "GET", b.at+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the stream is %q", kind)
	}
	in := bufio.NewScanner(res.Body)
	next := func() string {
		t.Helper()
		for in.Scan() {
			if in.Text() != "" {
				return in.Text()
			}
		}
		return "end"
	}
	if got := next(); got != "data: 0" {
		t.Errorf("first %q", got)
	}
	b.pulse.Emit(event.Accepted{Message: "secret"})
	if got := next(); got != "data: 1" {
		t.Errorf("then %q", got)
	}
	b.post("/sign-out")
	b.pulse.Emit(event.Accepted{})
	if got := next(); got != "end" {
		t.Errorf("after the session %q", got)
	}
}

// A page that asks by itself does not keep its session alive, and can change nothing.
func TestWhatAPageAsksByItselfIsNoUse(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	ask := func(method, path string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, b.at+path, strings.NewReader("domain=clinic.test&action=cancel"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(websession.ByItself, "1")
		res, err := b.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if code := ask("GET", "/queue"); code != 200 {
		t.Errorf("looking: %d", code)
	}
	if code := ask("POST", "/queue"); code != 200 { // the reader did that: it is use
		t.Errorf("acting: %d", code)
	}
}
