package policy

// DANE is what the TLSA records of a mail host make of the certificates it presented (RFC 7672 §3). It is met where it
// has no shortfall; nil beside evidence says that the host has no records that could be used.
type DANE struct {
	// By is how the peer was proven: ByDANEEE or ByDANETA; "" where it was not.
	By string `json:"by,omitempty"`
	// Record is the TLSA record that matched, "3 1 1 0d6f..."; "" where none did.
	Record string `json:"record,omitempty"`
	// Shortfalls is everything that fell short, the first to act on first; none means proven.
	Shortfalls []Shortfall `json:"shortfalls,omitempty"`
}

// What proved the peer; see Evidence.ProvedBy.
const (
	ByCertificate = "certificate" // a chain to a trusted root, and a name
	ByPin         = "pin"         // that, and a pinned key
	ByDANEEE      = "dane-ee"     // a TLSA record of usage 3
	ByDANETA      = "dane-ta"     // a TLSA record of usage 2
)

// Proven reports whether the records proved the peer. It is false of nil: no records prove nothing.
func (d *DANE) Proven() bool { return d != nil && d.By != "" && len(d.Shortfalls) == 0 }
