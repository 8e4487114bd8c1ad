// Package hindsight says what would have become of a past delivery under other demands.
//
// It has no judgement of its own: policy.Verdict judges, as it does when mail is sent, and certcheck examines the
// chain. The record of a delivery says which host was reached by which TLS version, what spoke for the name of the host
// and what was found out about revocation; the certificates that the server showed are kept whole and are examined
// again, at the time of the connection, against the roots, the CA files and the remembered names of mail hosts of now.
//
// What nobody examined then is open: revocation where nobody asked, a certificate that is not kept. An open question is
// never good and never bad. What falls short all the same decides; else the answer is NotKnown.
//
// The delivery is judged by itself, as if it were the next one. The connection that carried it is what is judged: that
// another host, which was not needed then, would have passed is not known.
package hindsight

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/history/certstore"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// Outcome is what would have become of a delivery.
type Outcome string

// The outcomes.
const (
	AsNow       Outcome = "as-now"   // what it reached would have done
	WouldWait   Outcome = "waits"    // it would have waited until the other side mends it, or its time is over
	WouldReturn Outcome = "returned" // its sender would have been told at once
	NotKnown    Outcome = "unknown"  // what would have been examined was not
)

// Answer is an outcome with its reason. Reason is "" where it is not known, both are where all stays as it was.
type Answer struct {
	Outcome Outcome
	Reason  policy.Reason
	Text    string // for people
}

// Sources are where what is known now is asked for. Each may be nil; what it would tell is open then.
type Sources struct {
	// Certificates finds certificates by their digests, certstore.Keeper for instance.
	Certificates func(ctx context.Context, digests []string) ([]certstore.Certificate, error)
	// Roots are the pools of trusts, as roots.Store hands them out: without those that cannot be read.
	Roots func(trusts ...string) (map[string]*x509.CertPool, error)
	// Pins is what is remembered of a domain's mail hosts.
	Pins func(ctx context.Context, domain string) ([]mxpins.Pin, error)
}

// Judge answers for many deliveries and keeps what they share. It belongs to one goroutine.
type Judge struct {
	sources  Sources
	known    map[string]*x509.Certificate // by digest; nil where it is not kept
	examined map[string]map[string]policy.Proof
	pins     map[string][]mxpins.Pin
	firstUse map[string]string // rule and domain -> the name that a first use would have taken
}

// keptMost bounds each of the maps of a Judge; a full one begins anew.
const keptMost = 20_000

// New returns a Judge.
func New(s Sources) *Judge {
	return &Judge{sources: s, known: map[string]*x509.Certificate{}, examined: map[string]map[string]policy.Proof{},
		pins: map[string][]mxpins.Pin{}, firstUse: map[string]string{}}
}

// remember puts a value into one of the maps of a Judge.
func remember[V any](m map[string]V, key string, v V) V {
	if len(m) >= keptMost {
		clear(m)
	}
	m[key] = v
	return v
}

// Ask says what would have become of a delivery under a requirement. Only one that was delivered is looked at: what
// failed or waits would not have done better for a higher demand.
func (j *Judge) Ask(ctx context.Context, r *queue.Record, req policy.Requirement) Answer {
	if r.State != queue.Delivered || !req.Forced() {
		return Answer{Outcome: AsNow}
	}
	a, used := carried(r)
	if used == nil {
		return Answer{Outcome: NotKnown, Text: "the record does not say how it was carried"}
	}
	session := used.TLS()
	if session == nil {
		return withoutTLS(a, used, req)
	}
	p := past{Judge: j, used: used, domain: r.Recipient.Address.Domain, made: r.Requirement, asked: req,
		evidence: *used.Evidence}
	p.evidence.TLSVersion, p.evidence.Peers = smtp.TLSVersion(session.Version), map[string]policy.Proof{}
	if p.evidence.TLSVersion == 0 && req.VersionFloor() > 0 {
		return Answer{Outcome: NotKnown, Text: "the connection used " + session.Version}
	}
	p.leaveStrength(session)
	if req.Channel >= policy.Authenticated {
		p.judgeHost(ctx) // before demands are left out
		p.examine(ctx)
		p.leaveRevocation()
	}
	if short := policy.Verdict(p.asked, p.evidence); len(short) > 0 {
		return Answer{WouldWait, short[0].Reason, short[0].Text}
	}
	if p.open != "" {
		return Answer{Outcome: NotKnown, Text: p.open}
	}
	return Answer{Outcome: AsNow}
}

