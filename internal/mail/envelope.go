package mail

import "time"

// Lifetime is how long mail waits at most before it is given up, where nothing says otherwise (RFC 5321 §4.5.4.1).
const Lifetime = 5 * 24 * time.Hour

// BodyType is the BODY parameter of MAIL (RFC 6152). The zero value is 7BIT.
type BodyType string

// The body types the gateway knows. BINARYMIME is not offered.
const (
	Body7Bit     BodyType = ""
	Body8BitMIME BodyType = "8BITMIME"
)

// Return is the RET parameter of MAIL (RFC 3461 §4.3). The zero value means the sender did not say.
type Return string

// What of the message a DSN may carry.
const (
	ReturnUnsaid  Return = ""
	ReturnFull    Return = "FULL"
	ReturnHeaders Return = "HDRS"
)

// Notify is the NOTIFY parameter of RCPT (RFC 3461 §4.1) as a set. The zero value means the sender did not say, which
// asks for failure and permits delay notices.
type Notify uint8

// The conditions of NOTIFY. NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Wants reports whether a DSN for condition c should be sent.
func (n Notify) Wants(c Notify) bool {
	if n == 0 {
		return c == NotifyFailure || c == NotifyDelay
	}
	return n&c != 0 && n&NotifyNever == 0
}

// Recipient is one forward-path with its DSN parameters.
type Recipient struct {
	Address Address `json:"address"`
	// ORCPT is the parameter's value as it came, xtext still encoded, "" when absent (RFC 3461 §4.2).
	ORCPT  string `json:"orcpt,omitempty"`
	Notify Notify `json:"notify,omitempty"`
}

// Envelope is what MAIL said about a message. The recipients are kept apart, one delivery each.
type Envelope struct {
	From Address  `json:"from"`
	Body BodyType `json:"body,omitempty"`
	UTF8 bool     `json:"utf8,omitempty"` // SMTPUTF8, RFC 6531
	Ret  Return   `json:"ret,omitempty"`
	// EnvID is the ENVID value as it came, xtext still encoded (RFC 3461 §4.4).
	EnvID string `json:"envid,omitempty"`
	// RequireTLS is the parameter REQUIRETLS: every hop must have TLS, prove who it is, and promise the same (RFC 8689
	// §2).
	RequireTLS bool `json:"requiretls,omitempty"`
}
