package rule

import (
	"net/netip"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

// Scope says which mail a rule is about.
type Scope string

// The scopes. An action works in one of Outbound and Inbound.
const (
	Outbound Scope = "outbound"
	Inbound  Scope = "inbound"
	Disabled Scope = "disabled" // checked, listed, never applied
)

// Mode says whether a rule takes effect.
type Mode string

// The modes. A rule under test changes nothing; what it would have done is recorded.
const (
	Enforce Mode = "enforce"
	Test    Mode = "test"
)

// Rule is one rule as the administrator wrote it, with the defaults filled in. Rules are values; nobody changes one
// after Parse.
type Rule struct {
	Name        string
	Description string
	Scope       Scope
	// Domain are the domains whose mail the rule is about, as a whole (package authorship); none are all. Below: with
	// what is below them.
	Domain  []mail.Domain
	Below   bool
	Mode    Mode
	Expires rulevalue.Expiry
	Action  Action
	Receipt Receipt
	Match   Match
	// Unless is [rule.unless]: what it holds for, the rule is not about. The zero Match holds for nothing here.
	Unless     Match
	ForceTLS   ForceTLS
	RequireTLS RequireTLS
	Reject     Reject
	Hold       Hold
	Redirect   Redirect
	BCC        BCC
	AddHeader  AddHeader
	// Line is where the rule begins in the file, 1 for the first line.
	Line int
}

// Match is the condition of a rule: the fields that are set must all hold, and in a list any value will do. The zero
// Match holds for every message.
type Match struct {
	Sender         []string // envelope sender: address, domain, *.domain, pattern, "re:" expression, "<>"
	Recipient      []string // envelope recipient, likewise without "<>"
	Literals       bool     // recipients at address literals, such as dr@[192.0.2.1], fit Recipient too
	SenderIP       []netip.Prefix
	Listener       []string // names of the configuration; of inbound rules alone
	Header         []rulevalue.HeaderMatch
	Subject        []string
	Attachment     []string // name or media type of an attachment
	Body           []string // text of the message
	SizeOver       int64    // bytes; 0 is unset
	RecipientsOver int      // 0 is unset
	Case           bool     // upper and lower case differ
}

// Unspecified says what becomes of the recipients of a message that the rule does not name.
type Unspecified string

// The values of unspecified_recipients.
const (
	UnspecifiedForce         Unspecified = "force"         // one match taints the message
	UnspecifiedOpportunistic Unspecified = "opportunistic" // they get the ladder from authenticated TLS down
)

// WithoutTLS is the key without_tls. "" is unsaid: named recipients are deferred, tainted ones rejected.
type WithoutTLS string

// The values of without_tls.
const (
	WithoutTLSUnsaid WithoutTLS = ""
	WithoutTLSDefer  WithoutTLS = "defer"
	WithoutTLSReject WithoutTLS = "reject"
)

// ForceTLS is the section [rule.force_tls].
type ForceTLS struct {
	Unspecified Unspecified
	Proof       policy.ProofBy // ByChain, ByEither or ByTLSA
	Names       policy.Names
	MX          policy.MXTrust    // matters where Names.MX is set
	Trust       string            // policy.PublicTrust or a path as written
	Pins        []string          // "sha256:<hex>", lower case
	Revocation  policy.Revocation // RevocationCheck unless said otherwise
	MinTLS      uint16            // as in crypto/tls
	KeyExchange policy.KeyExchange
	MinBits     int // 0 is unset
	Defer       time.Duration
	WithoutTLS  WithoutTLS
	Otherwise   []string // "route:NAME", one after the other, and BounceWord; none is BounceWord alone
}
