package rule

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

// Key is one key of a rule. The table below is the grammar of rules: reading and printing TOML, Diff, the JSON of a
// rule, its schema in the API, the form of the console and the tables of docs/rules.md follow it.
type Key struct {
	Name string // "match.sender" stands in [rule.match]
	// Doc is the meaning in the manual, in Markdown. Default stands there where the value of a new rule tells less.
	Doc, Default string
	Example      string // a value as TOML
	// Label and Help are the words of the form, and Place is what stands in an empty field.
	Label, Help, Place string
	// Choices are the values that the form offers; none are any. Ticked is the value of a box that is ticked; what is
	// not ticked has the default.
	Choices []Choice
	Ticked  string

	kind
	// weaker reports whether the change from before to after may leave some message with less protection. It is asked
	// only when the texts differ; nil means never. Times (defer, without_tls) take no protection away: mail waits
	// longer or shorter, but never travels weaker.
	weaker func(before, after *Rule) bool
}

// Choice is a value with what the form says of it.
type Choice struct{ Value, Words string }

// Title is the name of a section as a type.
func Title(section string) string {
	var out strings.Builder
	for word := range strings.SplitSeq(section, "_") {
		if word == "tls" {
			word = "TLS"
		}
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}

// Default is a rule before its keys are read.
func Default() Rule {
	return Rule{
		Scope: Outbound,
		Mode:  Enforce,
		Hold:  Hold{Days: 7, Then: policy.ThenReturn},
		ForceTLS: ForceTLS{
			Unspecified: UnspecifiedForce,
			Names:       policy.Names{MX: true},
			MX:          policy.MXPinned,
			Trust:       policy.PublicTrust,
			Revocation:  policy.RevocationCheck,
			MinTLS:      tls.VersionTLS12,
			Defer:       24 * time.Hour,
		},
		RequireTLS: defaultRequireTLS(),
	}
}

// Area is a part of the form: its keys in their order.
type Area struct {
	Name string
	Keys []string
}

// Areas are the parts of the form. Every key stands in one. What is in the area Proof is for experts.
func Areas() []Area {
	return []Area{
		{"", []string{"name", "description"}},
		{"Scope", []string{"domain", "below", "scope", "mode"}},
		{"Sender", []string{"match.sender", "match.sender_ip", "match.listener"}},
		{"Recipient", []string{"match.recipient", "match.literals", "force_tls.unspecified_recipients"}},
		{"Message", []string{"match.subject", "match.header", "match.attachment", "match.body", "match.size_over",
			"match.recipients_over", "match.case"}},
		{"Except when", unlessKeys()},
		{"Action", []string{"action", "force_tls.defer", "force_tls.without_tls", "force_tls.otherwise", "receipt",
			"require_tls.level", "require_tls.refuse", "reject.text", "hold.days", "hold.then", "redirect.route",
			"bcc.to", "add_header.fields"}},
		{Proof, []string{"force_tls.proof", "force_tls.mx", "force_tls.names", "force_tls.trust", "force_tls.pins",
			"force_tls.revocation", "force_tls.min_tls", "force_tls.key_exchange", "force_tls.min_bits"}},
		{ClientProof, []string{"require_tls.names", "require_tls.trust", "require_tls.pins", "require_tls.revocation",
			"require_tls.min_tls", "require_tls.key_exchange", "require_tls.min_bits"}},
		{"Expires", []string{"expires"}},
	}
}

// Proof is the area of how a server proves who it is.
const Proof = "How the server proves who it is"

// firstKeys are those up to [rule.force_tls].
var firstKeys = []Key{
	{Name: "name", Default: "required", Example: `"clinic"`,
		Doc: "1 to 80 ASCII letters, digits, blanks and any of `._-/@:+()`, beginning with a letter or digit. No " +
			"two rules may have names that differ only in case. The name stands in the trace, in logs and in " +
			"bounces.",
		Label: "Name", Place: "clinic",
		kind: line(func(r *Rule) *string { return &r.Name }, checkRuleName)},
	{Name: "description", Example: `"patient data to the clinic"`,
		Doc:   "one line for people, at most 1000 octets",
		Label: "What it is for", Place: "patient data to the clinic",
		kind: line(func(r *Rule) *string { return &r.Description }, rulevalue.CheckDescription)},
	{Name: "scope", Example: `"outbound"`,
		Doc: "`\"outbound\"`: mail to domains that are not your own. `\"inbound\"`: mail that others bring for your " +
			"own domains. `\"disabled\"`: the rule is checked and listed and does nothing.",
		Label: "Applies to",
		Choices: []Choice{{"outbound", "outbound: mail going out"}, {"inbound", "inbound: mail coming in from others"},
			{"disabled", "disabled: nothing"}},
		kind:   oneOf(func(r *Rule) *Scope { return &r.Scope }, Outbound, Inbound, Disabled),
		weaker: func(_, _ *Rule) bool { return true }},
	{Name: "domain", Example: `["example.com"]`,
		Doc: "the mail of these domains, as a whole: by envelope sender, rewritten ones (SRS) too, by the " +
			"addresses in `From`, `Sender`, `Resent-From` and the like, and, where the sender is null or " +
			"rewritten, by the domains that `[[relay_client]]` or a user's name binds who handed it in to. " +
			"`postern rules explain` says by which.",
		Label: "Mail of the domains", Place: "example.com", Help: "Empty: all.",
		kind: kind{shape: List, get: domainTexts,
			read: into(func(r *Rule) *[]mail.Domain { return &r.Domain }, rulevalue.ReadDomains)},
		weaker: domainWeaker},
	{Name: "below", Example: "true",
		Doc:   "with `true`, `domain` means what is below the domains too",
		Label: "And what is below these domains", Ticked: "true",
		kind:   truthOf(func(r *Rule) *bool { return &r.Below }),
		weaker: belowWeaker},
	{Name: "mode", Example: `"enforce"`,
		Doc:   "`\"test\"` delivers as if the rule were not there, and records that it would have had a say",
		Label: "Effect",
		Choices: []Choice{{"enforce", "enforced"},
			{"test", "on trial: deliver as before, record what would have happened"}},
		kind:   oneOf(func(r *Rule) *Mode { return &r.Mode }, Enforce, Test),
		weaker: func(_, after *Rule) bool { return after.Mode == Test }},
	{Name: "expires", Default: "never", Example: "2027-12-31",
		Doc: "a date (`2027-12-31`: the rule applies through that day, UTC) or an instant with its zone " +
			"(`2027-12-31T18:00:00+01:00`: it applies until then). Not in quotes.",
		Label: "Ends after", Place: "2027-12-31", Help: "Empty: never.",
		kind:   kind{shape: Bare, get: func(r *Rule) any { return r.Expires.String() }, read: readExpires},
		weaker: expiresWeaker},
	{Name: "action", Default: "required", Example: `"force-tls"`,
		Doc: "`\"force-tls\"`: mail goes out over TLS that proves the server, or not at all. `\"require-tls\"`: mail " +
			"comes in over TLS, or is refused. `\"reject\"`, `\"hold\"`, `\"redirect\"`, `\"bcc\"`, " +
			"`\"add-header\"`, `\"allow\"`: see below.",
		Label:   "What is done",
		Choices: actionChoices(),
		kind:    oneOf(func(r *Rule) *Action { return &r.Action }, actionNames()...),
		weaker:  func(b, _ *Rule) bool { return b.protects() }},
	{Name: "receipt", Default: "none", Example: `"sender"`,
		Doc: "with `force-tls`: `\"sender\"`, the sender is told how the message reached the next server, " +
			"protected like it",
		Label:   "Receipt",
		Choices: []Choice{{"", "none"}, {"sender", "tell the sender how it went"}},
		kind:    oneOf(func(r *Rule) *Receipt { return &r.Receipt }, ReceiptSender)},

	{Name: "match.sender", Example: `["example.com", "*.example.com", "<>"]`,
		Doc: "the envelope sender (MAIL FROM) fits a value. `\"<>\"` is the null sender of bounces, and nothing " +
			"else covers it, not even `\"*\"`.",
		Label: "Senders", Place: "example.com",
		kind:   addresses(func(r *Rule) *[]string { return &r.Match.Sender }, true),
		weaker: func(b, a *Rule) bool { return narrower(b.Match.Sender, a.Match.Sender) }},
	{Name: "match.recipient", Example: `["clinic.test", "*.clinic.test"]`,
		Doc: "at least one envelope recipient (RCPT TO) outside your own domains fits a value; of incoming mail, the " +
			"recipient does",
		Label: "Recipients", Place: "clinic.test\n*.clinic.test\ndr@other.test",
		kind:   addresses(func(r *Rule) *[]string { return &r.Match.Recipient }, false),
		weaker: func(b, a *Rule) bool { return narrower(b.Match.Recipient, a.Match.Recipient) }},
	{Name: "match.literals", Example: "true",
		Doc: "no condition: with `true`, recipients at address literals (`dr@[192.0.2.1]`, " +
			"`dr@[IPv6:2001:db8::1]`) fit `recipient` too. Such mail goes to that address whatever domain the " +
			"people there have.",
		Label: "Recipients at address literals (dr@[192.0.2.1]) too", Ticked: "true",
		kind:   truthOf(func(r *Rule) *bool { return &r.Match.Literals }),
		weaker: func(b, a *Rule) bool { return len(a.Match.Recipient) > 0 && !a.Match.Literals }},
	{Name: "match.sender_ip", Example: `["10.0.0.0/8"]`,
		Doc:   "the client's address lies in a network: `\"10.0.0.0/8\"`, `\"192.0.2.7\"`, `\"2001:db8::/32\"`",
		Label: "Handed in from networks", Place: "10.0.0.0/8",
		kind: kind{shape: List, get: func(r *Rule) any { return rulevalue.NetworkTexts(r.Match.SenderIP) },
			read: into(func(r *Rule) *[]netip.Prefix { return &r.Match.SenderIP }, rulevalue.ReadNetworks),
			toml: func(r *Rule) string { return rulevalue.NetworksTOML(r.Match.SenderIP) }},
		weaker: func(b, a *Rule) bool { return narrower(b.Match.SenderIP, a.Match.SenderIP) }},
	{Name: "match.listener", Example: `["smtp"]`,
		Doc:   "of rules about incoming mail: the client came to a `[[listen]]` of that name in the configuration",
		Label: "Came in at listeners", Place: "smtp", Help: "Of mail coming in: names of listeners in the " +
			"configuration.",
		kind:   list(func(r *Rule) *[]string { return &r.Match.Listener }, rulevalue.CheckListener),
		weaker: func(b, a *Rule) bool { return narrower(b.Match.Listener, a.Match.Listener) }},
	{Name: "match.header", Example: `[{ name = "X-Classification", value = "secret*" }]`,
		Doc: "a header field of that name has a value that fits: `[{ name = \"X-Classification\", value = " +
			"\"secret*\" }]`. Without `value`, any.",
		Label: "Header fields", Place: "X-Classification: secret*",
		kind:   kind{shape: Fields, read: readHeader, get: func(r *Rule) any { return r.Match.Header }},
		weaker: func(b, a *Rule) bool { return narrower(b.Match.Header, a.Match.Header) }},
	{Name: "match.subject", Example: `["*[secure]*"]`,
		Doc:   "a Subject field fits a value",
		Label: "Subject", Place: "*[secure]*",
		kind:   texts(func(r *Rule) *[]string { return &r.Match.Subject }),
		weaker: func(b, a *Rule) bool { return narrower(b.Match.Subject, a.Match.Subject) }},
	{Name: "match.attachment", Example: `["*.pdf", "application/zip"]`,
		Doc: "an attachment has a name or a media type that fits a value. Files in forwarded messages count, those " +
			"inside archives do not.",
		Label: "Attachments", Place: "*.pdf\napplication/zip",
		kind:   texts(func(r *Rule) *[]string { return &r.Match.Attachment }),
		weaker: func(b, a *Rule) bool { return narrower(b.Match.Attachment, a.Match.Attachment) }},
	{Name: "match.body", Example: `["*secret*"]`,
		Doc: "a text of the message fits a value, as people read it: decoded, of HTML what stands between the " +
			"tags. Text in attachments is not looked at.",
		Label: "Text", Place: "*secret*",
		kind:   texts(func(r *Rule) *[]string { return &r.Match.Body }),
		weaker: func(b, a *Rule) bool { return narrower(b.Match.Body, a.Match.Body) }},
	{Name: "match.size_over", Example: `"10MB"`,
		Doc: "the content is larger. A number of bytes, or a number and a unit: `B`, `KB`, `MB`, `GB` count in " +
			"thousands, `KiB`, `MiB`, `GiB` in 1024s.",
		Label: "Larger than", Place: "10MB",
		kind: kind{shape: Size, get: func(r *Rule) any { return r.Match.SizeOver },
			read: into(func(r *Rule) *int64 { return &r.Match.SizeOver }, rulevalue.ReadSize),
			toml: func(r *Rule) string { return rulevalue.SizeTOML(r.Match.SizeOver) }},
		weaker: func(b, a *Rule) bool { return a.Match.SizeOver > b.Match.SizeOver }},
	{Name: "match.recipients_over", Example: "50",
		Doc: "the message has more recipients than this; `50` holds from 51 on. All recipients count, your own " +
			"too.",
		Label: "More recipients than", Place: "50",
		kind: kind{shape: Number, get: func(r *Rule) any { return int64(r.Match.RecipientsOver) },
			read: into(func(r *Rule) *int { return &r.Match.RecipientsOver }, rulevalue.ReadCount)},
		weaker: func(b, a *Rule) bool { return a.Match.RecipientsOver > b.Match.RecipientsOver }},
	{Name: "match.case", Example: "true",
		Doc: "no condition: with `true`, upper and lower case differ in the values of this rule. Domains and " +
			"header names never have a case.",
		Label: "Upper and lower case differ", Ticked: "true",
		kind:   truthOf(func(r *Rule) *bool { return &r.Match.Case }),
		weaker: func(b, a *Rule) bool { return a.Match.Case || hasExpression(b) }},

	{Name: "force_tls.unspecified_recipients", Example: `"force"`,
		Doc:   "what becomes of the recipients of the message that this rule does not name. See below.",
		Label: Box, Ticked: "opportunistic",
		Help: "Ticked, a message is split: the recipients named above are protected, the others get the best " +
			"encryption their server can do. Not ticked, one named recipient protects the whole message, and a " +
			"recipient whose server has no TLS is refused.",
		kind: oneOf(func(r *Rule) *Unspecified { return &r.ForceTLS.Unspecified },
			UnspecifiedForce, UnspecifiedOpportunistic),
		weaker: func(_, a *Rule) bool { return a.ForceTLS.Unspecified == UnspecifiedOpportunistic }},
	{Name: "force_tls.proof", Example: `"certificate"`,
		Doc: "what proves the server: `\"certificate\"`, a valid one of a trusted CA; `\"dane\"`, a TLSA record that " +
			"its domain publishes in signed DNS, and nothing less: `names`, `mx`, `trust`, `pins` and `revocation` " +
			"say nothing then; `\"either\"`, one of the two. What a domain publishes itself must hold besides.",
		Label: "What proves the server",
		Choices: []Choice{{"certificate", "a valid certificate"}, {"either", "a valid certificate, or DANE"},
			{"dane", "DANE, and nothing less"}},
		kind: ranked(func(r *Rule) *policy.ProofBy { return &r.ForceTLS.Proof }, policy.ByChain,
			"certificate", "either", "dane"),
		weaker: func(_, _ *Rule) bool { return true }}, // another proof, not a stronger one
	{Name: "force_tls.names", Example: `["mail.clinic.test"]`,
		Doc: "the names a certificate may carry: `\"mx\"`, the name of the mail host that is dialled; " +
			"`\"domain\"`, the recipient's domain or a name directly below it; or a list of names, " +
			"`[\"mail.clinic.test\", \"*.clinic.test\"]`, where the wildcard covers one label",
		Label: "The certificate must name", Place: "mx",
		Help: "mx: the server. domain: the recipient's domain. Or names, one a line: mail.clinic.test, " +
			"*.clinic.test",
		kind: kind{shape: WordOrList, Words: []string{"mx", "domain"}, read: readNames,
			get: func(r *Rule) any { return namesValue(r.ForceTLS.Names) }},
		weaker: namesWeaker},
	{Name: "force_tls.mx", Example: `"pinned"`,
		Doc: "where the mail host's name must come from, with `names = \"mx\"`: `\"pinned\"`, remembered at the " +
			"first use, or proven; `\"proven\"`, by signed DNS, an enforced MTA-STS policy, or you; `\"any\"`, DNS " +
			"is believed. See below.",
		Label: "The name of the mail server",
		Choices: []Choice{{"pinned", "is remembered: a new one waits for approval"},
			{"proven", "must be proven, by signed DNS or an enforced MTA-STS policy, or named below"},
			{"any", "is believed as DNS says"}},
		kind:   ranked(func(r *Rule) *policy.MXTrust { return &r.ForceTLS.MX }, 0, "any", "pinned", "proven"),
		weaker: func(b, a *Rule) bool { return a.ForceTLS.MX < b.ForceTLS.MX }},
	{Name: "force_tls.trust", Example: `"/etc/postern/partner-ca.pem"`,
		Doc: "`\"public\"`: the roots of `[trust] roots` in the configuration. Or the path of a PEM file with the " +
			"CA certificates of a partner, which then count alone. A relative path starts at the folder of the " +
			"configuration file. A rule with a file that cannot be used is refused. One that breaks later is told " +
			"by the log; mail that needs it waits with `policy-unavailable`.",
		Label: "Trusted CA", Place: "public", Help: "public, or the file of a private CA on the gateway.",
		kind:   line(func(r *Rule) *string { return &r.ForceTLS.Trust }, rulevalue.CheckTrust),
		weaker: func(_, _ *Rule) bool { return true }}, // what another file trusts is not known here
	{Name: "force_tls.pins", Default: "none",
		Example: `["sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]`,
		Doc: "`\"sha256:\"` and the hexadecimal digest of a public key (SubjectPublicKeyInfo). One of them must " +
			"be in the certificate chain. A pin narrows trust, it never replaces it.",
		Label: "Pinned keys", Place: "sha256:…",
		Help:   "One of them suffices. Add the next key before the partner changes to it.",
		kind:   pinsOf(func(r *Rule) *[]string { return &r.ForceTLS.Pins }),
		weaker: func(b, a *Rule) bool { return wider(b.ForceTLS.Pins, a.ForceTLS.Pins) }},
	{Name: "force_tls.revocation", Example: `"check"`,
		Doc: "whether a certificate of the chain was revoked: `\"check\"`, revoked fails, unknown " +
			"passes; `\"require\"`, unknown fails too; `\"off\"`, nobody is asked. See below.",
		Label: "Revocation",
		Choices: []Choice{{"check", "check: a revoked certificate is refused, an unknown state is noted"},
			{"require", "require: an unknown state waits"}, {"off", "off"}},
		kind: ranked(func(r *Rule) *policy.Revocation { return &r.ForceTLS.Revocation }, 0,
			"off", "check", "require"),
		weaker: func(b, a *Rule) bool { return a.ForceTLS.Revocation < b.ForceTLS.Revocation }},
	{Name: "force_tls.min_tls", Example: `"1.2"`,
		Doc:     "`\"1.0\"`, `\"1.1\"`, `\"1.2\"` or `\"1.3\"`",
		Label:   "TLS at least",
		Choices: versionChoices,
		kind: ranked(func(r *Rule) *uint16 { return &r.ForceTLS.MinTLS }, tls.VersionTLS10,
			"1.0", "1.1", "1.2", "1.3"),
		weaker: func(b, a *Rule) bool { return a.ForceTLS.MinTLS < b.ForceTLS.MinTLS }},
	{Name: "force_tls.key_exchange", Default: "any", Example: `"hybrid"`,
		Doc: "`\"hybrid\"`: with ML-KEM beside a curve, so that what is recorded today cannot be read with a quantum " +
			"computer; it needs TLS 1.3",
		Label: "Key exchange", Choices: exchangeChoices,
		kind:   exchangeOf(func(r *Rule) *policy.KeyExchange { return &r.ForceTLS.KeyExchange }),
		weaker: func(b, a *Rule) bool { return a.ForceTLS.KeyExchange < b.ForceTLS.KeyExchange }},
	{Name: "force_tls.min_bits", Default: "none", Example: "128",
		Doc: "`128` or `256` bits of the cipher. Servers with TLS 1.3 mostly take 128 from us; for `256` they are " +
			"asked again with TLS 1.2, where `min_tls` and `key_exchange` allow it.",
		Label: "Bits of the cipher at least", Choices: bitsChoices,
		kind:   bitsOf(func(r *Rule) *int { return &r.ForceTLS.MinBits }),
		weaker: func(b, a *Rule) bool { return a.ForceTLS.MinBits < b.ForceTLS.MinBits }},
	{Name: "force_tls.defer", Example: `"24h"`,
		Doc: "how long a delivery waits for what is demanded, counted from acceptance: `\"24h\"`, `\"90m\"`, " +
			"`\"30s\"`",
		Label: "Waits for up to", Place: "24h",
		Help: "Then the sender is told that it could not be delivered.",
		kind: kind{shape: Text, get: func(r *Rule) any { return rulevalue.DurationText(r.ForceTLS.Defer) },
			read: into(func(r *Rule) *time.Duration { return &r.ForceTLS.Defer }, rulevalue.ReadDefer)}},
	{Name: "force_tls.without_tls", Default: "see below", Example: `"defer"`,
		Doc: "when the other side offers no TLS at all: `\"defer\"` waits as for any other fault, `\"reject\"` " +
			"returns the message at once",
		Label: "A server without any TLS",
		Choices: []Choice{{"", "default: named recipients wait, the others are refused"}, {"defer", "wait"},
			{"reject", "refuse at once"}},
		kind: oneOf(func(r *Rule) *WithoutTLS { return &r.ForceTLS.WithoutTLS }, WithoutTLSDefer, WithoutTLSReject)},
	{Name: "force_tls.otherwise", Default: `["bounce"]`, Example: `["route:portal", "bounce"]`,
		Doc: "what follows where mail would be returned for want of TLS: routes with names, each tried for another " +
			"`defer` under the same demands; `\"bounce\"` is last",
		Label: "Instead of returning it", Place: "route:portal\nbounce",
		kind: kind{shape: List, get: func(r *Rule) any { return r.ForceTLS.Otherwise },
			read: into(func(r *Rule) *[]string { return &r.ForceTLS.Otherwise }, rulevalue.ReadWays)}},

	{Name: "reject.text", Default: "a short sentence", Example: `"patient data goes by the portal"`,
		Doc:   "what the sender is told, one line of ASCII, at most 200 characters",
		Label: "What the sender is told", Place: DefaultText,
		kind: line(func(r *Rule) *string { return &r.Reject.Text }, rulevalue.CheckRejectText)},
	{Name: "hold.days", Example: "7",
		Doc:   "how long the message waits for an administrator, 1 to 365",
		Label: "Days in quarantine", Place: "7",
		kind: kind{shape: Number, get: func(r *Rule) any { return int64(r.Hold.Days) },
			read: into(func(r *Rule) *int { return &r.Hold.Days }, rulevalue.ReadDays)}},
	{Name: "hold.then", Example: `"return"`,
		Doc: "what comes after them: `\"return\"`, the sender is told; `\"delete\"`, nobody is; `\"release\"`, it " +
			"goes, judged by the rules of that moment",
		Label:   "Then",
		Choices: []Choice{{"return", "return it to the sender"}, {"delete", "delete it"}, {"release", "release it"}},
		kind: oneOf(func(r *Rule) *policy.Then { return &r.Hold.Then }, policy.ThenReturn, policy.ThenDelete,
			policy.ThenRelease)},
	{Name: "redirect.route", Default: "required", Example: `"portal"`,
		Doc:   "the name of a `[[route]]` of the configuration",
		Label: "Route", Place: "portal",
		kind: line(func(r *Rule) *string { return &r.Redirect.Route }, rulevalue.CheckRouteName)},
	{Name: "bcc.to", Default: "required", Example: `["archive@example.com"]`,
		Doc:   "who gets a copy, once a message; one that comes back (`X-Postern-Copy`) is not copied to them again",
		Label: "Copies to", Place: "archive@example.com",
		kind: list(func(r *Rule) *[]string { return &r.BCC.To }, rulevalue.CheckMailbox)},
	{Name: "add_header.fields", Default: "required", Example: `[{ name = "X-Classification", value = "internal" }]`,
		Doc:   "fields that are put above the header of the message, where they break no DKIM signature",
		Label: "Header fields to add", Place: "X-Classification: internal",
		kind: kind{shape: Fields, get: func(r *Rule) any { return r.AddHeader.Fields },
			read: into(func(r *Rule) *[]rulevalue.HeaderMatch { return &r.AddHeader.Fields }, rulevalue.ReadFields)}},
}

// Weaker reports whether the change of the key from before to after may leave some message with less protection.
func (k *Key) Weaker(before, after *Rule) bool { return k.weaker != nil && k.weaker(before, after) }