// leaveStrength leaves open what the record does not say of key exchange and cipher. TLS before 1.3 may have no group.
func (p *past) leaveStrength(session *mail.TLS) {
	if session.Bits == 0 && p.asked.MinBits > 0 {
		p.leave("the record does not say how strong the cipher was")
		p.asked.MinBits = 0
	}
	if session.Group == "" && p.evidence.TLSVersion >= tls.VersionTLS13 && p.asked.KeyExchange > policy.AnyExchange {
		p.leave("the record does not say which key exchange was used")
		p.asked.KeyExchange = policy.AnyExchange
	}
}

// carried returns the newest attempt that carried a delivery, and its connection; nil where the record has none.
func carried(r *queue.Record) (newest *attempt.Attempt, used *attempt.Try) {
	for i := range r.History {
		a := &r.History[i]
		if u := a.Used(); u != nil && (newest == nil || a.At.After(newest.At)) {
			newest, used = a, u
		}
	}
	return newest, used
}

// withoutTLS is the answer of a delivery that went in the clear: why its server had no TLS.
func withoutTLS(a *attempt.Attempt, used *attempt.Try, req policy.Requirement) Answer {
	for i := range a.Tries { // handshakes that failed on the way down
		t := &a.Tries[i]
		if t.IP == used.IP && t.Port == used.Port && t.Rung != attempt.Plain && t.Reason != "" && !noTLS(t.Reason) {
			return Answer{WouldWait, t.Reason, t.Text}
		}
	}
	out := Answer{WouldWait, policy.StartTLSNotOffered, "the server had no TLS"}
	if noTLS(used.Reason) {
		out.Reason, out.Text = used.Reason, used.Text
	}
	if req.WithoutTLS == policy.WithoutTLSReject {
		out.Outcome = WouldReturn
	}
	return out
}

// noTLS reports whether a reason says that a server did not offer TLS.
func noTLS(r policy.Reason) bool {
	return r == policy.StartTLSNotOffered || r == policy.StartTLSStripped
}

// past is a connection made ready for a verdict under other demands.
type past struct {
	*Judge
	used     *attempt.Try
	domain   mail.Domain        // the recipient's
	made     policy.Requirement // what was demanded then
	evidence policy.Evidence
	asked    policy.Requirement // without what is open
	open     string             // the first thing that nobody examined
}

func (p *past) leave(why string) {
	if p.open == "" {
		p.open = why
	}
}

// judgeHost asks what the rules remember of the host's name, as is done before mail is sent.
func (p *past) judgeHost(ctx context.Context) {
	if p.asked.MX != policy.MXPinned || p.evidence.MXProven || !p.asked.TrustsMXName() || len(p.asked.PinnedBy) == 0 {
		return // the record tells
	}
	pins, ok := p.pinsOf(ctx)
	if !ok {
		p.leave("what is remembered of the domain's mail hosts cannot be read")
		p.asked.MX = policy.MXAny
		return
	}
	host, _ := mail.ParseDomain(p.used.Host) // what is none has no name
	opinion := mxpins.Judge(pins, p.domain.String(), p.asked.PinnedBy, host)
	p.evidence.MXPins = opinion.Proofs
	for _, rule := range opinion.New {
		name, key := mxpins.Registrable(host), rule+" "+p.domain.String()
		if first, used := p.firstUse[key]; !used {
			remember(p.firstUse, key, name)
		} else if first != name {
			p.leave("rule " + rule + " remembers no mail host of " + p.domain.String() + " yet, and mail went to " +
				"hosts below " +
				first + " and " + name)
		}
	}
}

func (p *past) pinsOf(ctx context.Context) ([]mxpins.Pin, bool) {
	domain := p.domain.String()
	if pins, ok := p.pins[domain]; ok {
		return pins, true
	}
	if p.sources.Pins == nil {
		return nil, false
	}
	pins, err := p.sources.Pins(ctx, domain)
	if err != nil {
		return nil, false
	}
	return remember(p.pins, domain, pins), true
}

// examine gives a proof for each demand: of the kept chain, or, where it is not kept, of a demand that was made and met
// then. The others are open.
func (p *past) examine(ctx context.Context) {
	kept := false
	if chain := p.chain(ctx); chain != nil && p.sources.Roots != nil {
		p.evidence.Peers, kept = maps.Clone(p.proofs(chain)), true
	}
	var answered []policy.PeerDemand
	for _, d := range p.asked.Demands() {
		switch {
		case p.isExamined(d, kept):
		case p.metThen(d):
			p.evidence.Peers[d.Key()] = policy.Proof{}
		case d.By == policy.ByChain:
			p.leave("the certificates that the server showed are not kept")
			continue
		default:
			p.leave("what TLSA records the mail host had was not looked at")
			continue
		}
		answered = append(answered, d)
	}
	if p.asked.Peer = answered; len(answered) == 0 { // no demand means the public one, which is open too then
		p.evidence.Peers[policy.PublicDemand().Key()] = policy.Proof{}
	}
}

