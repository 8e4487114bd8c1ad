package web

import (
	"fmt"
	"strings"
	"testing"
)

// TestRulesOfADomainAreShown: those about its mail, and which of its mail they leave out.
func TestRulesOfADomainAreShown(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile("[[rule]]\nname = \"by sender\"\naction = \"force-tls\"\nmatch.sender = [\"mine.test\"]\n" +
		"[[rule]]\nname = \"of others\"\naction = \"force-tls\"\nmatch.sender = [\"others.test\"]\n")
	p := b.get("/rules?domain=MINE.test")
	p.has(b, 200, "Mail of mine.test", "by sender", "from an address below it", "no rule", "nothing (best available)", "1 of 2 rules")
	if strings.Contains(p.text, "of others") {
		t.Error("a rule about others is shown")
	}
	b.wellMade(p)
	p = b.get("/rules?domain=none.test")
	p.has(b, 200, "No rule is about mail of none.test")
	b.wellMade(p)
	p = b.get("/rules?domain=*.<b>")
	p.has(b, 200, "is no domain", "of others", `value="*.&lt;b&gt;"`)
	b.wellMade(p)
	var many strings.Builder
	for n := range 120 {
		fmt.Fprintf(&many, "[[rule]]\nname = \"rule %d\"\naction = \"force-tls\"\nmatch.sender = [\"mine.test\"]\nmatch.recipient = [\"p%d.test\"]\n", n, n)
	}
	b.post("/rules/file", "revision", "1", "do", "save", "text", many.String())
	b.get("/rules?domain=mine.test").has(b, 200, "100 of 120 rules", "More rules")
	b.get("/rules?after=100&domain=mine.test").has(b, 200, "Mail of mine.test", "rule 119")
}
