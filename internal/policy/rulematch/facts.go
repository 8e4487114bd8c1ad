package rulematch

import (
	"net/netip"
	"time"

	"postern/internal/mail"
	"postern/internal/mail/mimewalk"
	"postern/internal/policy/authorship"
)

// Facts is what a message shows the rules.
type Facts struct {
	From       mail.Address // envelope sender, the zero address for "<>"
	Recipients []mail.Address
	// Local may say of each recipient, in the same order, that it belongs to a domain of our own servers: rules of
	// outbound scope neither match nor taint it. nil means that none does.
	Local  []bool
	Client netip.Addr
	// Somebody says that nobody knows which client hands the message in: whatever rules ask of it counts as a match.
	Somebody bool
	Origin   authorship.Origin // who handed it in
	Header   mail.Header
	Size     int64 // of the content in bytes
	// Content is what rules ask of it besides, nil where nobody looked: whatever they ask then counts as a match.
	Content *mimewalk.Content
	Now     time.Time
}
