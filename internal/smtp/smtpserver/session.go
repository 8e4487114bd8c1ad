package smtpserver

import (
	"context"
	"crypto/x509"
	"net/netip"
	"time"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// Session decides about what one client asks. Its methods are called from one goroutine, one at a time. A nil reply
// stands for the engine's ordinary success; a reply with a 2xx code is success with other words; 421 also ends the
// connection after it was sent. ctx ends when the server cuts the connection.
type Session interface {
	// Auth checks a password. nil means it is right; failure should be 535 5.7.8, or 454 4.7.0 if it cannot be checked.
	Auth(ctx context.Context, user, password string) *smtp.Reply
	// Mail opens a transaction. size is what the client declared, 0 if nothing; the engine has held it against the
	// limit.
	Mail(ctx context.Context, e mail.Envelope, size int64) *smtp.Reply
	// Rcpt adds a recipient to the open transaction if the answer is success. Address may be "postmaster" without a
	// domain.
	Rcpt(ctx context.Context, r mail.Recipient) *smtp.Reply
	// Data takes the content of a transaction that has recipients, and answers for the whole message. It must read c to
	// io.EOF before it answers success: any other error of c means that the content is not whole, and the engine then
	// answers itself, whatever Data returns. Returning early refuses; the engine reads the rest away.
	Data(ctx context.Context, c *Content) *smtp.Reply
	// Reset forgets an open transaction, if there is one. It is also called when one has ended.
	Reset()
	// Close is the last call.
	Close()
}

// ConnInfo is what is known about a client at the moment of the call.
type ConnInfo struct {
	Listener string
	Mode     Mode
	Client   netip.AddrPort // unmapped
	Server   netip.AddrPort
	At       time.Time // of connecting
	// Helo is the name the client gave itself, "" before. It has no control characters; of a client of our own side it
	// may have blanks and anything else that can be printed, or be "".
	Helo string
	// Protocol is the keyword of RFC 3848 or RFC 6531 §4.3 for the present transaction: "ESMTPS", "UTF8SMTPSA".
	Protocol string
	// User is who logged in, "" for nobody.
	User string
	// TLS is nil without TLS. It is not changed after it was handed out.
	TLS *mail.TLS
	// ClientChain is the certificates the client presented, leaf first.
	ClientChain []*x509.Certificate
	// Shown is the certificate of ours that a handshake chose (DER), also of one that failed; nil where none got so
	// far. It is never changed.
	Shown []byte
}

// Trace has a function for each thing an engine sees; nil ones are skipped. They are called from the connections'
// goroutines and must not block.
type Trace struct {
	Connected    func(ConnInfo)
	Disconnected func(ConnInfo, End)
	// Rejected: a connection was not served because of a Gate.
	Rejected func(client netip.AddrPort, text string)
	// HandshakeFailed gives the TLS library's words, which may quote the peer: escape them.
	HandshakeFailed func(ConnInfo, error)
	// Refused: a command got a 4xx or 5xx. Command is the verb, "connect", or "." for content. from and to are what
	// the transaction had so far, and the recipient in question.
	Refused func(i ConnInfo, command string, from, to mail.Address, r smtp.Reply)
	// LoggedIn: AUTH was decided. user is the client's claim.
	LoggedIn func(i ConnInfo, user string, ok bool)
	// Panicked: a Session or the engine panicked with v. The client hears 421, the others go on. Without this function
	// the panic goes on.
	Panicked func(i ConnInfo, v any, stack []byte)
	// AcceptFailed: the listener cannot take connections just now and waits before it tries again.
	AcceptFailed func(err error, wait time.Duration)
}

// End is how a session ended.
type End struct {
	Messages int // accepted
	Took     time.Duration
	Why      string // "quit", "closed by the client", "timeout", ...: one of ours, nothing of the peer's
	Broken   bool   // a handshake failed
}
