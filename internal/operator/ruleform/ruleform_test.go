package ruleform

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// TestThePaneFollowsTheGrammar: a key that no area names has a place by its section, settings stand with the action
// they belong to, and those of another action are kept in the page and left out of the rule.
func TestThePaneFollowsTheGrammar(t *testing.T) {
	keys := rule.Keys()
	for _, k := range rule.Keys() {
		if k.Name == "match.sender" {
			k.Name = "unless.sender"
			keys = append(keys, k)
			k.Name = "match.novelty"
			keys = append(keys, k)
			k.Name = "novelty"
			keys = append(keys, k)
		}
	}
	f := over(keys, func(k *rule.Key) string {
		return map[string]string{"action": "force-tls", "force_tls.defer": "2h"}[k.Name]
	})
	for key, area := range map[string]string{"unless.sender": except, "match.novelty": messagePart, "novelty": scopePart} {
		if !slices.ContainsFunc(f.Area(area).Fields, func(one *Field) bool { return one.Name == key }) {
			t.Errorf("%s does not stand in %s", key, area)
		}
	}
	if got := f.Fields["unless.sender"].Where(); got != "Except when: Senders" {
		t.Errorf("a wrong exception is told as %q", got)
	}
	deeds := f.Deeds()
	if len(deeds) == 0 || !deeds[0].Chosen || deeds[0].ID != "action.force-tls" || len(deeds[0].Folded) != 1 || deeds[0].Folded[0].Open() {
		t.Errorf("actions %+v", deeds)
	}
	for _, d := range deeds {
		for _, one := range d.Fields {
			if string(one.Action()) != d.Value {
				t.Errorf("%s stands with %s", one.Name, d.Value)
			}
		}
	}
	if text, _ := f.Text(); !strings.Contains(text, "2h") {
		t.Errorf("the rule has no window:\n%s", text)
	}
	f.Fields["action"].Value = "another"
	if text, _ := f.Text(); strings.Contains(text, "2h") || f.Fields["force_tls.defer"].Value != "2h" {
		t.Errorf("settings of another action:\n%s", text)
	}
}

// filled is the pane with what was filled in.
func filled(values map[string]string) Form {
	return over(rule.Keys(), func(k *rule.Key) string {
		if v, said := values[k.Name]; said {
			return v
		}
		return k.Initial()
	})
}

// blamed parses the rule that the pane holds, and puts what is wrong with it to its fields.
func blamed(t *testing.T, f Form) Form {
	t.Helper()
	text, keyOf := f.Text()
	_, err := rules.Parse("f", []byte(text))
	var broken *rules.ParseError
	if err != nil && !errors.As(err, &broken) {
		t.Fatal(err)
	}
	if broken != nil {
		f.Blame(broken.Problems, keyOf)
	}
	return f
}

// TestWhatDoesNotFitTheScopeIsRefusedAtItsField: an action for other mail, and a condition that only other mail can
// meet, are told in the words of the pane. No condition that was filled in is left out of the rule, which would then
// mean more mail.
func TestWhatDoesNotFitTheScopeIsRefusedAtItsField(t *testing.T) {
	base := map[string]string{"name": "bank", "match.recipient": "bank.test"}
	for _, c := range []struct {
		values     map[string]string
		key        string // "" where nothing is wrong
		what, hint string
	}{
		{map[string]string{"action": "force-tls", "scope": "outbound"}, "", "", ""},
		{map[string]string{"action": "require-tls", "scope": "inbound", "match.listener": "mx"}, "", "", ""},
		{map[string]string{"action": "hold", "scope": "inbound"}, "scope", "“Hold” does not work on “inbound: mail coming in from others”",
			"choose “outbound: mail going out”, or as action “Require TLS”"},
		{map[string]string{"action": "require-tls", "scope": "outbound"}, "scope", "“Require TLS” does not work on “outbound: mail going out”", "“Force TLS”, “Reject”, “Hold”"},
		{map[string]string{"action": "require-tls", "scope": "inbound", "match.subject": "*x*"}, "match.subject", `“Subject” cannot be a condition of a rule about incoming mail`,
			"empty it, or choose “outbound: mail going out”"},
		{map[string]string{"action": "require-tls", "scope": "inbound", "unless.size_over": "1MB"}, "unless.size_over", "cannot be a condition", "empty it"},
		{map[string]string{"action": "require-tls", "scope": "disabled", "match.subject": "*x*"}, "match.subject", "cannot be a condition", "empty it"},
		{map[string]string{"action": "force-tls", "scope": "outbound", "match.listener": "mx"}, "match.listener", "can only be a condition of a rule about incoming mail",
			"empty it, or choose “inbound: mail coming in from others”"},
		{map[string]string{"action": "require-tls", "scope": "inbound", "domain": "example.com"}, "domain", "cannot be said of a rule about incoming mail", "empty it"},
		{map[string]string{"action": "require-tls", "scope": "inbound", "force_tls.defer": "2h"}, "", "", ""}, // of another action: kept in the page
	} {
		maps.Copy(c.values, base)
		f := blamed(t, filled(c.values))
		problems := f.Problems()
		if c.key == "" {
			if len(problems) > 0 {
				t.Errorf("%v: %s: %s", c.values, problems[0].Name, problems[0].Problem)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Key == nil || problems[0].Name != c.key || !strings.Contains(problems[0].Problem, c.what) || !strings.Contains(problems[0].Hint, c.hint) {
			t.Errorf("%v: %+v", c.values, problems)
		}
		for key, value := range c.values {
			if f.Fields[key].Value != value {
				t.Errorf("%v: %s came back as %q", c.values, key, f.Fields[key].Value)
			}
		}
	}
	if known := New().Known(); !slices.Contains(known, "Senders") || slices.Contains(known, "Subject") {
		t.Errorf("of mail that comes in is known %q", known)
	}
}
