package console

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// newGateway starts a gateway with a console; rules may be "".
func newGateway(t *testing.T) (w *harness.World, base string) {
	t.Helper()
	w = harness.NewWorld(t)
	at := harness.FreeAddress(t)
	w.Settings["admin.listen"] = fmt.Sprintf("%q", at)
	w.Settings["delivery.retry"] = `["2s"]`
	w.Domain("clinic.test", w.Expired("mx.clinic.test"))
	w.Domain("good.test", w.Good("mx.good.test"))
	w.Domain("shop.test", partner.Behaviour{})
	return w, "http://" + at
}

// The day of an administrator: he sets the gateway up, writes the clinic's rule, sees mail wait for it and go, and asks
// why.
func TestTheClinicRuleFromEndToEnd(t *testing.T) {
	t.Parallel()
	w, base := newGateway(t)
	w.Start("")
	anna := sitDown(t, base)
	anna.setsUp(w)

	// The rule, with the box ticked: an unnamed recipient goes on as before.
	anna.opens("/rules/edit")
	anna.types("name", "clinic")
	anna.types("match.recipient", "clinic.test")
	anna.ticks("force_tls.unspecified_recipients")
	anna.presses("Look at what changes")
	anna.sees("What saving would change", "clinic added", "What it would have meant for past mail")
	anna.presses("Save")
	anna.sees("revision 1 is in force")

	w.Send("anna@home.test", "patient data", "dr@clinic.test", "bob@shop.test")
	w.Await("bob@shop.test", harness.In("delivered"))
	id := w.Await("dr@clinic.test", harness.Waits("cert-expired")).Message

	// It waits, the page says why and who must act, and offers to try now.
	anna.opens("/trace")
	anna.types("any", "clinic.test")
	anna.do(chromedp.Submit(field("any")))
	anna.sees("dr@clinic.test", "cert-expired")
	anna.opens("/trace/" + id)
	anna.sees("What happened", "bob@shop.test", "expired", "To act: them.")
	anna.opens("/queue")
	anna.sees("mx:clinic.test", "cert-expired")
	anna.do(chromedp.Click(`//tr[contains(., "mx:clinic.test")]//button[normalize-space()="Try now"]`))
	anna.sees("retry: ", " at 1 site", "cert-expired") // it may be tried at that very moment

	// A check says the same, step by step.
	anna.opens("/destinations/clinic.test")
	anna.sees("mx.clinic.test", "Certificate", "With TLS")
	anna.presses("Check now")
	anna.sees("STARTTLS is offered", "mx.clinic.test", "deferred", "A letter to their postmaster", "cert-expired")

	// The administrator has it tried now; the partner mends it; the page follows by itself.
	anna.opens("/trace/" + id)
	anna.presses("Try now")
	w.Hosts["mx.clinic.test"].Set(w.Good("mx.clinic.test"))
	w.Await("dr@clinic.test", harness.In("delivered"))
	anna.sees("reached ● authenticated")
	for _, message := range w.Hosts["mx.clinic.test"].Messages() {
		if !message.TLS {
			t.Error("the clinic got a message without TLS")
		}
	}
	anna.presses("Evidence, to print")
	anna.sees("Evidence about message", "Certificates that were shown", "Rules that judged it: revision 1", "clinic", "The certificates themselves, in PEM")

	// The box unticked: one named recipient protects the whole message.
	anna.opens("/rules/edit?name=clinic")
	anna.ticks("force_tls.unspecified_recipients")
	anna.presses("Look at what changes")
	anna.sees("clinic changed", "would have been returned")
	anna.presses("Save")
	anna.sees("revision 2 is in force")
	w.Send("anna@home.test", "patient data again", "dr@clinic.test", "eve@shop.test")
	w.Await("dr@clinic.test", harness.In("delivered"))
	w.Await("eve@shop.test", harness.In("failed")).Want(t, map[string]string{"reason": "starttls-not-offered", "requires": "authenticated"})

	// And back.
	anna.opens("/rules/revisions/1")
	anna.presses("Put it in force again")
	anna.confirms()
	anna.sees("revision 3 is in force, with the rules of revision 1")
	anna.opens("/audit")
	anna.sees("rules apply", "anna")
	anna.opens("/")
	anna.sees("Mail in the last 7 days")
}

