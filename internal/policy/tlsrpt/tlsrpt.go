package tlsrpt

import (
	"net/netip"
	"time"
)

// Report is one document: what one organisation saw of a domain's servers in a span of time, mostly one UTC day
// (RFC 8460 §4.4). The zero value is an empty report.
type Report struct {
	Organization string    // who reports
	Contact      string    // an address of theirs, as they write it
	ID           string    // unique to the reporting organisation
	Start, End   time.Time // UTC; both ends count
	Policies     []Policy
}

// The types of a policy (RFC 8460 §4.4).
const (
	TypeTLSA = "tlsa"
	TypeSTS  = "sts"
	TypeNone = "no-policy-found"
)

// Policy is what became of the sessions under one policy.
type Policy struct {
	Type    string   // TypeTLSA, TypeSTS or TypeNone; what a foreign report says otherwise, bounded
	Strings []string // TLSA records, or the lines of an MTA-STS policy
	Domain  string   // the policy domain, in A-labels
	MXHosts []string // the patterns of an MTA-STS policy; the host of TLSA records
	// Succeeded and Failed count sessions.
	Succeeded, Failed int64
	Failures          []Failure
}

// Failure is one kind of failed session.
type Failure struct {
	Result     string     // "starttls-not-supported" and its like (RFC 8460 §4.3)
	SendingIP  netip.Addr // the zero value where it is not told
	MXHost     string     // the receiving mail host
	MXHelo     string     // the name in its greeting
	ReceiverIP netip.Addr
	Sessions   int64
	Info       string // further words, or an address of them
	Code       string // the reporting software's own reason: ours is a policy.Reason
}

// Sums returns how many sessions succeeded and failed under all policies.
func (r Report) Sums() (succeeded, failed int64) {
	for i := range r.Policies {
		succeeded += r.Policies[i].Succeeded
		failed += r.Policies[i].Failed
	}
	return succeeded, failed
}
