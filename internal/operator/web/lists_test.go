package web

import (
	"strings"
	"testing"
)

const twoLists = "\n[[list]]\nname = \"our clinics\"\nvalues = [\"clinic.test\", \"lab.test\"]\n\n[[rule]]\nname = \"by list\"\naction = \"force-tls\"\n" +
	"match.recipient = [\"list:our clinics\"]\n"

// TestAListIsSeenAndReplaced: what saving would change is shown first, a broken value changes nothing and is kept.
func TestAListIsSeenAndReplaced(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule + twoLists)
	p := b.get("/rules/lists")
	p.has(b, 200, "our clinics", "2", "by list")
	b.wellMade(p)
	p = b.get("/rules/lists/our%20clinics")
	p.has(b, 200, "clinic.test", "lab.test")
	b.wellMade(p)
	if p := b.get("/rules/lists/our%20clinics/export"); p.text != "clinic.test\nlab.test\n" && !strings.Contains(p.text, "clinic.test") {
		t.Errorf("%q", p.text)
	}
	b.post("/rules/lists/our%20clinics", "revision", "1", "do", "look", "text", "clinic.test\nno way\n").has(b, 422, "line 2", "no way")
	b.post("/rules/lists/our%20clinics", "revision", "1", "do", "look", "text", "clinic.test\nnew.test\n").has(b, 200, "What saving would change", "- lab.test", "new.test")
	b.post("/rules/lists/our%20clinics", "revision", "1", "do", "save", "text", "clinic.test\nnew.test\n")
	b.get("/rules/lists/our%20clinics").has(b, 200, "new.test")
	b.get("/rules/lists/none").has(b, 404)
}
