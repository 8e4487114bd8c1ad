// Package dsn writes and reads delivery status notifications: the multipart/report of RFC 6522 whose machine part is
// the delivery-status of RFC 3464, with the rules of RFC 3461 for what may go in, and the message/global forms of
// RFC 6533 where the original message needed SMTPUTF8.
//
//	multipart/report
//	├── text/plain                      what happened, who must act, what to do; then the technical lines
//	├── message/delivery-status         the same facts for machines, one block for each recipient
//	└── text/rfc822-headers             the original's header section, or message/rfc822 where the whole was asked for
//
// Everything a peer or a sender wrote is hostile: it is escaped, bounded, and marked as theirs where it is shown.
// A notice is never larger than MaxSize and none of its lines is longer than 998 octets.
//
// Ground room: no clock, no network, no file.
package dsn

import (
	"errors"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
)

// Action is what was done with a recipient (RFC 3464 §2.3.3).
type Action string

// The actions. Relayed: handed to a server that does not promise notifications, so nothing more may be heard.
const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"
)

// Bounds of a notice.
const (
	// MaxSize is the largest notice in bytes. An original that does not fit is cut to its header section, and a header
	// section to its first lines.
	MaxSize = 1 << 20
	// MaxRecipients is how many recipients one notice can speak of; the caller splits larger sets.
	MaxRecipients = 200
)

// Errors of Build.
var (
	// ErrRecipients: a report needs 1 to MaxRecipients recipients.
	ErrRecipients = errors.New("dsn: a report speaks of 1 to 200 recipients")
	// ErrNullSender: mail from the null sender is never answered (RFC 3461 §6.1).
	ErrNullSender = errors.New("dsn: the null sender gets no notice")
	// ErrNeedsUTF8: the notice's own addresses cannot be written without UTF8.
	ErrNeedsUTF8 = errors.New("dsn: the address needs SMTPUTF8")
	// ErrAction: a recipient's Action is not one of the constants.
	ErrAction = errors.New("dsn: unknown action")
)

// Report is one notice to the sender of one message. It is built from facts alone: the same Report gives the same
// bytes. The zero values of optional fields leave out what they would say.
type Report struct {
	// ID is the queue id of the notice; it stands in its Message-ID and boundary.
	ID string
	// From is the author, postmaster at the gateway; To the sender of the original (its reverse-path).
	From, To mail.Address
	// ReportingMTA is the gateway's own name.
	ReportingMTA mail.Domain
	// Now dates the notice; ArrivedAt is when the original was accepted.
	Now, ArrivedAt time.Time
	// EnvID is the original's ENVID as it came, xtext still encoded.
	EnvID string
	// About is the queue id of the original, for people who ask the gateway's administrator.
	About string
	// Subject and OriginalMessageID are of the original, decoded; bounded and escaped here.
	Subject, OriginalMessageID string
	// UTF8 says the notice may be sent with SMTPUTF8 (the original was); then the message/global forms are used.
	UTF8 bool
	// EightBit says the notice may carry 8-bit content (the original came with BODY=8BITMIME). Without it or UTF8, a
	// full original with 8-bit content is cut to its header section, which can be encoded.
	EightBit bool
	// Original is the header section of the original, or the whole content where OriginalFull is set. A whole content
	// is returned whole only if a recipient failed, none of them is protected by a rule, and the notice stays below
	// MaxSize.
	Original     []byte
	OriginalFull bool
	// Recipients are what the notice speaks of, in the order shown.
	Recipients []Recipient
}

// Way is another way that the rule By has mail take, to a route of the configuration. Until is how long it is tried
// there at most.
type Way struct {
	By, Route string
	Until     time.Time
}

// Recipient is the fate of one recipient.
type Recipient struct {
	Address mail.Address
	// ORCPT is the parameter as it came, "rfc822;xtext"; "" when absent.
	ORCPT  string
	Action Action
	// Status is the full enhanced code. "" takes it from Reason. Its class is made to agree with Action.
	Status string
	Reason policy.Reason
	// Text says in our words what fell short, "" takes the reason's sentence.
	Text string
	// ByRule names the rule that ended it, which no server had a part in; "" where none did. There is no Reason then.
	ByRule string
	// Way says that a rule had it take another way than to its servers, and why; "" where it did not.
	Way string
	// Attempt is the newest try, nil when none was made.
	Attempt *attempt.Attempt
	// Rules are the rules that raised the requirement; Requires and Reached the levels in question. Because says why,
	// where none of the rules names this recipient.
	Rules             []string
	Because           string
	Requires, Reached policy.Level
	// Asker says who demands it, of policy.Asker; "" with Rules is those.
	Asker string
	// LastAttempt is when it was last tried, WillRetryUntil when it is given up where it is tried now (delayed only).
	LastAttempt, WillRetryUntil time.Time
	// Next are the ways that a rule has it take then, one after the other (delayed only).
	Next []Way
	// Tried counts the attempts.
	Tried int
}
