package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/test/harness"
)

// missing waits until the page does not say a text any more.
func (p *person) missing(text string) {
	p.t.Helper()
	harness.Eventually(p.t, harness.Patience, fmt.Sprintf("the page does not say %q any more", text), func() bool { return !strings.Contains(p.page(), text) })
}

// A page that follows what happens says since when it does not, and why: the gateway has stopped, or the session has
// ended. When the gateway is there again the page is up to date by itself.
func TestALivePageSaysSinceWhenItIsNotUpToDate(t *testing.T) {
	t.Parallel()
	w, base := newGateway(t)
	w.Start("")
	anna := sitDown(t, base)
	anna.setsUp(w)
	anna.opens("/")
	anna.sees("Ready.", "No mail yet")
	w.Stop()
	anna.sees("Not up to date since ", "the gateway does not answer")
	if !ask[bool](anna, `document.querySelector("[data-live]").classList.contains("stale")`) {
		t.Error("what is old does not look so")
	}
	w.Serve()
	anna.missing("Not up to date")
	w.Send("anna@home.test", "hello", "pat@good.test")
	anna.sees("pat@good.test")

	// The session ends while the page is open; the next thing that happens tells.
	ask[bool](anna, `(fetch("/sign-out", { method: "POST" }), true)`)
	harness.Eventually(t, harness.Patience, "the session ends", func() bool {
		w.Send("anna@home.test", "hello", "pat@good.test")
		time.Sleep(100 * time.Millisecond)
		return strings.Contains(anna.page(), "your session has ended")
	})
	anna.sees("Not up to date since ", "Sign in again")
	anna.presses("Sign in again")
	anna.sees("Password")
}