// An auditor is made by an invitation, sees everything and is refused every change; a wrong password is told as such.
func TestAnAuditorLooksAndIsRefused(t *testing.T) {
	t.Parallel()
	w, base := newGateway(t)
	w.Start(harness.Force("clinic", `"clinic.test"`))
	anna := sitDown(t, base)
	anna.setsUp(w)
	anna.opens("/accounts")
	anna.types("name", "ada")
	anna.do(chromedp.SetValue(field("role"), "auditor"))
	anna.presses("Make a link")
	anna.sees("/setup#")
	link := ask[string](anna, `document.body.innerText.match(/\/setup#[A-Za-z0-9_-]+/)[0]`)

	ada := sitDown(t, base)
	ada.opens(link)
	ada.do(chromedp.WaitVisible(field("password")))
	ada.types("password", password)
	ada.types("again", password)
	ada.do(chromedp.Submit(field("password")))
	ada.sees("ada", "auditor")
	ada.opens("/rules")
	ada.sees("clinic")
	ada.opens("/rules/edit?name=clinic")
	ada.sees("Not allowed")
	ada.opens("/accounts")
	ada.sees("Not allowed")
	ada.opens("/rules/file")
	if strings.Contains(ada.page(), "Save") {
		t.Error("an auditor is offered to save")
	}
	ada.do(chromedp.Click(`//button[normalize-space()="Sign out"]`))
	ada.sees("Sign in")
	ada.signsIn("ada", "wrong horse battery")
	ada.sees("Name and password do not belong together.")
	ada.signsIn("ada", password)
	ada.sees("auditor")
	ada.opens(link)
	ada.sees("This link was used")
}

// Every page, for eyes and for axe-core.
func TestEveryPageForEveryEye(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	w, base := newGateway(t)
	w.Start(harness.Force("clinic", `"clinic.test"`, `unspecified_recipients = "opportunistic"`))
	anna := sitDown(t, base)
	anna.setsUp(w)
	w.Send("anna@home.test", "x", "dr@clinic.test", "bob@shop.test", "pat@good.test")
	w.Await("bob@shop.test", harness.In("delivered"))
	w.Await("pat@good.test", harness.In("delivered"))
	id := w.Await("dr@clinic.test", harness.Waits("cert-expired")).Message
	pages := map[string]string{"overview": "/", "trace": "/trace", "trace-none": "/trace?any=nobody.test", "message": "/trace/" + id, "evidence": "/trace/" + id + "/evidence",
		"queue": "/queue", "rules": "/rules", "rule": "/rules/edit?name=clinic", "rules-file": "/rules/file", "explain": "/rules/explain?from=a@home.test&to=dr@clinic.test,bob@shop.test",
		"revisions": "/rules/revisions", "revision": "/rules/revisions/1", "destinations": "/destinations", "destination": "/destinations/clinic.test", "check": "/check?target=clinic.test", "reports": "/reports",
		"gateway": "/gateway", "certificates": "/gateway/certificates", "headers": "/headers", "audit": "/audit", "accounts": "/accounts", "profile": "/profile", "prove": "/prove", "none": "/none"}
	for _, l := range looks() {
		anna.looksAs(l)
		for name, path := range pages {
			anna.opens(path)
			anna.fits(l)
			anna.picture(name + "-" + l.name)
			anna.judged(string(axe))
		}
		anna.opens("/check?target=clinic.test")
		anna.presses("Check now")
		anna.sees("force-tls")
		anna.picture("checked-" + l.name)
		anna.judged(string(axe))
	}
}
