package rules

import (
	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
)

// A rule that forces TLS may order what is done later, when it is known how the mail went: a receipt. An order is
// stored with the delivery like any effect, at acceptance, and so belongs to the recipients that the rule names and not
// to those that it taints. It is part of the demand: neither allow nor hold stops it. Of orders of a kind the first in
// the file counts; one under test is recorded beside it.

// Receipt says who is told how mail went that a rule forced. "" is nobody.
type Receipt string

// ReceiptSender: its sender gets a success report, which says how it reached the next server.
const ReceiptSender Receipt = "sender"

// ordered are the orders of a rule that forces TLS.
func (r *Rule) ordered() (out []policy.Effect) {
	test := r.Mode == Test
	if r.Receipt == ReceiptSender {
		out = append(out, policy.Effect{Rule: r.Name, Kind: policy.EffectReceipt, Test: test})
	}
	return out
}

// orders takes the orders of a rule that forces TLS. It tells of each, where somebody listens.
func (w *walk) orders(r *Rule, tell func(Step)) {
	for _, e := range r.ordered() {
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

// checkReceipt refuses receipt in a rule that forces nothing.
func checkReceipt(p *problems, r *Rule, rule *tomlfile.Node) {
	if e := rule.Get("receipt"); e != nil && r.Action != "" && !r.demands() {
		p.Add(e.At, "receipt belongs to the action force-tls, and this rule's is "+string(r.Action), "take receipt out, or change the action")
	}
}
