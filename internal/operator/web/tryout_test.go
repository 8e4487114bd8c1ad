package web

import (
	"html"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/queue/memstore"
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

// TestAnArrivalIsExplained: what mail from others comes with is filled in, by hand or by a link, and the page says what
// rules about incoming mail make of it, in the words that the client would hear.
func TestAnArrivalIsExplained(t *testing.T) {
	b := newConsole(t, func(c *admin.Config) {
		c.Rules = backlog.Keeper(t, c.Store.(*memstore.Store), route.Own{Domain: mail.MustDomain("home.test"), To: []route.HostPort{{Host: mail.MustDomain("mail.home.test"), Port: 25}}})
	})
	b.setUp()
	b.saveFile(`[[rule]]
name = "partner"
scope = "inbound"
action = "require-tls"
[rule.match]
sender = ["partner.test"]
listener = ["mx"]
sender_ip = ["192.0.2.0/24"]
[rule.require_tls]
level = "encrypted"
min_tls = "1.3"
min_bits = 256

[[rule]]
name = "look"
action = "hold"
[rule.match]
recipient = ["clinic.test"]
`)
	ask := func(fields ...string) page {
		return b.post("/rules/explain", append([]string{"try.from", "a@partner.test", "try.to", "anna@home.test"}, fields...)...)
	}
	come := []string{"try.listener", "mx", "try.client", "192.0.2.7", "try.tls", "1.3", "try.bits", "256"}
	with := func(name, value string) []string {
		out := slices.Clone(come)
		out[slices.Index(out, name)+1] = value
		return out
	}
	b.wellMade(ask(come...).has(b, 200, "Brought by others", "It must come in with", "partner", "taken", "It meets what is demanded", `value="192.0.2.7"`, `value="1.3" selected`))
	for _, c := range []struct{ name, value, says string }{
		{"try.tls", "none", "refused"}, {"try.tls", "1.2", "refused"}, {"try.bits", "", "refused"},
		{"try.listener", "submission", "taken"}, {"try.client", "198.51.100.1", "taken"}, {"try.tls", "", "Not judged"},
		{"try.bits", "many", "is no number of bits"}, {"try.client", "nowhere", "is no IP address"}, {"try.tls", "9", "TLS is none, 1.0"}} {
		p := ask(with(c.name, c.value)...).has(b, 200, c.says)
		if c.says == "refused" && strings.Contains(plain(p.tree), "It meets what is demanded") {
			t.Errorf("%s = %q is refused and taken", c.name, c.value)
		}
		fields := formFields(p.tree)
		if i := slices.Index(fields, c.name); c.value != "9" && (i < 0 || fields[i+1] != c.value) {
			t.Errorf("%s = %q came back as %q", c.name, c.value, fields)
		}
	}
	ask("try.tls", "1.3", "try.certificate", "nonsense").has(b, 200, "no PEM")
	same, err := b.s.For(access.Root("root")).Explain(t.Context(), admin.ExplainRequest{From: "a@partner.test", To: []string{"anna@home.test"}, Client: "192.0.2.7",
		Arrival: admin.Arrival{Listener: "mx", TLS: "1.2", Bits: 256}})
	if err != nil || same.Inbound == nil || !same.Inbound.Refused {
		t.Fatalf("%+v, %v", same.Inbound, err)
	}
	b.get("/rules/explain?from=a@partner.test&to=anna@home.test&client=192.0.2.7&listener=mx&tls=1.2&bits=256").has(b, 200, html.EscapeString(same.Inbound.Reply))
	b.get("/rules/explain?from=a@home.test&to=dr@clinic.test").has(b, 200, "hold for 7 days, then return", "look")

	// In the pane a rule about incoming mail is tried before it is saved.
	rule := []string{"rule", "", "revision", "1", "do", "try", "name", "bank", "scope", "inbound", "mode", "enforce", "action", "require-tls", "match.sender", "bank.test", "require_tls.level", "encrypted",
		"try.from", "a@bank.test", "try.to", "anna@home.test", "try.tls", "none"}
	b.wellMade(b.post("/rules/edit", rule...).has(b, 200, "Brought by others", "refused", "bank"))
}

// TestWhatWasNotKeptIsNotKnown: of mail that a rule may or may not have been about, for nobody kept what it asks for,
// the page says how much it is; nothing of it is counted as if the rule were about none.
func TestWhatWasNotKeptIsNotKnown(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	look := func(fields ...string) page {
		return b.post("/rules/edit", append([]string{"rule", "", "revision", "1", "do", "look", "name", "words", "scope", "outbound", "mode", "enforce", "action", "force-tls",
			"match.recipient", "other.test"}, fields...)...)
	}
	b.accepted("0fk3n0000000d001", "a@example.com", "x@other.test", time.Now())
	p := look("match.body", "*secret*", "match.attachment", "*.pdf")
	p.has(b, 200, "it is not known: what “Attachments” and “Text” ask for was not kept", "Nothing else would have been demanded")
	b.wellMade(p)
	if p := look("match.body", "*secret*", "match.size_over", "100MB"); strings.Contains(p.text, "not known") {
		t.Errorf("what the size decides is not known:\n%s", plain(p.tree))
	}
}
