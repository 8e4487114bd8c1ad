package rules

import (
	"strings"

	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulevalue"
)

// What a rule says of a message has two parts. A demand (force-tls) is monotone, the order of the file decides nothing
// about it, and what waits is judged again by it. An effect (all other actions) happens once, when the message is
// accepted; it is stored with the delivery in the same transaction and never judged again. So rules that change later
// neither do nor undo one, and nothing is done twice over a crash, a judgement or a release.
//
// States of one recipient, as the rules in force are walked in the order of the file:
//
//	open ── reject ──────> over: it goes nowhere; later rules do nothing more to it
//	  │ ╲── allow ───────> over: later rules do nothing more to it
//	  │ ╲── hold ────────> held: it waits for a person, who decides; a later hold or reject does nothing
//	  └──── redirect, bcc, add-header: state as before; of redirects the first counts, the others add up
//
// Invariants, whatever the rules and their order (effects_test.go):
//
//   - Demands are those of the force-tls rules alone: no effect and no order lowers one. allow stops effects only.
//   - An effect is for the recipients that the rule names: those that fit its recipient condition, all of them without
//     one, and never those in domains of our own servers. No effect taints the others.
//   - A rule under test stops nothing and takes no first place. It is recorded as what it would have done.
//   - What can be recorded is bounded (MaxEffects); a rule that does something is done before one is only recorded.
//
// What follows is carried out by gateway/intake (what to store) and gateway/fate (what becomes of it).

// MaxEffects bounds the effects of one recipient that are recorded, and of these those of rules under test; MaxCopies
// the copies of one message.
const (
	MaxEffects = 64
	MaxTested  = 16
	MaxCopies  = 20
)

// walk is the state of one recipient; see above.
type walk struct {
	effects        policy.Effects
	over           string                       // the rule after which nothing more is done
	held, sent     string                       // the rules that hold and redirect it
	ordered        map[policy.EffectKind]string // the rules whose orders for later count
	copied         map[string]bool
	fields, tested int
}

// take lets a rule do what it does. It says why it does nothing, "" where it does.
func (w *walk) take(r *rule.Rule) (why string) {
	e := r.Effect()
	switch {
	case w.over != "":
		return "the rule " + w.over + " comes before it"
	case w.held != "" && (e.Kind == policy.EffectHold || e.Kind == policy.EffectReject):
		return "the rule " + w.held + " holds it, and a person decides"
	case w.sent != "" && e.Kind == policy.EffectRedirect:
		return "the rule " + w.sent + " redirects it already"
	case len(w.effects) >= MaxEffects || e.Test && w.tested >= MaxTested:
		return "too many rules do something with it"
	}
	if e.Test {
		w.tested++
	} else if why := w.do(&e); why != "" {
		return why
	}
	w.effects = append(w.effects, e)
	return ""
}

// do takes the step that an effect in force is.
func (w *walk) do(e *policy.Effect) (why string) {
	switch e.Kind {
	case policy.EffectReject, policy.EffectAllow:
		w.over = e.Rule
	case policy.EffectHold:
		w.held = e.Rule
	case policy.EffectRedirect:
		w.sent = e.Rule
	case policy.EffectBCC:
		e.To = w.uncopied(e.To)
		if len(e.To) == 0 {
			return "they get a copy already"
		}
	case policy.EffectAddHeader:
		if w.fields += len(e.Fields); w.fields > rulevalue.MaxFields {
			w.fields -= len(e.Fields)
			return "too many header fields are added already"
		}
	}
	return ""
}

// uncopied are those of the addresses that get no copy yet.
func (w *walk) uncopied(to []string) (out []string) {
	if w.copied == nil {
		w.copied = map[string]bool{}
	}
	for _, a := range to {
		if folded := strings.ToLower(a); !w.copied[folded] && len(w.copied) < MaxCopies {
			w.copied[folded] = true
			out = append(out, a)
		}
	}
	return out
}

// effectsOn is what the hits do to recipient i.
func effectsOn(hits []hit, i int) policy.Effects {
	var w walk
	for _, h := range hits {
		switch {
		case h.rule.Demands():
			w.orders(h.rule.Rule, h.roles[i], nil)
		case h.roles[i] == rule.Named:
			w.take(h.rule.Rule)
		}
	}
	return w.effects
}

// Step is what one rule does to a recipient, in words, or why it does nothing.
type Step struct {
	Rule string `json:"rule"`
	Does string `json:"does"`
	Not  string `json:"not,omitempty"` // why it is not done
	Test bool   `json:"test,omitempty"`
}

// steps are all that the hits do to recipient i, and what they do not.
func steps(hits []hit, i int) (out []Step) {
	var w walk
	for _, h := range hits {
		if h.rule.Demands() {
			w.orders(h.rule.Rule, h.roles[i], func(s Step) { out = append(out, s) })
			continue
		}
		if h.roles[i] != rule.Named {
			continue
		}
		e := h.rule.Effect()
		out = append(out, Step{Rule: e.Rule, Does: e.String(), Not: w.take(h.rule.Rule), Test: e.Test})
	}
	return out
}

// orders takes the orders that a rule which forces TLS has for a recipient of a role. It tells of each, where somebody
// listens.
func (w *walk) orders(r *rule.Rule, as rule.Role, tell func(Step)) {
	for _, e := range r.Orders() {
		if as != rule.Named && !(as == rule.Tainted && e.Kind == policy.EffectOtherwise) {
			continue
		}
		why := w.order(&e)
		if why == "" {
			w.effects = append(w.effects, e)
		}
		if tell != nil {
			tell(Step{Rule: e.Rule, Does: e.String(), Not: why, Test: e.Test})
		}
	}
}

// order says why an order is not taken, "" where it is.
func (w *walk) order(e *policy.Effect) (why string) {
	switch first := w.ordered[e.Kind]; {
	case first != "" && !e.Test:
		return "the rule " + first + " orders that already"
	case len(w.effects) >= MaxEffects || e.Test && w.tested >= MaxTested:
		return "too many rules do something with it"
	case e.Test:
		w.tested++
		return ""
	}
	if w.ordered == nil {
		w.ordered = map[policy.EffectKind]string{}
	}
	w.ordered[e.Kind] = e.Rule
	return ""
}
