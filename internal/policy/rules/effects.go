package rules

import (
	"strings"

	"postern/internal/policy"
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
// the copies of one message, and MaxFields the fields that are added to it.
const (
	MaxEffects = 64
	MaxTested  = 16
	MaxCopies  = 20
	MaxFields  = 20
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
	Fields []HeaderMatch // values are texts, no patterns
}

// demands reports whether the rule asks for a channel; any other does something.
func (r *Rule) demands() bool { return r.Action == ForceTLSAction }

// protects reports whether the action demands something of a channel, of mail that goes out or comes in.
func (r *Rule) protects() bool { return r.demands() || r.Action == RequireTLSAction }

// Does says in words what the rule does with mail, "" for one that demands something of a channel.
func (r *Rule) Does() string {
	if r.protects() {
		return ""
	}
	e := r.does()
	return e.String()
}

// does is what the rule does with mail to a recipient that it names.
func (r *Rule) does() policy.Effect {
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
func (w *walk) take(r *Rule) (why string) {
	e := r.does()
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
		if w.fields += len(e.Fields); w.fields > MaxFields {
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
		case h.roles[i] != named:
		case h.rule.demands():
			w.orders(h.rule.Rule, nil)
		default:
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
		if h.roles[i] != named {
			continue
		}
		if h.rule.demands() {
			w.orders(h.rule.Rule, func(s Step) { out = append(out, s) })
			continue
		}
		e := h.rule.does()
		out = append(out, Step{Rule: e.Rule, Does: e.String(), Not: w.take(h.rule.Rule), Test: e.Test})
	}
	return out
}

// Routes lists the routes that the rules send mail to, each once, with the first rule that does, in the order of the
// file.
func (s *Set) Routes() (out []RouteUse) {
	seen := map[string]bool{}
	for i := range s.live {
		r := s.live[i].Rule
		names := r.ways()
		if r.Action == RedirectAction {
			names = []string{r.Redirect.Route}
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				out = append(out, RouteUse{name, r.Name, r.Line})
			}
		}
	}
	return out
}

// RouteUse is a route of the configuration that a rule names.
type RouteUse struct {
	Route, Rule string
	Line        int
}
