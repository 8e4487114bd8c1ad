package mail

import (
	"net/netip"
	"time"
)

// Received is the trace line the gateway puts on top of every message it accepts (RFC 5321 §4.4). Helo, ReverseName
// and certificate facts are the peer's words: they are escaped, so that they can neither end the line nor a comment.
type Received struct {
	Helo        string     // as the client said it
	ReverseName string     // of the client's address; "" prints unknown
	Client      netip.Addr // invalid prints no address
	TLS         *TLS       // nil: no TLS
	Hostname    Domain     // ours
	Protocol    string     // RFC 3848 keyword: "ESMTPS", "UTF8SMTPSA"; "" prints ESMTP
	ID          string     // of the message
	For         Address    // the one recipient; the zero Address prints no "for"
	Date        time.Time
}

// AppendTo appends the field with its line ends (CRLF), folded.
func (r Received) AppendTo(b []byte) []byte { return b }
