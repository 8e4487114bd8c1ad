package rule

import (
	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

// DefaultText is what the sender of rejected mail is told where the rule says nothing.
const DefaultText = "a rule of this organisation refuses this message"

// Reject is the section [rule.reject].
type Reject struct {
	Text string // printable ASCII, one line
}

// Hold is the section [rule.hold].
type Hold struct {
	Days int
	Then policy.Then
}

// Redirect is the section [rule.redirect].
type Redirect struct {
	Route string // the name of a [[route]] of the configuration
}

// BCC is the section [rule.bcc].
type BCC struct {
	To []string // addresses
}

// AddHeader is the section [rule.add_header].
type AddHeader struct {
	Fields []rulevalue.HeaderMatch // values are texts, no patterns
}

// Demands reports whether the rule asks for a channel; any other does something.
func (r *Rule) Demands() bool { return r.Action == ForceTLSAction }

// protects reports whether the action demands something of a channel, of mail that goes out or comes in.
func (r *Rule) protects() bool { return r.Demands() || r.Action == RequireTLSAction }

// Does says in words what the rule does with mail, "" for one that demands something of a channel.
func (r *Rule) Does() string {
	if r.protects() {
		return ""
	}
	e := r.Effect()
	return e.String()
}

// Effect is what the rule does with mail to a recipient that it names.
func (r *Rule) Effect() policy.Effect {
	e := policy.Effect{Rule: r.Name, Kind: policy.EffectKind(r.Action), Test: r.Mode == Test}
	switch r.Action {
	case RejectAction:
		e.Text = r.Reject.Text
		if e.Text == "" {
			e.Text = DefaultText
		}
	case HoldAction:
		e.Days, e.Then = r.Hold.Days, r.Hold.Then
	case RedirectAction:
		e.Route = r.Redirect.Route
	case BCCAction:
		e.To = r.BCC.To
	case AddHeaderAction:
		for _, f := range r.AddHeader.Fields {
			e.Fields = append(e.Fields, policy.Field(f))
		}
	}
	return e
}
