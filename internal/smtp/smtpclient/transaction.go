package smtpclient

import (
	"io"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// Transaction is one message for one or more recipients of one next hop. It is only read.
type Transaction struct {
	Envelope   mail.Envelope
	Recipients []mail.Recipient
	// Size is the content's length in octets; 0 takes Body's own. Content of another length is never delivered.
	Size int64
	// EightBit says the content has octets above 127, HeaderUTF8 that its header section has.
	EightBit, HeaderUTF8 bool
	// Body is the stored content: CRLF line ends, no dot stuffing. Send begins at its start and does not close it.
	Body io.ReadSeeker
	// Still, when it is not nil, is asked each time before something of the content is written, its command and its end
	// included; begun says that something was. When it is false nothing more is: the error has the kind Overtaken, and
	// the peer has no message.
	Still func(begun bool) bool
	// Ending, when it is not nil, is called just before the end of the content is written. Nothing is written if the
	// context has ended when it returns; after it the peer may have the message, whatever becomes of the context.
	Ending func()
}

// Outcome is what became of one recipient.
type Outcome uint8

// The outcomes. Undecided is the zero value: the connection failed before the peer answered for the recipient.
const (
	Undecided Outcome = iota
	Delivered         // the peer answered 2xx to the whole content
	Deferred          // 4xx: try later
	Failed            // 5xx, or our own judgement that this hop can never take it
	Again             // the peer takes no more recipients in this transaction: send another one now
)

var outcomeNames = [...]string{"undecided", "delivered", "deferred", "failed", "again"}

// String returns the outcome's name.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "outcome(?)"
}

// RecipientResult is what became of one recipient and by which reply.
type RecipientResult struct {
	Outcome Outcome
	// Reply decided the outcome; the zero Reply while undecided. Local says that the words are ours, not the peer's.
	Reply smtp.Reply
	Local bool
	// Command is what the reply answered: "MAIL", "RCPT", "DATA", "BDAT" or "." for the content. An undecided recipient
	// has "RCPT" if the peer had accepted it, else "".
	Command string
}

// Result is what a Send did.
type Result struct {
	// Recipients has one result for each recipient of the transaction, in its order.
	Recipients []RecipientResult
	// Final is the reply to the content (after the final dot, or to BDAT LAST), nil if none came.
	Final *smtp.Reply
	// DSN says that the peer offered DSN and so took over the sender's wishes. Otherwise they were dropped, and who
	// asked for a success report is owed a "relayed" one for each Delivered recipient (RFC 3461 §5.2.2).
	DSN bool
	// Converted says that 8-bit parts were re-encoded because the peer lacks 8BITMIME, which breaks signatures over
	// the content.
	Converted bool
	// Elsewhere says that the connection was at its end, or lost its way, before anything of the message was judged,
	// and that the peer cannot have it: it may be said at once, once, on another connection, and nobody was refused or
	// put off.
	Elsewhere bool
	// Plainer are the features that the peer refused though it offered them.
	Plainer Feature
}
