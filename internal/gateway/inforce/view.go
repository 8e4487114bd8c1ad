package inforce

import (
	"slices"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/mail/mimewalk"
	"postern/internal/policy"
	"postern/internal/policy/authorship"
	"postern/internal/policy/rulematch"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// View is what is in force at a moment. It never changes; two Views that are the same pointer are the same moment.
type View struct {
	// Number grows with every change; see the package comment.
	Number int64
	// Rules and Revision are the rules and the number of their revision, 0 when none was ever applied. Rules is nil
	// while Err is not.
	Rules    *rules.Set
	Revision int64
	// Table says where mail goes. It is there also while Err is not nil; nil in a gateway that does not deliver.
	Table *route.Table
	// Clients says which senders our own clients are bound to; nil goes by what bound them when they handed mail in.
	Clients Clients
	// NoDigest has no header fields kept with the messages that are judged.
	NoDigest bool
	// Err is why nothing can be judged, nil when it can.
	Err error
}

// Clients are the bindings of our own clients to senders; *intake.Bindings is them.
type Clients interface {
	// Relays reports whether a message of a client may go to any domain.
	Relays(in *queue.Inbound) bool
	// Bound are the domains that whoever handed in a message is bound to now.
	Bound(in *queue.Inbound) []string
	// Digest is equal for equal bindings, "" for none.
	Digest() string
}

// Bound are the domains whose senders alone whoever handed in a message may use: what says, besides its addresses,
// whose mail it is.
func (v *View) Bound(in *queue.Inbound) []string {
	if v.Clients == nil {
		return in.Bound
	}
	return v.Clients.Bound(in)
}

// With is v with other rules: a question, never in force.
func (v *View) With(other *rules.Set) *View {
	return &View{Number: v.Number, Rules: other, Table: v.Table, Clients: v.Clients}
}

// Judged is what is demanded of one recipient's delivery.
type Judged struct {
	rules.Outcome // of the rules alone
	// Demands are those of the rules, of the configuration and of the sender, Requirement is their join.
	Demands     []policy.Demand
	Requirement policy.Requirement
}

// Judge is JudgeContent of a message that has neither attachments nor text, as far as anybody asks.
func (v *View) Judge(m *queue.Message, header mail.Header, to []mail.Address) ([]Judged, error) {
	return v.JudgeContent(m, header, &Look{}, to)
}

// JudgeContent decides about a message that is to be accepted, recipient by recipient, and notes in it by what, and the
// header fields that rules name. seen is what was seen of its content: where these rules ask and nobody looked, that
// counts as a match. The error is that of the View. Results share memory: treat them as read-only.
func (v *View) JudgeContent(m *queue.Message, header mail.Header, seen *Look, to []mail.Address) ([]Judged, error) {
	if v.Err != nil {
		return nil, v.Err
	}
	m.RulesRevision, m.Judged = v.Revision, v.Number
	if m.Kind == queue.Ordinary && !v.NoDigest {
		m.Digest = header.Digest(v.Rules.HeaderFields())
	}
	return v.judge(m, header, seen.content(v), to, m.AcceptedAt), nil
}

// Copies judges the deliveries of a message's copies, by what was judged of the recipients whom its sender named. Who
// gets a copy changes nothing for those.
func (v *View) Copies(m *queue.Message, header mail.Header, seen *Look, to []mail.Address, of []Judged) []Judged {
	return v.copies(m, header, seen.content(v), to, of, m.AcceptedAt)
}

// copies: a copy of mail that a rule forces is forced, as a notice about it is: with public trust, or the private trust
// configured for its recipient's domain (Inherit), for as long a window; and by the rules that speak of its recipient.
func (v *View) copies(m *queue.Message, header mail.Header, content *mimewalk.Content, to []mail.Address, of []Judged,
	now time.Time) []Judged {
	out := make([]Judged, len(to))
	var lists [][]policy.Demand
	window := time.Duration(0)
	for i := range of {
		if !of[i].Requirement.Forced() {
			continue
		}
		lists = append(lists, of[i].Demands)
		if w := of[i].Window; w > 0 && (window == 0 || w < window) {
			window = w
		}
	}
	for i, a := range to {
		j := &out[i]
		*j = v.judge(m, header, content, []mail.Address{a}, now)[0]
		j.Effects = nil
		if inherited := v.Inherit(a.Domain, lists...); len(inherited) > 0 {
			j.Demands = slices.Concat(j.Demands, inherited)
			j.Requirement = policy.Join(j.Demands)
			if window > 0 && (j.Window == 0 || window < j.Window) {
				j.Window = window
			}
		}
		weighed := Weighed{Demands: j.Demands}
		j.Rules = weighed.Rules()
	}
	return out
}

func (v *View) judge(m *queue.Message, header mail.Header, content *mimewalk.Content, to []mail.Address, now time.Time,
) []Judged {
	f := rulematch.Facts{
		From: m.Envelope.From, Client: m.Inbound.Client,
		Origin:     authorship.Origin{User: m.Inbound.User, Senders: v.Bound(&m.Inbound)},
		Recipients: to, Header: header, Content: content, Size: m.Size - int64(m.Stamped), Now: now,
	}
	for _, r := range to {
		f.Local = append(f.Local, v.Serves(r.Domain))
	}
	decision := v.Rules.Evaluate(&f)
	out := make([]Judged, len(to))
	for i, o := range decision.Recipients {
		out[i] = Judged{Outcome: o, Demands: o.Demands, Requirement: o.Requirement}
		if more := v.Unruled(m, to[i].Domain); len(more) > 0 {
			out[i].Demands = slices.Concat(o.Demands, more)
			out[i].Requirement = policy.Join(out[i].Demands)
		}
	}
	return out
}

// Delivery is a new delivery to a recipient with what it demands, due at once at its next hop, until expires.
func (v *View) Delivery(to mail.Recipient, j *Judged, at, expires time.Time) queue.NewDelivery {
	return queue.NewDelivery{
		NextHop: v.nextHop(to.Address.Domain, j.Effects.Route(), j.Requirement),
		Delivery: queue.Delivery{
			Recipient: to, Requirement: j.Requirement, Demands: j.Demands,
			Rules: j.Rules, Matched: j.Matched, Tested: j.Tested, Effects: j.Effects,
			AcceptedAt: at, Due: at, ExpiresAt: expires, Deadline: expires,
		},
	}
}

// nextHop is where mail to a domain waits under r: at its servers, or at a route that a rule redirects it to.
func (v *View) nextHop(d mail.Domain, redirected string, r policy.Requirement) string {
	if redirected != "" {
		return v.Table.NextHopCalled(redirected, d, r).String()
	}
	return v.Table.NextHop(d, r).String()
}

// TableFor is the table by which mail to a domain finds its way: with the exceptions of the rules that are in force for
// it. It is there also while Err is not nil.
func (v *View) TableFor(d mail.Domain) *route.Table {
	return v.Table.Except(d, v.Rules.Excepted(d, time.Now()), v.Rules.ExceptionEnds(d))
}

// Serves reports whether a domain is one of our own.
func (v *View) Serves(d mail.Domain) bool { return v.Table != nil && v.Table.Serves(d) }

// OwnDomains lists the domains of our own servers.
func (v *View) OwnDomains() []mail.Domain {
	if v.Table == nil {
		return nil
	}
	return v.Table.OwnDomains()
}

// Ordinary is what the configuration demands for a domain without any rule: on the way to a domain of ours.
func (v *View) Ordinary(d mail.Domain) []policy.Demand {
	if v.Table == nil {
		return nil
	}
	o, ok := v.Table.Own(d)
	if !ok {
		return nil
	}
	if r := o.Requirement(); r.Key() != "" {
		return []policy.Demand{{Source: policy.FromOwn(d.String()), Requirement: r}}
	}
	return nil
}

// Unruled is what is demanded of a message on the way to a domain without any rule: what the configuration does, and
// its sender.
func (v *View) Unruled(m *queue.Message, to mail.Domain) []policy.Demand {
	out := v.Ordinary(to)
	if m.Envelope.RequireTLS {
		out = append(out, policy.Demand{Source: policy.FromRequireTLS, Requirement: v.requireTLS(to)})
	}
	return out
}

// requireTLS is what REQUIRETLS demands on the way to a domain: the public trust or DANE, or the trust configured for
// the servers of a domain of ours.
func (v *View) requireTLS(to mail.Domain) policy.Requirement {
	out := policy.RequireTLSDemand()
	if peer := v.ownPeer(to, policy.Authenticated); peer != nil {
		out.Peer = peer
	}
	return policy.Combine(out)
}

// ownPeer is what the configuration says of who the servers of a domain of ours must be; nil for any other.
func (v *View) ownPeer(to mail.Domain, channel policy.Level) []policy.PeerDemand {
	if v.Table == nil {
		return nil
	}
	own, ours := v.Table.Own(to)
	if !ours {
		return nil
	}
	own.Require = max(own.Require, channel)
	return own.Requirement().Peer
}

// strict says what a source demands at its strictest on the way to a recipient, ok false where it is not in force.
func (v *View) strict(source string, to mail.Domain, now time.Time) (r policy.Requirement, ok bool) {
	if name, is := policy.RuleOf(source); is {
		r, ok = v.Rules.Demanded(name, now)
	} else if name, is := policy.OwnOf(source); is && v.Table != nil {
		if d, err := mail.ParseDomain(name); err == nil {
			own, served := v.Table.Own(d)
			r, ok = own.Requirement(), served
		}
	} else if source == policy.FromRequireTLS {
		r, ok = v.requireTLS(to), true
	}
	if from, inherited := policy.Inherited(source); inherited && ok {
		r = v.inherit(r, to)
		ok = r.Forced() && v.inherits(from, to)
	}
	return r, ok
}

// inherits reports whether a notice to a domain inherits anything from a source. What the configuration demands on the
// way to our own servers concerns that way alone: it is passed on to a notice that goes to servers of our own, and
// never to one that goes to a stranger, whose server may have no TLS at all. What rules force is inherited wherever the
// notice goes. REQUIRETLS is not inherited: the notice says it itself.
func (v *View) inherits(source string, to mail.Domain) bool {
	_, own := policy.OwnOf(source)
	return source != policy.FromRequireTLS && (!own || v.Serves(to))
}

// inherit is what a notice to a domain demands because the mail it speaks of demanded r: the same, but with public
// trust, or the private trust configured for that domain.
func (v *View) inherit(r policy.Requirement, to mail.Domain) policy.Requirement {
	if !r.Forced() {
		return policy.Requirement{}
	}
	out := policy.Requirement{Channel: r.Channel, MinTLS: r.MinTLS, KeyExchange: r.KeyExchange, MinBits: r.MinBits,
		MX: r.MX, PinnedBy: r.PinnedBy, Revocation: r.Revocation}
	out.Peer = v.ownPeer(to, r.Channel)
	return policy.Combine(out)
}

// Inherit is what a notice to a domain demands because of deliveries with these demands, each source once; see
// inherits.
func (v *View) Inherit(to mail.Domain, lists ...[]policy.Demand) []policy.Demand {
	var out []policy.Demand
	for _, ds := range lists {
		for _, d := range ds {
			r := v.inherit(d.Requirement, to)
			if !r.Forced() || !v.inherits(d.Source, to) {
				continue
			}
			source := policy.About(d.Source)
			i := slices.IndexFunc(out, func(o policy.Demand) bool { return o.Source == source })
			if i < 0 {
				out = append(out, policy.Demand{Source: source, Requirement: r})
				continue
			}
			out[i].Requirement = policy.Combine(out[i].Requirement, r)
		}
	}
	return out
}

// standing is what is demanded at this moment of a delivery with these demands: what the judgement says, and what it
// inherited from sources that are still in force.
func (v *View) standing(old []policy.Demand, to mail.Domain, j *Judged, now time.Time) []policy.Demand {
	out := j.Demands
	for _, d := range old {
		if _, inherited := policy.Inherited(d.Source); !inherited {
			continue
		}
		if slices.ContainsFunc(j.Demands, func(o policy.Demand) bool { return o.Source == d.Source }) {
			continue // of a copy, judged with what it is of
		}
		if r, ok := v.strict(d.Source, to, now); ok {
			out = append(slices.Clip(out), policy.Demand{Source: d.Source, Requirement: r})
		}
	}
	return out
}

// Weighed is what a delivery is to demand.
type Weighed struct {
	Demands     []policy.Demand
	Requirement policy.Requirement
	// More says that this is more than what is in force, because nobody said that it may get less.
	More bool
}

// Rules are the names of the rules that demand, each once.
func (w *Weighed) Rules() (out []string) {
	for _, d := range w.Demands {
		if name, ok := policy.RuleOf(d.Source); ok && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Sourced are the demands of a stored delivery; see queue.Delivery.Sourced.
func (v *View) Sourced(d *queue.Delivery, kind queue.Kind) []policy.Demand {
	return d.Sourced(kind, len(v.Ordinary(d.Recipient.Address.Domain)) > 0)
}

// Weigh holds a delivery against what is in force: what it demands from now on where nobody said that it may get less.
func (v *View) Weigh(d *queue.Delivery, kind queue.Kind, j *Judged, now time.Time) Weighed {
	return v.Renew(v.Sourced(d, kind), d.Recipient.Address.Domain, j, now)
}

// Renew is Weigh of a delivery to a domain with these demands.
func (v *View) Renew(old []policy.Demand, to mail.Domain, j *Judged, now time.Time) Weighed {
	standing := v.standing(old, to, j, now)
	out := Weighed{Demands: policy.Renew(old, standing, func(source string) (policy.Requirement, bool) {
		return v.strict(source, to, now)
	})}
	out.Requirement = policy.Join(out.Demands)
	out.More = protection(out.Requirement) != protection(policy.Join(standing))
	return out
}

// protection is a text equal for requirements that protect the same. Where the ladder starts protects nothing.
func protection(r policy.Requirement) string {
	r.Aim = policy.Plaintext
	return r.Key()
}

// Exact is what is in force of a delivery, and nothing else.
func (v *View) Exact(d *queue.Delivery, kind queue.Kind, j *Judged, now time.Time) Weighed {
	out := Weighed{Demands: v.standing(v.Sourced(d, kind), d.Recipient.Address.Domain, j, now)}
	out.Requirement = policy.Join(out.Demands)
	return out
}
