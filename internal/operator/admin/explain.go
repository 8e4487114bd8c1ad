package admin

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/mail/mimewalk"
	"postern/internal/operator/access"
	"postern/internal/operator/past"
	"postern/internal/operator/trial"
	"postern/internal/policy"
	"postern/internal/policy/authorship"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulematch"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// ExplainRequest asks which rules would match a message, without sending it.
type ExplainRequest struct {
	From   string   `json:"from,omitempty"`   // "" takes it from Message
	To     []string `json:"to,omitempty"`     // none takes them from Message
	Header []byte   `json:"header,omitempty"` // header section of the message
	Size   int64    `json:"size,omitempty"`   // of the message in bytes
	Client string   `json:"client,omitempty"` // address of the sending host
	// Content is what its attachments and text are; nil takes it from Message. What is not known counts as a match of
	// what rules ask of it.
	Content *mimewalk.Content `json:"content,omitempty"`
	// Bound are the domains that the configuration binds the client to, and User who logged in.
	Bound []string `json:"bound,omitempty"`
	User  string   `json:"user,omitempty"`
	// Message is a message, or the beginning of one, from which is taken what is not said here.
	Message []byte `json:"message,omitempty"`
	// Offline has nobody asked what recipients' domains publish.
	Offline bool `json:"offline,omitempty"`
	// Edit, when not nil, asks about the rules as they would be with it.
	Edit *Proposal `json:"edit,omitempty"`
	// Arrival is what the client comes with, for rules about incoming mail.
	Arrival Arrival `json:"arrival,omitzero"`
}

// Proposal is a rule as it might be.
type Proposal struct {
	Name string `json:"name,omitempty"` // the rule in force in whose place it stands; "" adds one
	// Rule is its TOML with its line [[rule]]; "" leaves the rule out.
	Rule string `json:"rule,omitempty"`
}

// Explanation is the answer: each rule's and each recipient's why.
type Explanation struct {
	Revision int64 `json:"revision"`
	// From is the sender that was asked about, and Taken says in sentences what was taken from the message.
	From       string                  `json:"from"`
	Taken      []string                `json:"taken,omitempty"`
	Rules      []rules.RuleExplanation `json:"rules"`
	Recipients []ExplainedRecipient    `json:"recipients"`
	// Inbound is what rules about incoming mail make of it, nil where there are none or no recipient is ours.
	Inbound *ExplainedArrival `json:"inbound,omitempty"`
	// Warnings say what is worth knowing of the rules themselves, such as what they do not cover.
	Warnings []rules.Warning `json:"warnings,omitempty"`
}

// ExplainedRecipient is what one recipient's delivery would require.
type ExplainedRecipient struct {
	Recipient string       `json:"recipient"`
	Requires  policy.Level `json:"requires"`
	Matched   bool         `json:"matched"` // named by a rule itself, not only tainted
	Rules     []string     `json:"rules,omitempty"`
	// Because says of a recipient whom no rule names, and who is protected all the same, because of whom, and what
	// would leave him out; "" for others.
	Because string `json:"because,omitempty"`
	// how long it may wait, as in a rules file; "": the ordinary lifetime
	Window string       `json:"window,omitempty"`
	Tested []string     `json:"tested,omitempty"` // rules in test mode that would have had a say
	Parts  []rules.Part `json:"parts,omitempty"`
	// Effects are what rules would do with the mail, once; Does the same in words, with what they would not, and why.
	Effects policy.Effects `json:"effects,omitempty"`
	Does    []rules.Step   `json:"does,omitempty"`
	// WithoutTLS is what becomes of it where the server offers no TLS at all: "defer" or "reject", which is at once;
	// "" where it is sent without.
	WithoutTLS string `json:"without_tls,omitempty"`
	Own        bool   `json:"own,omitempty"` // a domain of our own servers, which outbound rules are not about
	// Publishing is what the recipient's domain publishes; it holds besides what rules demand.
	Publishing *Publishing `json:"published"`
	// Lately is what mail to the domain reached lately; null where nobody looked.
	Lately *past.Lately `json:"lately"`
}

// explain answers with a view. Of what is published somebody is asked where unasked is "".
func (s *Service) explain(ctx context.Context, v *inforce.View, own []mail.Domain, r *ExplainRequest,
	unasked string) (Explanation, outcomes, error) {
	out, demanded, err := explainWith(v, r, own, time.Now(), s.cfg.Hindsight.Roots)
	out.Revision = v.Revision
	if err != nil {
		return out, demanded, err
	}
	switch {
	case unasked != "":
	case r.Offline:
		unasked = "the question said so"
	case v.Table == nil:
		unasked = "this gateway does not deliver"
	}
	anyway := map[mail.Domain]policy.Requirement{}
	for i, to := range demanded.to {
		list := append(v.Ordinary(to.Domain), policy.Demand{Requirement: demanded.requirements[i]})
		anyway[to.Domain] = policy.Join(list)
	}
	var found map[mail.Domain]*Publishing
	if unasked == "" {
		found = publishing(ctx, v, anyway)
	}
	for i, to := range demanded.to {
		if out.Recipients[i].Publishing = found[to.Domain]; unasked != "" {
			out.Recipients[i].Publishing = &Publishing{NotAsked: unasked}
		}
	}
	return out, demanded, nil
}

// outcomes are what is demanded of the recipients of a message, in their order.
type outcomes struct {
	to           []mail.Address
	requirements []policy.Requirement
	// tested are the same with what rules on trial would demand.
	tested []policy.Requirement
}

