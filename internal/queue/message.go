package queue

import (
	"cmp"
	"encoding/base32"
	"encoding/binary"
	"net/netip"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
)

// ID names a message: 16 characters, ordered by time of acceptance. It stands in the Received line and in every log
// line about the message.
type ID string

var idCoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID makes an ID of the time in milliseconds and 32 random bits given by the caller.
func NewID(now time.Time, random uint32) ID {
	var raw [10]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(now.UnixMilli())<<16)
	binary.BigEndian.PutUint32(raw[6:], random)
	return ID(idCoding.EncodeToString(raw[:]))
}

// Kind says who wrote a message.
type Kind uint8

// The kinds. Notices are never answered with a DSN.
const (
	Ordinary Kind = iota // came in over SMTP
	DSN                  // a delivery status notification of ours
	Delay                // a delay notice of ours
	Alert                // a note to the administrator
	Report               // a report of ours about TLS (RFC 8460), which goes whatever the recipient's domain publishes
)

// Inbound is how a message reached the gateway.
type Inbound struct {
	Client   netip.Addr `json:"client,omitzero"`
	Helo     string     `json:"helo,omitempty"` // the peer's claim
	Listener string     `json:"listener,omitempty"`
	Protocol string     `json:"protocol,omitempty"` // RFC 3848 keyword
	User     string     `json:"user,omitempty"`     // authenticated as
	TLS      *mail.TLS  `json:"tls,omitempty"`
	// Relayed: it came from our own side, from a client that might relay then.
	Relayed bool `json:"relayed,omitempty"`
	// Bound are the domains whose senders alone the client might use then, "*.example.com" for what is below one.
	// Empty: nothing bound it.
	Bound []string `json:"bound,omitempty"`
	// Rules are the rules about incoming mail that it passed, Trials those on trial that it would not have passed.
	Rules  []string `json:"rules,omitempty"`
	Trials []Trial  `json:"trials,omitempty"`
}

// Trial is a rule about incoming mail, on trial, that would have refused a message, and why.
type Trial struct {
	Rule   string        `json:"rule"`
	Reason policy.Reason `json:"reason"`
	Text   string        `json:"text"` // it may quote the client's certificate: bounded and escaped
}

// Message is one accepted content with its envelope. Its recipients are Deliveries.
type Message struct {
	ID       ID
	Kind     Kind
	Envelope mail.Envelope
	Inbound  Inbound
	// MessageID is the Message-ID header field's value, bounded; "" when there is none.
	MessageID string
	// Size is the stored content in bytes, our Received line included, which has Stamped bytes.
	Size    int64
	Stamped int
	// HeaderSize is the length of the header section in the stored content, its ending empty line included.
	HeaderSize int
	// EightBit says the content has octets above 127; HeaderUTF8 that the header section has.
	EightBit, HeaderUTF8 bool
	// Waives says that the message sets aside what recipients' domains publish (RFC 8689 §3): its header has
	// TLS-Required: No, and its envelope no REQUIRETLS, which goes before. It lowers nothing that a rule demands.
	Waives     bool
	AcceptedAt time.Time
	// RulesRevision is the revision of the rules that set the requirements, for people.
	RulesRevision int64
	// Judged is the number of what was in force when the requirements were set; see audit.Judgement. 0 is older than
	// any.
	Judged int64
	// Digest is the header fields that rules named when it was accepted, kept with its record; nil for none.
	Digest *mail.Digest
	// About is the message a DSN or delay notice speaks of, "" for ordinary mail.
	About ID
}

// DeliveryID names a delivery inside one store.
type DeliveryID int64

// State is where a delivery stands; see the picture in the package comment. The zero value is not a state.
type State uint8

// The states of G2.
const (
	Queued State = iota + 1
	Sending
	Held
	Delivered
	Failed
	Cancelled
)

// Delivery is the obligation to get one message to one recipient, and afterwards the record of it.
type Delivery struct {
	ID        DeliveryID
	Message   ID
	Recipient mail.Recipient
	State     State
	// Site is where it waits; the site's Requirement is the delivery's requirement.
	Site SiteKey
	// Requirement of the site, filled by the store when reading.
	Requirement policy.Requirement
	// Demands are the requirement by who demands it. Empty where nobody demands anything, and where an older release
	// stored the delivery; Sourced tells those apart.
	Demands []policy.Demand
	// Rules are the names of the rules that raised the requirement; Matched says the recipient itself was named by
	// one of them, not only tainted by an unticked box. Tested are rules in test mode that would have.
	Rules   []string
	Matched bool
	Tested  []string
	// Effects are what rules did with the mail when it was accepted, and the record of it: once, never judged again.
	Effects policy.Effects
	// Judged is the number of what was in force when a Move last set the requirement; 0 means its message's. What was
	// lowered under a number is not held against that number again.
	Judged int64
	// AcceptedAt is the message's; ExpiresAt ends the window; Due is the next try this delivery itself asks for (its
	// site may wait longer), zero when none is planned; Deadline is when Overdue claims it: the delay notice or the
	// expiry, zero for never.
	AcceptedAt, ExpiresAt, Due, Deadline time.Time
	Noticed                              bool // the one delay notice was sent or is not wanted
	Attempts                             int  // how many were made for this delivery itself
	FinishedAt                           time.Time
	Reached                              policy.Level // of the connection that carried it
	Reason                               policy.Reason
	// Wish is what an administrator asked while it was under a lease, nil for nothing.
	Wish *Wish
	// History is the attempts recorded, oldest first, at most HistoryKept: the first and the newest.
	History []attempt.Attempt
}

// JudgedUnder is the number of what was in force when the delivery was last held against it, by rules or by an
// administrator.
func (d *Delivery) JudgedUnder(m *Message) int64 { return max(m.Judged, d.Judged) }

// Sourced are the demands of d. For what an older release stored without them it says who they may be of: each gets the
// whole requirement, which is more than it asked and comes to the same. own says that the configuration demands
// something for the recipient's domain.
func (d *Delivery) Sourced(kind Kind, own bool) []policy.Demand {
	if len(d.Demands) > 0 || d.Requirement.Key() == "" {
		return d.Demands
	}
	var out []policy.Demand
	for _, name := range d.Rules {
		source := policy.FromRule(name)
		if kind == DSN || kind == Delay {
			source = policy.About(source)
		}
		out = append(out, policy.Demand{Source: source, Requirement: d.Requirement})
	}
	if own || len(out) == 0 {
		out = append(out, policy.Demand{Source: policy.FromOwn(d.Recipient.Address.Domain.String()),
			Requirement: d.Requirement})
	}
	return out
}

// Asker says who demands most of d; see policy.Asker.
func (d *Delivery) Asker() string { return cmp.Or(policy.Asker(d.Demands), d.Requirement.Asker()) }

// HistoryKept bounds Delivery.History.
const HistoryKept = 12

// Waiting reports whether the delivery is not finished.
func (s State) Waiting() bool { return s == Queued || s == Sending || s == Held }

var stateNames = [...]string{"", "queued", "sending", "held", "delivered", "failed", "cancelled"}

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "state(?)"
}

// ParseState reads a state's name.
func ParseState(name string) (State, bool) {
	for i, n := range stateNames {
		if i > 0 && n == name {
			return State(i), true
		}
	}
	return 0, false
}
