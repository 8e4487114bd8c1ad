package console

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/test/harness"
)

// headings are those of the pane, in their order.
func (p *person) headings() []string {
	return strings.Split(ask[string](p, `[...document.querySelectorAll("h1, legend h2, legend h3")].map(h => h.textContent).join("\n")`), "\n")
}

// focused is the id of what has the focus, or the id that labels it.
func (p *person) focused() string {
	return ask[string](p, `document.activeElement.id || document.activeElement.getAttribute("aria-labelledby") || document.activeElement.tagName`)
}

// focuses waits until something has the focus, which a page sets when it is drawn.
func (p *person) focuses(id string) {
	p.t.Helper()
	for end := time.Now().Add(harness.Patience); p.focused() != id; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("the focus is at %q, not at %q", p.focused(), id)
		}
	}
}

// holds is the value of a field.
func (p *person) holds(id string) string {
	return ask[string](p, `document.getElementById("`+id+`").value`)
}

// Somebody who has the product's description in his hand finds every thing of the settings pane where it says.
func TestThePolicyRuleSettingsPane(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	w, base := newGateway(t)
	w.Start(harness.Force("clinic", `"clinic.test"`))
	w.Send("anna@home.test", "x", "bob@shop.test")
	w.Await("bob@shop.test", harness.In("delivered"))
	anna := sitDown(t, base)
	anna.setsUp(w)
	anna.opens("/rules/edit?name=clinic")
	got := slices.DeleteFunc(anna.headings(), func(h string) bool { return h == "Except when" })
	if want := []string{"Policy Rule Settings", "Scope", "Match", "Sender", "Recipient", "Message", "Action", "Expires"}; !slices.Equal(got, want) {
		t.Errorf("the headings are %q", got)
	}
	box := `[...document.querySelectorAll("label")].find(l => l.textContent === "Enable Opportunistic TLS for unspecified recipients")`
	if area := ask[string](anna, box+`.closest("fieldset").querySelector("legend").textContent`); area != "Recipient" {
		t.Errorf("the box stands in %q", area)
	}
	if !ask[bool](anna, `[...`+box+`.closest("fieldset").querySelectorAll("svg")].every(s => s.getBoundingClientRect().width > 100 && s.getAttribute("aria-label"))`) {
		t.Error("the picture at the box cannot be seen, or has no words")
	}

	// What is folded away is closed while it says nothing, and open where it is wrong; the summary takes the focus.
	anna.opens("/rules/edit")
	folded := `document.getElementById("force_tls.pins").closest("details").open`
	if ask[bool](anna, folded) {
		t.Error("settings for experts stand open")
	}
	anna.types("name", "bank")
	anna.types("description", "kept all the same")
	anna.types("match.recipient", "bank.test")
	anna.types("match.size_over", "much")
	ask[int](anna, `document.getElementById("force_tls.pins").value = "sha256:short"; 0`)
	anna.presses("Look at what changes")
	anna.sees("This is not in force yet")
	anna.focuses("problems")
	if !ask[bool](anna, folded) {
		t.Error("what is wrong is folded away")
	}
	anna.presses("Larger than")
	if at := anna.where(); !strings.HasSuffix(at, "#match.size_over") {
		t.Errorf("the summary leads to %s", at)
	}
	if anna.holds("description") != "kept all the same" || anna.holds("match.size_over") != "much" || anna.holds("force_tls.pins") != "sha256:short" {
		t.Error("what was filled in is lost over an error")
	}

	// It is tried on a message; the answer takes the focus, beside the button.
	ask[int](anna, `document.getElementById("match.size_over").value = ""; document.getElementById("force_tls.pins").value = ""; document.getElementById("try.file").closest("details").open = true; 0`)
	anna.types("try.header", "From: anna@home.test\nTo: desk@bank.test, bob@shop.test\nSubject: x")
	anna.presses("Try it")
	anna.sees("What would happen to the message", "desk@bank.test, named by bank", "Returned at once if its server has no TLS", "1 plaintext")
	anna.focuses("answer")
	for _, l := range looks() {
		anna.looksAs(l)
		anna.fits(l)
		anna.picture("pane-tried-" + l.name)
		anna.judged(string(axe))
	}
	anna.presses("Look at what changes")
	anna.sees("What saving would change", "bank added")
	anna.focuses("preview")
	if anna.holds("description") != "kept all the same" {
		t.Error("what was filled in is lost over a look")
	}

	// Away and back again.
	anna.opens("/rules/edit")
	anna.types("name", "later")
	anna.types("match.recipient", "later.test")
	anna.presses("Back")
	anna.sees("Revision 1")
	ask[int](anna, "history.back(); 0")
	anna.sees("New rule")
	if anna.holds("name") != "later" || anna.holds("match.recipient") != "later.test" {
		t.Errorf("what was filled in is lost over the back button: %q, %q", anna.holds("name"), anna.holds("match.recipient"))
	}
}

