package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/internal/lab/testkit/chance"
	"postern/internal/lab/testkit/ruledice"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulelist"
)

// dice makes random rules and messages from a small world, so that they meet often.
type dice struct{ ruledice.Dice }

func roll(t *testing.T) dice { return dice{ruledice.Roll(t)} }

// smallSet makes a Set of rules that may name the lists of this small world.
func smallSet(rules []rule.Rule) *Set { return compile(rules, smallLists()...) }

func smallLists() []rulelist.List {
	s, err := Parse("lists", ruledice.File())
	if err != nil {
		panic(err)
	}
	return s.Lists()
}

func (d dice) set() *Set {
	var rules []rule.Rule
	for i := range d.IntN(6) {
		r := d.Rule(fmt.Sprintf("rule %d", i))
		switch d.IntN(6) {
		case 0:
			r = d.Inbound(r.Name)
		case 1, 2:
			r = d.Effect(r)
		}
		rules = append(rules, r)
	}
	return smallSet(rules)
}

func rounds() int { return chance.Rounds() }

// without returns rules without what depends on the file they came from.
func without(rules []rule.Rule) []rule.Rule {
	out := slices.Clone(rules)
	for i := range out {
		out[i].Line = 0
	}
	return out
}

func TestParseReadsWhatTOMLPrints(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s := d.set()
		text := s.TOML()
		again, err := Parse("printed", text)
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, text)
		}
		if len(s.rules) > 0 && !reflect.DeepEqual(without(s.rules), without(again.rules)) {
			t.Fatalf("rules\n%+v\ncame back as\n%+v\nfrom\n%s", s.rules, again.rules, text)
		}
		if string(again.TOML()) != string(text) {
			t.Fatalf("printed anew\n%s\ndiffers from\n%s", again.TOML(), text)
		}
	}
}

// Rules that demand the same share memory. What each gets from it is what it demands alone, and only what is equal has
// one number.
func TestASharedEffectIsTheRulesOwn(t *testing.T) {
	d := roll(t)
	for range rounds() / 4 {
		var rules []rule.Rule
		for i := range 6 {
			r := d.Rule(fmt.Sprintf("rule %d", i))
			if i > 0 && d.IntN(2) == 0 {
				r.ForceTLS = rules[i-1].ForceTLS
			}
			rules = append(rules, r)
		}
		s := smallSet(rules)
		known := map[int32]string{}
		for i := range s.live {
			for as := rule.Unforced; as < rule.Roles; as++ {
				e, want := s.live[i].effect(as), s.live[i].Demand(as)
				if !reflect.DeepEqual(e.requirement, want) {
					t.Fatalf("%+v, want %+v", e.requirement, want)
				}
				if key, ok := known[e.number]; ok && key != want.Key() {
					t.Fatalf("%s and %s have one number", key, want.Key())
				}
				known[e.number] = want.Key()
			}
		}
	}
}

func TestTheOrderOfRulesDecidesNothing(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s, f := d.set(), d.Facts()
		shuffled := slices.Clone(s.rules)
		d.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got, want := smallSet(shuffled).Evaluate(f), s.Evaluate(f)
		for i := range got.Recipients {
			a, b := got.Recipients[i], want.Recipients[i]
			a.Effects, b.Effects = nil, nil // for these it decides
			for _, names := range [][]string{a.Rules, b.Rules, a.Tested, b.Tested} {
				slices.Sort(names)
			}
			for _, demands := range [][]policy.Demand{a.Demands, b.Demands} {
				slices.SortFunc(demands, func(x, y policy.Demand) int { return strings.Compare(x.Source, y.Source) })
			}
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("%+v\nand\n%+v\nfor\n%s", a, b, s.TOML())
			}
		}
	}
}

func TestAnotherRuleNeverLowersARequirement(t *testing.T) {
	d := roll(t)
	raised := 0
	for range rounds() {
		s, f := d.set(), d.Facts()
		more := smallSet(append(slices.Clone(s.rules), d.Rule("one more")))
		before, after := s.Evaluate(f), more.Evaluate(f)
		for i, b := range before.Recipients {
			a := after.Recipients[i]
			if !a.Requirement.AtLeast(b.Requirement) {
				t.Fatalf("%s\nbecame\n%s\nby\n%s", b.Requirement.Key(), a.Requirement.Key(), more.rules[len(more.rules)-1].TOML())
			}
			if b.Window > 0 && (a.Window == 0 || a.Window > b.Window) {
				t.Fatalf("the window grew from %v to %v", b.Window, a.Window)
			}
			if !b.Requirement.AtLeast(a.Requirement) {
				raised++
			}
		}
	}
	if raised < rounds()/50 {
		t.Errorf("only %d requirements were raised: the law was hardly tried", raised)
	}
}

func TestARuleUnderTestChangesNothing(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s, f := d.set(), d.Facts()
		var enforced []rule.Rule
		live := slices.Clone(s.rules)
		for i, r := range s.rules {
			if r.Mode == rule.Enforce {
				enforced = append(enforced, r)
			}
			live[i].Mode = rule.Enforce
		}
		got := s.Evaluate(f).Recipients
		want := smallSet(enforced).Evaluate(f).Recipients
		would := smallSet(live).Evaluate(f).Recipients
		for i, o := range got {
			if len(o.Tested) > 0 && !reflect.DeepEqual(o.TestedRequirement, would[i].Requirement) {
				t.Fatalf("under test %+v, in force it is %+v", o.TestedRequirement, would[i].Requirement)
			}
			o.Tested, o.TestedRequirement = nil, policy.Requirement{}
			o.Effects = slices.DeleteFunc(slices.Clone(o.Effects), func(e policy.Effect) bool { return e.Test })
			if len(o.Effects) == 0 {
				o.Effects = nil
			}
			if !reflect.DeepEqual(o, want[i]) {
				t.Fatalf("got %+v, without the rules under test %+v", o, want[i])
			}
		}
	}
}

func TestExplainNamesTheRulesThatDecide(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s, f := d.set(), d.Facts()
		e, decision := s.Explain(f), s.Evaluate(f)
		if len(e.Rules) != len(s.rules) || len(e.Recipients) != len(f.Recipients) {
			t.Fatal("Explain left something out")
		}
		for i, o := range decision.Recipients {
			r := e.Recipients[i]
			if !reflect.DeepEqual(r.Outcome, o) {
				t.Fatalf("explained %+v, decided %+v", r.Outcome, o)
			}
			var by []string
			for _, p := range r.Parts {
				if !p.Test {
					by = append(by, p.Rules...)
				}
			}
			slices.Sort(by)
			for _, name := range o.Rules {
				if _, found := slices.BinarySearch(by, name); !found {
					t.Fatalf("%q shaped the requirement and stands in no part: %+v", name, r.Parts)
				}
			}
			for _, name := range by {
				if !slices.Contains(o.Rules, name) {
					t.Fatalf("%q stands in a part and shaped nothing: %+v", name, r.Parts)
				}
			}
		}
		for i, r := range e.Rules {
			all := r.Skipped == ""
			for _, field := range r.Fields {
				all = all && field.Matched
				if field.Why == "" {
					t.Fatalf("no reason for %s", field.Field)
				}
			}
			if all != r.Matched {
				t.Fatalf("fields of %q say %v, the rule %v: %+v\n%s", r.Rule, all, r.Matched, r.Fields, s.rules[i].TOML())
			}
		}
	}
}
