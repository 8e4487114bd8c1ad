package ruleform

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// ofTheFile is what only the rules file has: assignments, tables, names with underscores, and what says so.
var ofTheFile = regexp.MustCompile(`[a-z] = |\[\[|\[rule|[a-z]_[a-z]|(?:the|unknown) key\b|\bquotes\b|\btable\b|\bstring\b|\]\s*$`)

// wrongs are values that are wrong in one field or another, with what makes the key count.
func wrongs() []string {
	return []string{"", " ", "much", "-1", "0", "999", "1.5", "true", "a@b@c", "*.a.test", "re:(", "list:none", "<>", "two words", "10.0.0.1/8", "[192.0.2.1]", "X-A", "X A: b",
		"Received: x", "X-A: ä", "bounce", "route:portal", "bounce\nroute:portal", "route:a\nroute:a\nbounce", "route:portal\nroute:UP", "2027-13-01", "2027-01-01T10:00:00",
		"sha256:short", "mx\ndomain", "*.co.uk", "nodot", "ä.test", "/", "1s", "10 apples", strings.Repeat("x", 1200), "a\x01b", "require-tls", "inbound", "dane"}
}

// TestNoFieldIsToldInWordsOfTheFile: whatever is wrong with a field is said by what the pane calls things, and stands
// at a field.
func TestNoFieldIsToldInWordsOfTheFile(t *testing.T) {
	for _, c := range New().Fields["action"].Choices {
		base := map[string]string{"name": "bank", "action": c.Value, "scope": string(rule.Action(c.Value).Scope()), "require_tls.level": "authenticated",
			"bcc.to": "a@b.test", "redirect.route": "portal", "add_header.fields": "X-A: b"}
		for _, k := range rule.Keys() {
			switch {
			case k.Ticked != "": // nothing can be written there
				continue
			case k.Action() == "" && k.Name != "action" && c.Value != "force-tls" && c.Value != "require-tls": // was tried
				continue
			}
			for i, wrong := range wrongs() {
				if k.Action() == "" && c.Value == "require-tls" && i%6 != 0 {
					continue // force-tls tried all
				}
				values := map[string]string{k.Name: wrong}
				for name, value := range base {
					if name != k.Name {
						values[name] = value
					}
				}
				f := filled(values)
				text, keyOf := f.Text()
				_, err := rules.ParseWithin(&rules.Set{}, "f", []byte(text))
				var broken *rules.ParseError
				if !errors.As(err, &broken) {
					continue
				}
				f.Blame(broken.Problems, keyOf)
				for _, p := range f.Problems() {
					if said := p.Problem + " | " + p.Hint; ofTheFile.MatchString(said) {
						t.Errorf("%s: %s = %.30q: %s", c.Value, k.Name, wrong, said)
					}
					if p.Key == nil {
						t.Errorf("%s: %s = %.30q: at no field: %s", c.Value, k.Name, wrong, p.Problem)
					}
				}
			}
		}
	}
}

// TestWarningsAreToldInWordsOfThePane: all of them, with what is to be done.
func TestWarningsAreToldInWordsOfThePane(t *testing.T) {
	const text = `
[[rule]]
name = "a"
action = "force-tls"
below = true
match = { literals = true, sender = ["home.test", "re:x", "nobody"] }
unless = { subject = ["x"] }
force_tls = { unspecified_recipients = "opportunistic", min_tls = "1.1", proof = "dane", otherwise = ["route:portal", "bounce"] }
[[rule]]
name = "b"
action = "force-tls"
expires = 2020-01-01
[[rule]]
name = "c"
action = "force-tls"
match.recipient = ["own.test", "*clinic.test"]
[[rule]]
name = "d"
action = "require-tls"
scope = "inbound"
match.sender_ip = ["192.0.2.1"]
require_tls = { level = "authenticated", min_bits = 256, min_tls = "1.0" }
[[rule]]
name = "e"
action = "require-tls"
scope = "inbound"
match.sender = ["partner.test"]
`
	set, err := rules.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	list := set.Warnings(time.Now(), mail.MustDomain("own.test"))
	if len(list) < 15 {
		t.Errorf("only %d warnings", len(list))
	}
	for _, w := range list {
		if said := Words(w.Text) + " | " + Words(w.Hint) + " | " + Words(w.Narrow); ofTheFile.MatchString(said) {
			t.Error(said)
		} else {
			t.Log(said)
		}
	}
	if got := WhyWords(`"mode = true" fits; literals = true would`); got != `"mode = true" fits; tick “Recipients at address literals (dr@[192.0.2.1]) too”, it would` {
		t.Error(got)
	}
}
