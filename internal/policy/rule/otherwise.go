package rule

import (
	"strings"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

// A rule that forces TLS may order what is done later, when it is known how the mail went: a receipt, or other ways
// where the mail would be returned because its demand could not be met. On these all is demanded of the channel that
// was demanded before, by this rule and by all others: a route leads to another server, never to a weaker channel. An
// order is stored with the delivery like any effect, at acceptance. A receipt belongs to the recipients that the rule
// names, another way also to those that it taints: their mail would be returned for the same demand. Orders are part of
// the demand: neither allow nor hold stops them. Of orders of a kind the first in the file counts; one under test is
// recorded beside it.

// Receipt says who is told how mail went that a rule forced. "" is nobody.
type Receipt string

// ReceiptSender: its sender gets a success report, which says how it reached the next server.
const ReceiptSender Receipt = "sender"

// Orders are the orders of a rule that forces TLS.
func (r *Rule) Orders() (out []policy.Effect) {
	test := r.Mode == Test
	if r.Receipt == ReceiptSender {
		out = append(out, policy.Effect{Rule: r.Name, Kind: policy.EffectReceipt, Test: test})
	}
	if ways := r.Ways(); len(ways) > 0 {
		out = append(out, policy.Effect{Rule: r.Name, Kind: policy.EffectOtherwise, Test: test, Ways: ways,
			WindowMS: r.ForceTLS.Defer.Milliseconds()})
	}
	return out
}

// Ways are the routes of otherwise.
func (r *Rule) Ways() (out []string) {
	for _, value := range r.ForceTLS.Otherwise {
		if name, ok := strings.CutPrefix(value, rulevalue.RouteWord); ok {
			out = append(out, name)
		}
	}
	return out
}

// checkReceipt refuses receipt in a rule that forces nothing.
func checkReceipt(p *Problems, r *Rule, rule *tomlfile.Node) {
	if e := rule.Get("receipt"); e != nil && r.Action != "" && !r.Demands() {
		p.Add(e.At, "receipt belongs to the action force-tls, and this rule's is "+string(r.Action),
			"take receipt out, or change the action")
	}
}