// isExamined reports whether the verdict knows all about a demand: the chain where it was kept, the TLSA records where
// they were examined then.
func (p *past) isExamined(d policy.PeerDemand, kept bool) bool {
	switch d.By {
	case policy.ByChain:
		return kept
	case policy.ByEither:
		return kept && (p.evidence.DANE != nil || len(p.evidence.Peers[d.Key()].Shortfalls) == 0) ||
			p.evidence.DANE.Proven()
	}
	return p.evidence.DANE != nil
}

// metThen reports whether a demand on the chain was made then, and met. What a TLSA record proved says nothing of the
// chain.
func (p *past) metThen(d policy.PeerDemand) bool {
	byChain := p.made.Channel == policy.Authenticated || p.used.ProvedBy != policy.ByDANEEE &&
		p.used.ProvedBy != policy.ByDANETA
	return byChain && p.used.Reached >= policy.Authenticated && slices.ContainsFunc(p.made.Demands(),
		func(m policy.PeerDemand) bool { return m.Key() == d.Key() })
}

// chain is the certificates that the server showed, nil where one is not kept or some may have been left out of the
// record.
func (p *past) chain(ctx context.Context) []*x509.Certificate {
	facts := p.evidence.Chain
	if len(facts) == 0 || len(facts) >= certcheck.MaxCertificates {
		return nil
	}
	if len(p.known) >= keptMost {
		clear(p.known) // before, and not between the certificates of this chain
	}
	var missing []string
	for i := range facts {
		if _, asked := p.known[facts[i].SHA256]; !asked {
			missing = append(missing, facts[i].SHA256)
		}
	}
	if len(missing) > 0 && p.sources.Certificates != nil {
		kept, err := p.sources.Certificates(ctx, missing)
		if err != nil {
			return nil // and asked again for the next one
		}
		for _, digest := range missing {
			p.known[digest] = nil
		}
		for _, c := range kept {
			if parsed, err := x509.ParseCertificate(c.DER); err == nil {
				p.known[c.SHA256] = parsed
			}
		}
	}
	out := make([]*x509.Certificate, len(facts))
	for i := range facts {
		if out[i] = p.known[facts[i].SHA256]; out[i] == nil {
			return nil
		}
	}
	return out
}

// proofs examines a chain against what is asked for. Deliveries of an hour share it, unless a certificate begins or
// ends in it.
func (p *past) proofs(chain []*x509.Certificate) map[string]policy.Proof {
	at := p.used.At
	hour := at.Truncate(time.Hour)
	for _, c := range chain {
		if c.NotBefore.Truncate(time.Hour).Equal(hour) || c.NotAfter.Truncate(time.Hour).Equal(hour) {
			hour = at
		}
	}
	demands := p.asked.ChainDemands()
	key := strings.Join([]string{p.used.Host, p.domain.String(), hour.UTC().Format(time.RFC3339Nano)}, " ")
	var trusts []string
	for i := range chain {
		key += " " + p.evidence.Chain[i].SHA256
	}
	for _, d := range demands {
		key += " " + d.Key()
		trusts = append(trusts, d.Trust)
	}
	if proofs, ok := p.examined[key]; ok {
		return proofs
	}
	host, _ := mail.ParseDomain(p.used.Host)
	roots, _ := p.sources.Roots(trusts...) // one that cannot be read proves nothing, as when mail is sent
	proofs := certcheck.Examine(certcheck.Input{Chain: chain, Host: host, Domain: p.domain, Demands: demands,
		Roots: roots, Now: at}).Peers
	return remember(p.examined, key, proofs)
}

// leaveRevocation leaves revocation open where nobody asked, and with it whether the certificate promises a staple. The
// answer that is recorded is about the chains that the demands of then rested on.
func (p *past) leaveRevocation() {
	if p.asked.Revocation == policy.RevocationOff {
		return
	}
	made := p.made.Demands()
	same := func(d policy.PeerDemand) bool {
		return slices.ContainsFunc(made, func(m policy.PeerDemand) bool {
			return m.Trust == d.Trust && slices.Equal(m.Pins, d.Pins)
		})
	}
	switch {
	case p.evidence.Revocation == "":
		p.leave("nobody asked whether the certificate was revoked, or promises a stapled answer")
	case slices.ContainsFunc(p.asked.ChainDemands(), func(d policy.PeerDemand) bool { return !same(d) }):
		p.leave("whether the certificate was revoked was asked of another chain")
	default:
		return
	}
	p.asked.Revocation = policy.RevocationOff
}