// ExplainWith answers with any set; own are the domains of our own servers. Nobody is asked what is published, and no
// past mail is looked at.
func ExplainWith(set *rules.Set, r ExplainRequest, own []mail.Domain, now time.Time) (Explanation, error) {
	out, _, err := explainWith(&inforce.View{Rules: set}, &r, own, now, nil)
	for i := range out.Recipients {
		out.Recipients[i].Publishing = &Publishing{NotAsked: "no running gateway was asked"}
	}
	return out, err
}

func explainWith(v *inforce.View, r *ExplainRequest, own []mail.Domain, now time.Time, roots roots) (
	Explanation, outcomes, error) {
	taken := r.complete()
	facts, err := r.facts(own)
	if err != nil {
		return Explanation{}, outcomes{}, err
	}
	set, relays := v.Rules, r.handedIn(v, facts)
	facts.Now = now
	e := set.Explain(facts)
	all := outcomes{to: facts.Recipients}
	out := Explanation{From: facts.From.String(), Taken: taken, Rules: e.Rules, Recipients: []ExplainedRecipient{},
		Warnings: set.Warnings(now, own...)}
	for i, one := range e.Recipients {
		o := one.Outcome
		all.requirements, all.tested = append(all.requirements, o.Requirement), append(all.tested, o.Requirement)
		if len(o.Tested) > 0 {
			all.tested[i] = o.TestedRequirement
		}
		out.Recipients = append(out.Recipients,
			ExplainedRecipient{Recipient: one.Recipient, Requires: o.Requirement.Channel, Matched: o.Matched,
				Rules: o.Rules, Because: becauseOf(e.Recipients, i), Window: one.Window, Tested: o.Tested,
				Parts: one.Parts, Effects: o.Effects, Does: one.Does, WithoutTLS: withoutTLS(o.Requirement),
				Own: i < len(facts.Local) && facts.Local[i]})
	}
	out.Inbound, err = explainArrival(set, r, facts, roots, relays)
	return out, all, err
}

// handedIn finds out what the client that was named is bound to, unless the question says so, and whether it may relay.
// A client that nobody named may be any.
func (r *ExplainRequest) handedIn(v *inforce.View, f *rulematch.Facts) (relays bool) {
	f.Somebody = !f.Client.IsValid()
	if v.Clients == nil || f.Somebody && r.User == "" {
		return false
	}
	in := &queue.Inbound{Client: f.Client, User: r.User}
	in.Relayed = v.Clients.Relays(in)
	if len(r.Bound) == 0 {
		f.Origin.Senders = v.Clients.Bound(in)
	}
	return in.Relayed
}

// becauseOf says of a recipient who is protected because of others, of whom, and what would leave him out.
func becauseOf(all []rules.RecipientExplanation, i int) string {
	one := &all[i]
	if one.Matched || len(one.Rules) == 0 || !one.Requirement.Forced() {
		return ""
	}
	var named []string
	for _, other := range all {
		shared := slices.ContainsFunc(other.Rules, func(rule string) bool { return slices.Contains(one.Rules, rule) })
		if other.Matched && shared && len(named) < rule.MaxBecause {
			named = append(named, other.Recipient)
		}
	}
	return rule.Because(one.Rules, named)
}

// withoutTLS is what becomes of a delivery to a server that offers no TLS.
func withoutTLS(r policy.Requirement) string {
	switch {
	case !r.Forced():
		return ""
	case r.WithoutTLS == policy.WithoutTLSReject:
		return "reject"
	}
	return "defer"
}

// complete fills in from the message what is not said, and returns what was taken from it.
func (r *ExplainRequest) complete() []string {
	if len(r.Message) == 0 {
		return nil
	}
	m := trial.Read(r.Message)
	if len(r.Header) == 0 {
		r.Header = m.Header
	}
	if r.Size == 0 {
		r.Size = m.Size
	}
	if r.Content == nil && r.Size <= int64(len(r.Message)) {
		var w mimewalk.Walker
		_, _ = w.Write(r.Message) // it never fails
		seen := w.Content()
		r.Content = &seen
	}
	from, to := r.From == "", len(r.To) == 0
	if from {
		r.From = m.From
	}
	if to {
		r.To = m.To
	}
	return m.Notes(from, to)
}

func (r *ExplainRequest) facts(own []mail.Domain) (*rulematch.Facts, error) {
	f := &rulematch.Facts{Size: r.Size, Header: mail.ParseHeader(r.Header), Content: r.Content,
		Origin: authorship.Origin{User: r.User, Senders: r.Bound}}
	var err error
	if r.From != "" && r.From != "<>" {
		if f.From, err = mail.ParseAddress(r.From); err != nil {
			return nil, access.BadRequest("the sender is %w", err)
		}
	}
	if len(r.To) == 0 {
		return nil, access.BadRequest("name at least one recipient, or give a message that does")
	}
	for _, to := range r.To {
		a, err := mail.ParseAddress(to)
		if err != nil {
			return nil, access.BadRequest("the recipient is %w", err)
		}
		f.Recipients = append(f.Recipients, a)
		f.Local = append(f.Local, slices.Contains(own, a.Domain))
	}
	if r.Client != "" {
		if f.Client, err = netip.ParseAddr(r.Client); err != nil {
			return nil, access.BadRequest("%q is no IP address", r.Client)
		}
	}
	return f, nil
}
