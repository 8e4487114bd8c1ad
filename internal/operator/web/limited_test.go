package web

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"postern/internal/operator/access"
)

// TestWhatALimitedAccountMayNotWriteStandsAtItsField: nothing that was filled in is lost, and the field says why.
func TestWhatALimitedAccountMayNotWriteStandsAtItsField(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	b.become("nina", access.Administrator, "home.test")
	fields := formFields(b.get("/rules/edit?recipient=good.test").has(b, 200).tree)
	if i := slices.Index(fields, "match.sender"); i < 0 || fields[i+1] != "home.test" {
		t.Errorf("a new rule begins with %q", fields)
	}
	b.post("/rules/edit", append([]string{"do", "look"}, fields...)...).has(b, 200, "What saving would change")
	const only = "your account may write rules for senders within home.test only"
	for _, tt := range []struct{ key, value, field, says string }{
		{"match.recipient", "good.test", "match.sender", only},
		{"match.sender", "*.home.test", "match.sender", only},
		{"match.sender", "home.test\r\n<>", "match.sender", "everybody&#39;s bounces"},
		{"match.sender", "re:.|@home.test", "match.sender", only},
		{"match.sender", "a@b@c", "match.sender", "write addresses in home.test"},
		{"match.sender", "list:near", "match.sender", "write addresses in home.test"},
		{"domain", "home.test", "domain", "by its header too"},
	} {
		for _, do := range []string{"look", "try", "save", "further"} {
			p := b.post("/rules/edit", "rule", "", "revision", "1", "do", do, "name", "kept", "description", "KEEP ME", "scope", "outbound", "mode", "enforce",
				"action", "force-tls", "try.from", "a@home.test", "try.to", "x@good.test", tt.key, tt.value)
			p.has(b, 422, "This is not in force yet", "KEEP ME", tt.says, `href="#`+tt.field+`"`, `id="`+tt.field+`.problem"`, "x@good.test")
			b.wellMade(p)
			fields := strings.Join(formFields(p.tree), "\n")
			if !strings.Contains(fields, tt.key+"\n"+strings.ReplaceAll(tt.value, "\r\n", "\n")) {
				t.Errorf("%s %s: %s came back as\n%s", do, tt.value, tt.key, fields)
			}
		}
	}
	b.post("/rules/edit", "rule", "", "revision", "1", "do", "look", "name", "mine", "scope", "outbound", "mode", "enforce", "action", "force-tls", "domain", "home.test", "match.sender", "home.test").
		has(b, 200, "What saving would change")
}

// TestALimitedAccountSeesTheRulesOfItsDomain: one about the mail of its domain acts on its mail, and is listed; what it
// did for others is not told, and nothing is recommended that the account may not do.
func TestALimitedAccountSeesTheRulesOfItsDomain(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	const tail = "action = \"force-tls\"\n"
	b.saveFile("[[rule]]\nname = \"by sender\"\n" + tail + "[rule.match]\nsender = [\"home.test\"]\n[[rule]]\nname = \"by domain\"\ndomain = [\"home.test\"]\n" + tail +
		"[[rule]]\nname = \"of all\"\n" + tail + "[[rule]]\nname = \"below too\"\ndomain = [\"home.test\"]\nbelow = true\n" + tail +
		"[[rule]]\nname = \"of others\"\ndomain = [\"home.test\", \"others.test\"]\n" + tail)
	b.become("nina", access.Administrator, "home.test")
	p := b.get("/rules").has(b, 200, "by sender", "by domain", "also about mail that others send", "your mail it had a say in", "order of the file", "ask an administrator of the whole gateway")
	b.wellMade(p)
	for _, word := range []string{"of all", "below too", "of others", "others.test", "*.home.test", "&lt;&gt;", "domain = ", "name=by+domain", "name=by%20domain\""} {
		if strings.Contains(p.text, word) {
			t.Errorf("the page of a limited account has %q", word)
		}
	}
	b.get("/rules/edit?name=by+domain").has(b, 403)
	b.post("/rules/edit", "rule", "by domain", "revision", "1", "do", "delete").has(b, 403)
	b.post("/rules/edit", "rule", "of all", "revision", "1", "do", "delete").has(b, 404)
	b.leadsNowhereForbidden(p)
	b.become("olga", access.Auditor)
	b.leadsNowhereForbidden(b.get("/rules").has(b, 200, "by domain", "of all"))
}

// leadsNowhereForbidden follows the links of a page: none leads to what the reader may not do.
func (b *browser) leadsNowhereForbidden(p page) {
	b.Helper()
	for n := range p.tree.Descendants() {
		if to := attr(n, "href"); n.Type == html.ElementNode && n.Data == "a" && strings.HasPrefix(to, "/") {
			if got := b.get(to); got.code >= 400 {
				b.Errorf("%s leads to %s: %d", p.path, to, got.code)
			}
		}
	}
}
