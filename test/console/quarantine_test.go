package console

import (
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"postern/test/harness"
)

// joins becomes the account of an invitation, limited to domains.
func (p *person) joins(w *harness.World, name, role, domain string) {
	p.t.Helper()
	out := w.Postern("accounts", "invite", name, "--new", "--role", role, "--domain", domain)
	at := strings.Index(out, "/setup#")
	if at < 0 {
		p.t.Fatalf("no link: %s", out)
	}
	p.opens(strings.Fields(out[at:])[0])
	p.do(chromedp.WaitVisible(field("password")))
	p.types("password", password)
	p.types("again", password)
	p.do(chromedp.Submit(field("password")))
	p.sees(name, role)
}

// decides presses a button in the row of a message, by what the row says.
func (p *person) decides(row, button string) {
	p.t.Helper()
	p.do(chromedp.Click(`//tr[contains(., "`+row+`")]//button[normalize-space()="`+button+`"]`, chromedp.NodeVisible))
}

// Mail that rules hold is looked at and decided on the page of the quarantine. Somebody who is limited to a domain
// sees the mail of it alone.
func TestTheQuarantineIsDecided(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	w, base := newGateway(t)
	w.Start(`[[rule]]
name = "look first"
action = "hold"
[rule.match]
subject = ["*contract*"]
[rule.hold]
days = 3
then = "delete"
`)
	anna := sitDown(t, base)
	anna.setsUp(w)
	anna.opens("/quarantine")
	anna.sees("Nothing is in quarantine")
	for _, tenant := range []string{"a.test", "b.test"} {
		for _, to := range []string{"bob", "carol", "dan"} {
			w.Send("alice@"+tenant, "contract "+to, to+"-"+tenant+"@good.test")
			w.Await(to+"-"+tenant+"@good.test", harness.In("held"))
		}
	}
	anna.opens("/quarantine")
	anna.sees("6 deliveries", "alice@a.test", "carol-b.test@good.test", "look first", "deleted, and nobody is told")
	for _, l := range looks() {
		anna.looksAs(l)
		anna.fits(l)
		anna.picture("quarantine-" + l.name)
		anna.judged(string(axe))
	}

	ben := sitDown(t, base)
	ben.joins(w, "ben", "administrator", "a.test")
	ben.do(chromedp.Click(`//nav//a[normalize-space()="Quarantine"]`))
	ben.sees("3 deliveries", "bob-a.test@good.test")
	if strings.Contains(ben.page(), "b.test@") {
		t.Errorf("ben sees the mail of others:\n%s", ben.page())
	}
	ben.decides("bob-a.test@good.test", "Read it (recorded)")
	ben.sees("It is in quarantine", "contract bob")
	ben.opens("/quarantine")
	ben.decides("bob-a.test@good.test", "Release")
	ben.sees("release: 1 delivery", "2 deliveries")
	w.Await("bob-a.test@good.test", harness.In("delivered"))
	ben.decides("carol-a.test@good.test", "Return")
	ben.confirms()
	ben.sees("return: 1 delivery")
	w.Await("carol-a.test@good.test", harness.In("failed"))
	ben.decides("dan-a.test@good.test", "Delete")
	ben.confirms()
	ben.sees("cancel: 1 delivery", "Nothing is in quarantine")
	w.Await("dan-a.test@good.test", harness.In("cancelled"))

	anna.opens("/quarantine?sender=b.test")
	anna.sees("3 deliveries")
	anna.presses("Release")
	anna.sees("release: 1 delivery", "2 deliveries")
	anna.opens("/audit")
	anna.sees("queue read", "queue return", "queue cancel", "ben")
}
