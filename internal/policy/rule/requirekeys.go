package rule

import (
	"crypto/tls"
	"slices"

	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

// keys is the table, in the order of printing: a section stands in one piece.
var keys = func() []Key { return withUnless(slices.Concat(firstKeys, requireKeys)) }()

// ClientProof is the area of how a client proves who it is.
const ClientProof = "How the client proves who it is"

// requireKeys are the keys of [rule.require_tls].
var requireKeys = []Key{
	{Name: "require_tls.level", Example: `"encrypted"`,
		Doc: "`\"encrypted\"`: any TLS; `\"authenticated\"`: the client shows a certificate that proves one of " +
			"`names`. No client needs the usage clientAuth in it. Every server is then asked for its certificate.",
		Label:   "Mail must come over",
		Choices: []Choice{{"encrypted", "any TLS"}, {"authenticated", "TLS with a certificate that says who sends"}},
		kind: ranked(func(r *Rule) *policy.Level { return &r.RequireTLS.Level }, policy.Encrypted,
			"encrypted", "authenticated"),
		weaker: func(b, a *Rule) bool { return a.RequireTLS.Level < b.RequireTLS.Level }},
	{Name: "require_tls.names", Example: `["mail.partner.test"]`,
		Doc: "the names that a certificate may carry: `\"domain\"`, the domain of the envelope sender or a name " +
			"directly below it; or a list, as in `[rule.force_tls]`. The null sender has no domain: for bounces " +
			"write a list.",
		Label: "The certificate must name", Place: "domain",
		Help: "domain: the sender's domain. Or names, one a line: mail.partner.test, *.partner.test",
		kind: kind{shape: WordOrList, Words: []string{"domain"}, read: readClientNames,
			get: func(r *Rule) any { return namesValue(r.RequireTLS.Names) }},
		weaker: func(b, a *Rule) bool { return moreNames(b.RequireTLS.Names, a.RequireTLS.Names) }},
	{Name: "require_tls.trust", Example: `"/etc/postern/partner-ca.pem"`,
		Doc:   "as in `[rule.force_tls]`",
		Label: "Trusted CA", Place: "public", Help: "public, or the file of a private CA on the gateway.",
		kind:   line(func(r *Rule) *string { return &r.RequireTLS.Trust }, rulevalue.CheckTrust),
		weaker: func(_, _ *Rule) bool { return true }},
	{Name: "require_tls.pins", Default: "none",
		Example: `["sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]`,
		Doc:     "as in `[rule.force_tls]`",
		Label:   "Pinned keys", Place: "sha256:…",
		Help:   "One of them suffices. Add the next key before the partner changes to it.",
		kind:   pinsOf(func(r *Rule) *[]string { return &r.RequireTLS.Pins }),
		weaker: func(b, a *Rule) bool { return wider(b.RequireTLS.Pins, a.RequireTLS.Pins) }},
	{Name: "require_tls.revocation", Example: `"check"`,
		Doc:   "as in `[rule.force_tls]`; the client hears our answer that much later",
		Label: "Revocation",
		Choices: []Choice{{"check", "check: a revoked certificate is refused, an unknown state is noted"},
			{"require", "require: an unknown state is refused for now"}, {"off", "off"}},
		kind: ranked(func(r *Rule) *policy.Revocation { return &r.RequireTLS.Revocation }, 0,
			"off", "check", "require"),
		weaker: func(b, a *Rule) bool { return a.RequireTLS.Revocation < b.RequireTLS.Revocation }},
	{Name: "require_tls.min_tls", Example: `"1.2"`,
		Doc: "as in `[rule.force_tls]`", Label: "TLS at least", Choices: versionChoices,
		kind: ranked(func(r *Rule) *uint16 { return &r.RequireTLS.MinTLS }, tls.VersionTLS10,
			"1.0", "1.1", "1.2", "1.3"),
		weaker: func(b, a *Rule) bool { return a.RequireTLS.MinTLS < b.RequireTLS.MinTLS }},
	{Name: "require_tls.key_exchange", Default: "any", Example: `"hybrid"`,
		Doc: "as in `[rule.force_tls]`", Label: "Key exchange", Choices: exchangeChoices,
		kind:   exchangeOf(func(r *Rule) *policy.KeyExchange { return &r.RequireTLS.KeyExchange }),
		weaker: func(b, a *Rule) bool { return a.RequireTLS.KeyExchange < b.RequireTLS.KeyExchange }},
	{Name: "require_tls.min_bits", Default: "none", Example: "128",
		Doc: "as in `[rule.force_tls]`. With TLS 1.3 this gateway takes AES of 128 bits where a client offers it, " +
			"so `256` shuts out most clients.",
		Label: "Bits of the cipher at least", Choices: bitsChoices,
		kind:   bitsOf(func(r *Rule) *int { return &r.RequireTLS.MinBits }),
		weaker: func(b, a *Rule) bool { return a.RequireTLS.MinBits < b.RequireTLS.MinBits }},
	{Name: "require_tls.refuse", Example: `"defer"`,
		Doc: "`\"defer\"`: 451 4.7.x, the client keeps the mail and tries again; `\"reject\"`: 550 5.7.x, the sender " +
			"hears it at once. Of several rules that refuse all must say `\"reject\"`. What cannot be judged is " +
			"deferred.",
		Label:   "What falls short",
		Choices: []Choice{{"defer", "is deferred: the other side tries again"}, {"reject", "is rejected at once"}},
		kind:    oneOf(func(r *Rule) *Refuse { return &r.RequireTLS.Refuse }, RefuseDefer, RefuseReject)},
}

var versionChoices = []Choice{{"1.2", "1.2"}, {"1.3", "1.3"}, {"1.1", "1.1 (weak)"}, {"1.0", "1.0 (weak)"}}

var exchangeChoices = []Choice{{"", "any"}, {"hybrid", "hybrid: safe from quantum computers too"}}

var bitsChoices = []Choice{{"", "any"}, {"128", "128"}, {"256", "256"}}

// Refuse is the key refuse.
type Refuse string

// The values of refuse.
const (
	RefuseDefer  Refuse = "defer"
	RefuseReject Refuse = "reject"
)

// RequireTLS is the section [rule.require_tls]: what mail must come in with.
type RequireTLS struct {
	Level       policy.Level // Encrypted or Authenticated
	Names       policy.Names // Domain, of the envelope sender, or a List
	Trust       string       // policy.PublicTrust or a path as written
	Pins        []string     // "sha256:<hex>", lower case
	Revocation  policy.Revocation
	MinTLS      uint16 // as in crypto/tls
	KeyExchange policy.KeyExchange
	MinBits     int // 0 is unset
	Refuse      Refuse
}

func defaultRequireTLS() RequireTLS {
	return RequireTLS{
		Level: policy.Encrypted, Names: policy.Names{Domain: true}, Trust: policy.PublicTrust,
		Revocation: policy.RevocationCheck, MinTLS: tls.VersionTLS12, Refuse: RefuseDefer,
	}
}

// Requirement is what the section demands of a client's channel.
func (f *RequireTLS) Requirement() policy.Requirement {
	out := policy.Requirement{Channel: f.Level, MinTLS: f.MinTLS, KeyExchange: f.KeyExchange, MinBits: f.MinBits}
	if f.Level == policy.Authenticated {
		out.Peer = []policy.PeerDemand{{Trust: f.Trust, Names: f.Names, Pins: f.Pins}}
		out.Revocation = f.Revocation
	}
	return policy.Combine(out)
}
