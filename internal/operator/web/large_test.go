package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/history/traffic"
	"postern/internal/operator/access"
)

// With thousands of rules and domains no page is large, and lists come in pages that lead on.
func TestManyRulesMakeNoLargePage(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	const n = 400
	var text strings.Builder
	var sums []traffic.Sum
	for i := range n {
		fmt.Fprintf(&text, "[[rule]]\nname = \"r%d\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"d%d.test\", \"*.d%d.test\"]\n", i, i, i)
		sums = append(sums, traffic.Sum{At: time.Now().UTC().Truncate(24 * time.Hour), Kind: traffic.OfDomain, Name: fmt.Sprintf("e%d.test", i), Level: "authenticated", Outcome: traffic.Delivered, Count: 100})
	}
	b.saveFile(text.String())
	if err := traffic.NewBook(b.store).AddTraffic(t.Context(), sums); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/rules", "/destinations", "/queue", "/trace"} {
		p := b.get(path)
		p.has(b, 200)
		if len(p.text) > 300_000 {
			t.Errorf("%s has %d bytes", path, len(p.text))
		}
		b.wellMade(p)
	}
	b.get("/rules").has(b, 200, "100 of 400 rules", "r99", "More rules")
	b.get("/rules?after=300").has(b, 200, "r300", "r399")
	b.get("/rules?after=x").has(b, 400)
	b.get("/destinations").has(b, 200, "e1.test")
	b.become("nina", access.Auditor, "clinic.test")
	b.get("/rules").has(b, 200, "No rule is about your domains alone")
}