// shown reports whether something of the pane can be seen.
func (p *person) shown(id string) bool {
	return ask[bool](p, `document.getElementById("`+id+`").checkVisibility()`)
}

// What does not fit the mail that a rule is about is out of sight, unless it says something, and nothing that was filled
// in is lost; without script the page says it in words, and the server refuses it at its field.
func TestThePaneShowsWhatFitsTheScope(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	w, base := newGateway(t)
	w.Start("")
	anna := sitDown(t, base)
	anna.setsUp(w)
	anna.opens("/rules/edit")
	choose := func(scope string) {
		ask[int](anna, `(s => { s.value = "`+scope+`"; s.dispatchEvent(new Event("change", { bubbles: true })); return 0; })(document.getElementById("scope"))`)
	}
	look := func(where string, want map[string]bool) {
		t.Helper()
		for id, shown := range want {
			if anna.shown(id) != shown {
				t.Errorf("%s: %s is shown: %v", where, id, !shown)
			}
		}
	}
	outbound := map[string]bool{"action.force-tls": true, "action.hold": true, "action.require-tls": false, "match.listener": false, "match.subject": true, "match.sender": true, "domain": true}
	inbound := map[string]bool{"action.force-tls": false, "action.hold": false, "action.require-tls": true, "match.listener": true, "match.subject": false, "match.sender": true, "domain": false,
		"force_tls.unspecified_recipients": false, "require_tls.level": true}
	look("at first", outbound)
	anna.types("name", "bank")
	anna.types("description", "kept all the same")
	anna.types("match.sender", "bank.test")
	ask[int](anna, `document.getElementById("action.hold").click(); document.getElementById("hold.days").value = "3"; 0`)
	choose("inbound")
	look("inbound", inbound)
	if !ask[bool](anna, `document.getElementById("action.require-tls").checked`) {
		t.Error("the one action for incoming mail is not chosen")
	}
	for _, l := range looks() {
		anna.looksAs(l)
		anna.fits(l)
		anna.picture("pane-inbound-" + l.name)
		anna.judged(string(axe))
	}
	choose("outbound")
	look("outbound again", outbound)
	if !ask[bool](anna, `document.getElementById("action.hold").checked`) || anna.holds("hold.days") != "3" {
		t.Error("the action that was chosen before is not chosen again, as it was")
	}
	choose("disabled")
	look("disabled", map[string]bool{"action.force-tls": true, "action.require-tls": true, "match.listener": true, "match.subject": true})

	// What says something stays in sight, and is refused at its field.
	choose("outbound")
	anna.types("match.subject", "*contract*")
	choose("inbound")
	look("with a subject", map[string]bool{"match.subject": true, "match.body": false})
	anna.presses("Look at what changes")
	anna.sees("This is not in force yet", `“Subject” cannot be a condition of a rule about incoming mail`, "empty it, or choose “outbound: mail going out”")
	if anna.holds("match.subject") != "*contract*" || anna.holds("hold.days") != "3" || anna.holds("description") != "kept all the same" {
		t.Error("what was filled in is lost over an error")
	}
	look("after an error", map[string]bool{"match.subject": true, "match.body": false, "action.hold": false})
	ask[int](anna, `document.getElementById("match.subject").value = ""; 0`)
	anna.presses("Look at what changes")
	anna.sees("What saving would change", "bank added")

	// A rule that is not there yet is tried on mail that comes in.
	ask[int](anna, `document.getElementById("try.file").closest("details").open = true; document.getElementById("try.tls").closest("details").open = true; 0`)
	anna.types("try.from", "alice@bank.test")
	anna.types("try.to", "bob@home.test")
	anna.types("try.tls", "none")
	anna.presses("Try it")
	anna.sees("Brought by others", "refused", "451 4.7")
	if anna.holds("try.tls") != "none" || !anna.shown("try.tls") {
		t.Error("what the message comes with is not kept")
	}
	for _, l := range looks() {
		anna.looksAs(l)
		anna.fits(l)
		anna.judged(string(axe))
	}
}
