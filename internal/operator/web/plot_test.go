package web

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"postern/internal/history/traffic"
	"postern/internal/operator/access"
	"postern/internal/operator/figures"
)

func TestTheOverviewShowsSharesAndEveryBarLeadsToItsMail(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	at := traffic.Bucket(traffic.OfLeg, time.Now())
	if err := traffic.NewBook(b.store).AddTraffic(t.Context(), []traffic.Sum{{At: at, Kind: traffic.OfLeg, Name: "gateway-world", Level: "authenticated", Outcome: "delivered", Count: 3},
		{At: at, Kind: traffic.OfLeg, Name: "gateway-world", Level: "plaintext", Outcome: "delivered", Count: 1}, {At: at, Kind: traffic.OfRule, Name: "clinic", Level: "authenticated", Outcome: "delivered", Count: 7},
		{At: at, Kind: traffic.OfDomain, Name: "always.test", Level: "authenticated", Outcome: "delivered", Count: 30}}); err != nil {
		t.Fatal(err)
	}
	b.saveFile(someRule)
	for _, period := range figures.Periods() {
		p := b.get("/?period="+period.Name).has(b, 200, period.Title, "out to the world", "75.0 %")
		b.wellMade(p)
		links := 0
		for n := range p.tree.Descendants() {
			if n.Type == html.ElementNode && n.Data == "a" && strings.HasPrefix(attr(n, "href"), "/trace?since=") {
				links++
				b.get(attr(n, "href")).has(b, 200)
			}
		}
		if links != 2 { // the bar, and its line in the table
			t.Errorf("%s: %d links to the mail behind a bar", period.Name, links)
		}
	}
	b.get("/rules").has(b, 200, "7 delivered")
	b.get("/destinations").has(b, 200, "always.test", "Rules that would cost nothing")
	b.get("/destinations/always.test").has(b, 200, "Mail in the last 30 days")
	b.become("olga", access.Operator, "clinic.test")
	if p := b.get("/").has(b, 200); strings.Contains(p.text, "out to the world") {
		t.Error("who is limited to domains sees the sums of everybody")
	}
}
