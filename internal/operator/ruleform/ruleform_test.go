package ruleform

import (
	"slices"
	"strings"
	"testing"

	"postern/internal/policy/rules"
)

// TestThePaneFollowsTheGrammar: a key that no area names has a place by its section, settings stand with the action
// they belong to, and those of another action are kept in the page and left out of the rule.
func TestThePaneFollowsTheGrammar(t *testing.T) {
	keys := rules.Keys()
	for _, k := range rules.Keys() {
		if k.Name == "match.sender" {
			k.Name = "unless.sender"
			keys = append(keys, k)
			k.Name = "match.novelty"
			keys = append(keys, k)
			k.Name = "novelty"
			keys = append(keys, k)
		}
	}
	f := over(keys, func(k *rules.Key) string {
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
