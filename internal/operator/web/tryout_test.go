package web

import (
	"strings"
	"testing"

	"postern/internal/operator/access"
)

const asSaved = "From: Anna <anna@example.com>\r\nTo: dr@clinic.test, x@plain.test\r\nSubject: [secure] results\r\n\r\nthe body\r\n"

// TestARuleIsTriedOnAMessage: a message that is uploaded is judged by what is filled in; why it does not match stands
// in the words of the pane; what was filled in, and the message's header, are still there.
func TestARuleIsTriedOnAMessage(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	rule := []string{"rule", "", "revision", "1", "do", "try", "name", "secret", "description", "kept all the same", "scope", "outbound", "mode", "enforce", "action", "force-tls",
		"match.recipient", "clinic.test", "match.subject", "*[internal]*", "force_tls.unspecified_recipients", ""}
	p := b.upload("/rules/edit", "try.file", []byte(asSaved), rule...)
	p.has(b, 200, "What would happen to the message", "sender is taken from its field From", "secret", "does not match", "Subject no value fits")
	b.wellMade(p)
	kept := strings.Join(formFields(p.tree), "\n")
	for _, want := range []string{"kept all the same", "*[internal]*", "Subject: [secure] results", "try.size\n" + "104"} {
		if !strings.Contains(kept, want) {
			t.Errorf("what was filled in came back without %q:\n%s", want, kept)
		}
	}
	fields := formFields(p.tree)
	for i := range fields {
		if fields[i] == "*[internal]*" {
			fields[i] = "*[secure]*"
		}
	}
	b.post("/rules/edit", append([]string{"do", "try"}, fields...)...).has(b, 200, "matches", "Protected because the message also goes to dr@clinic.test, named by clinic, secret",
		"Returned at once if its server has no TLS", "Lately: ", "it would have been returned")
	b.post("/rules/edit", append([]string{"do", "try", "match.size_over", "much"}, fields...)...).has(b, 422, "This is not in force yet", "Larger than")
	b.post("/rules/edit", "rule", "", "revision", "1", "do", "try", "name", "x", "action", "force-tls").has(b, 200, "Choose a message, paste its header, or name the recipients.")
	b.post("/rules/edit", "rule", "", "revision", "1", "do", "try", "name", "x", "action", "force-tls", "try.to", "a@b@c").has(b, 200, "The recipient")
	if view, _ := b.s.For(access.Root("root")).Rules(t.Context()); view.Revision != 1 {
		t.Error("trying saved it")
	}
	b.upload("/rules/explain", "try.file", []byte(asSaved)).has(b, 200, "dr@clinic.test", "clinic", "matches")
	b.upload("/rules/explain", "try.file", []byte("Subject: nobody\n\n")).has(b, 200, "Name at least one recipient")
	b.post("/rules/explain").has(b, 200, "Choose a message")
}

// TestARuleOnTrialSaysWhatItWouldHaveDone: its pane shows it without being asked, and looking at a change of it too,
// though mail goes as before.
func TestARuleOnTrialSaysWhatItWouldHaveDone(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile("[[rule]]\nname = \"careful\"\nmode = \"test\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"plain.test\"]\n")
	p := b.get("/rules/edit?name=careful").has(b, 200, "On trial: what it would have done lately", "Mail goes as if this rule were not there", "x@plain.test", "would have waited")
	b.wellMade(p)
	b.post("/rules/edit", append([]string{"do", "look"}, formFields(p.tree)...)...).has(b, 200, "On trial: what it would have done lately", "What saving would change")
	var enforced []string
	for _, f := range formFields(p.tree) {
		if f == "test" {
			f = "enforce"
		}
		enforced = append(enforced, f)
	}
	looked := b.post("/rules/edit", append([]string{"do", "look"}, enforced...)...).has(b, 200, "What it would have meant for past mail", "in messages to recipients that are named")
	if strings.Contains(plain(looked.tree), "On trial: what") {
		t.Error("a rule that is enforced is told as one on trial")
	}
}
