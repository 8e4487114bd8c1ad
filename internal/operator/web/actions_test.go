package web

import (
	"strings"
	"testing"

	"postern/internal/operator/access"
)

// A rule of each action is written in the pane, shown among the rules as what it does, and comes back as it was typed.
func TestARuleOfEachActionIsWrittenInThePane(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	for i, tt := range []struct {
		action   string
		settings []string
		shown    string
	}{
		{"force-tls", []string{"force_tls.otherwise", "bounce", "receipt", "sender"}, "with a receipt"},
		{"require-tls", []string{"scope", "inbound", "require_tls.level", "encrypted"}, "of mail coming in"},
		{"reject", []string{"reject.text", "not by mail"}, "not by mail"},
		{"hold", []string{"hold.days", "3", "hold.then", "delete"}, "hold for 3 days"},
		{"bcc", []string{"bcc.to", "archive@example.com"}, "archive@example.com"},
		{"add-header", []string{"add_header.fields", "X-Class: internal"}, "X-Class"},
		{"allow", nil, "allow"},
	} {
		name := "try " + tt.action
		form := []string{"rule", "", "revision", revision(i + 1), "name", name, "mode", "enforce", "action", tt.action,
			"match.sender", "example.com"}
		if tt.action != "require-tls" {
			form = append(form, "scope", "outbound")
		}
		form = append(append(form, tt.settings...), "do", "save")
		b.post("/rules/edit", form...).has(b, 200, "revision "+revision(i+2)+" is in force")
		b.get("/rules").has(b, 200, name, tt.shown)
		b.post("/rules/edit", append(formFields(b.get("/rules/edit?name="+strings.ReplaceAll(name, " ", "+")).tree), "do", "look")...).
			has(b, 200, "What saving would change")
	}
	view, err := b.s.For(access.Root("root")).Rules(t.Context())
	if err != nil || strings.Count(view.Text, "[[rule]]") != 8 {
		t.Errorf("%v\n%s", err, view.Text)
	}
}

func revision(n int) string { return string(rune('0' + n)) }
