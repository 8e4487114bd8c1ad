package web

import (
	"strings"
	"testing"

	"postern/internal/operator/access"
	"postern/internal/operator/waiting"
	"postern/internal/queue"
)

// The first page counts what waits and what is held, for who sees everything and for who sees a domain, and calls no
// site troubled where nothing waits.
func TestTheOverviewCountsWhatIsHeldAndForgetsEmptySites(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	act := func(kind queue.ActionKind) {
		t.Helper()
		if _, err := b.s.For(access.Root("test")).Act(t.Context(), waiting.ActRequest{Kind: kind, Domains: []string{"clinic.test"}}); err != nil {
			t.Fatal(err)
		}
	}
	b.get("/").has(b, 200, "mx:clinic.test")
	act(queue.Hold)
	b.get("/").has(b, 200, "mx:clinic.test", "3 held</a> until", "(2 held)")
	b.get("/queue").has(b, 200, "mx:clinic.test", "3 held</a> until", "(2 held)")
	act(queue.Cancel)
	for _, path := range []string{"/", "/queue"} {
		if p := b.get(path).has(b, 200, "1 held</a> until"); strings.Contains(p.text, "mx:clinic.test") {
			t.Errorf("%s shows a site where nothing waits", path)
		}
	}
	b.get("/").has(b, 200, "None: no mail waits at a destination that fails.")
}

// Who sees one domain is told how much of its mail is held.
func TestALimitedOverviewCountsWhatIsHeld(t *testing.T) {
	b := newConsole(t)
	b.become("nina", access.Operator, "clinic.test")
	b.get("/").has(b, 200, "2 deliveries wait")
	if _, err := b.s.For(access.Root("test")).Act(t.Context(), waiting.ActRequest{Kind: queue.Hold, Domains: []string{"clinic.test"}}); err != nil {
		t.Fatal(err)
	}
	b.get("/").has(b, 200, "2 deliveries wait", "2 held</a> until")
}
