package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
)

// No page shows words of its address as if the gateway had said them.
func TestACraftedLinkSaysNothing(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	crafted := "Your session is unsafe, call 0800-EVIL"
	for _, path := range pages() {
		p := b.get(with(path, "done", crafted))
		p.has(b, 200)
		if strings.Contains(plain(p.tree), "EVIL") || strings.Contains(p.text, `class="note good" role="status"`) {
			t.Errorf("%s shows what a link says", path)
		}
	}
}

// What an action did is said to the account that acted, as often as the page is loaded, and to nobody else.
func TestWhatWasDoneIsSaidToWhoDidIt(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	const said = "hold: 1 delivery at 1 site"
	p := b.post("/queue", "message", string(backlog.Ordinary), "action", "hold", "back", "/queue").has(b, 200, said)
	id, ok := strings.CutPrefix(p.path, "/queue?done=")
	if !ok || strings.ContainsAny(id, " %+") {
		t.Fatalf("the page is at %s", p.path)
	}
	b.get(p.path).has(b, 200, said)
	b.get("/rules?done="+url.QueryEscape(id)).has(b, 200, said)
	b.become("otto", access.Operator)
	if other := b.get(p.path).has(b, 200); strings.Contains(other.text, said) {
		t.Error("it is said to somebody else")
	}
}

func TestNotesAreBounded(t *testing.T) {
	var n notes
	first := n.put("anna", strings.Repeat("x", 10*noteMost))
	if text := n.get("anna", first); len(text) > noteMost+len(" …") {
		t.Errorf("a note of %d bytes", len(text))
	}
	last := ""
	for i := range notesKept {
		last = n.put("anna", fmt.Sprint(i))
	}
	if len(n.list) != notesKept || n.get("anna", first) != "" || n.get("anna", last) != fmt.Sprint(notesKept-1) || n.get("otto", last) != "" || n.get("anna", "") != "" {
		t.Errorf("%d notes, the oldest first: %v", len(n.list), n.list[:1])
	}
}
