package tlsreports

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/history/inbound"
	"postern/internal/policy/tlsrpt"
)

// slack is how far clocks may differ.
const slack = 10 * time.Minute

// Span is the time of a report, or of several.
type Span struct{ Start, End time.Time }

// Days are the first and the last UTC day on which its sessions may have been; "" where the span is not known.
func (s Span) Days() (from, to string) {
	if s.Start.IsZero() || s.End.IsZero() || s.End.Before(s.Start) {
		return "", ""
	}
	return inbound.DayOf(s.Start.Add(-slack)), inbound.DayOf(s.End.Add(slack))
}

// Found says how much is known of an address.
type Found string

// What there is to know.
const (
	FoundSessions Found = "sessions" // some of its sessions are remembered
	FoundNone     Found = "none"     // it did not come
	FoundUnknown  Found = "unknown"  // nobody can tell
	FoundOther    Found = "other"    // the failure leaves no session: it is about DNS or the policy host
)

// Sight is what we saw of an address that somebody says failed. The names of its fields stay for ever.
type Sight struct {
	Address string `json:"address"`
	Found   Found  `json:"found"`
	// Text says it in one sentence without a full stop.
	Text string `json:"text"`
	// Sessions are all of them in the span, by kind.
	Sessions int64  `json:"sessions"`
	Kinds    []Seen `json:"kinds"`
}

// Seen is sessions of one kind on one day. Fits says that a failure like the one reported leaves such sessions behind.
type Seen struct {
	Day  string `json:"day"`
	Fits bool   `json:"fits"`
	inbound.Kind
	// Shown is the certificate that was shown, nil where none was or its description is gone.
	Shown *inbound.Certificate `json:"shown,omitempty"`
}

// Join holds one failure against our sessions. seen has at least the days of the span and the client of the address.
func Join(result, address string, span Span, seen *inbound.Seen) Sight {
	out := Sight{Address: address, Found: FoundUnknown, Kinds: []Seen{}}
	at, err := netip.ParseAddr(address)
	from, to := span.Days()
	switch {
	case elsewhere(result):
		out.Found, out.Text = FoundOther, "this is about DNS or the policy host, and leaves no session here"
		return out
	case err != nil:
		out.Text = "the report names no address, so that it cannot be found among our sessions"
		return out
	case from == "":
		out.Text = "the report says no time, so that it cannot be found among our sessions"
		return out
	}
	out.look(result, inbound.Of(at), span, seen)
	if out.Sessions == 0 {
		out.absent(from, to, span, seen)
	}
	return out
}

// look collects the sessions of a client in the span.
func (s *Sight) look(result string, client netip.Prefix, span Span, seen *inbound.Seen) {
	var sums [3]int64 // failed, plaintext, TLS without a message
	words := ""
	for i := range seen.Clients {
		c := &seen.Clients[i]
		if c.Client != client {
			continue
		}
		for _, k := range c.Kinds {
			if k.Last.Before(span.Start.Add(-slack)) || k.First.After(span.End.Add(slack)) {
				continue
			}
			s.Sessions += k.Sessions
			switch {
			case k.Outcome == inbound.Failed:
				sums[0] += k.Sessions
				words = k.Text
			case k.Outcome == inbound.Plaintext:
				sums[1] += k.Sessions
			case k.Messages == 0:
				sums[2] += k.Sessions
			}
			s.Kinds = append(s.Kinds, Seen{Day: c.Day, Fits: fits(result, &k), Kind: k,
				Shown: described(k.Certificate, seen)})
		}
	}
	slices.SortStableFunc(s.Kinds, func(a, b Seen) int { return strings.Compare(a.Day, b.Day) })
	if s.Sessions > 0 {
		s.Found = FoundSessions
		s.Text = fmt.Sprintf("%d sessions of this address: %d with a handshake that failed, %d without TLS, %d "+
			"with TLS and no message",
			s.Sessions, sums[0], sums[1], sums[2])
		if words != "" {
			s.Text += "; " + words
		}
	}
}

// absent says what it means that no session is remembered.
func (s *Sight) absent(from, to string, span Span, seen *inbound.Seen) {
	for day := from; day <= to; day = nextDay(day) {
		i := slices.IndexFunc(seen.Days, func(d inbound.Day) bool { return d.Day == day })
		// a few minutes of it
		edge := day < inbound.DayOf(span.Start) || day > inbound.DayOf(span.End.Add(-time.Second))
		switch {
		case i < 0 && edge:
		case i < 0:
			s.Text = "nothing is remembered of " + day
			return
		case seen.Days[i].More > 0:
			s.Text = "it is not known: on " + day + " more clients came than are remembered"
			return
		case !edge && seen.Days[i].Since.After(span.Start) && seen.Days[i].Since.After(dayBegin(day)):
			s.Text = "on " + day + " sessions are remembered since " + seen.Days[i].Since.UTC().Format("15:04") +
				" alone, and none of this address"
			return
		}
	}
	s.Found, s.Text = FoundNone, "no session of this address reached us: it failed on the way here, or at another "+
		"server"
}

func nextDay(day string) string { return inbound.DayOf(dayBegin(day).AddDate(0, 0, 1)) }

func dayBegin(day string) time.Time {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) // ends whoever counts days
	}
	return at
}

// elsewhere reports whether a failure is about something that was asked before anybody spoke to a mail host of ours.
func elsewhere(result string) bool {
	switch result {
	case tlsrpt.STSPolicyFetchError, tlsrpt.STSPolicyInvalid, tlsrpt.STSWebPKIInvalid, tlsrpt.DNSSECInvalid:
		return true
	}
	return false
}

// fits reports whether a failure may have left sessions of a kind behind. A client that does not like a certificate
// ends the handshake, or with TLS 1.3 the session after it.
func fits(result string, k *inbound.Kind) bool {
	switch result {
	case tlsrpt.StartTLSNotSupported:
		return k.Outcome == inbound.Plaintext
	case tlsrpt.CertificateHostMismatch, tlsrpt.CertificateExpired, tlsrpt.CertificateNotTrusted, tlsrpt.TLSAInvalid,
		tlsrpt.DANERequired:
		return k.Outcome == inbound.Failed || k.Outcome == inbound.TLS && k.Messages == 0
	}
	return k.Outcome == inbound.Failed || k.Outcome == inbound.Plaintext && k.Messages == 0 ||
		k.Outcome == inbound.TLS && k.Messages == 0
}

func described(digest string, seen *inbound.Seen) *inbound.Certificate {
	for i := range seen.Certificates {
		if digest != "" && seen.Certificates[i].SHA256 == digest {
			return &seen.Certificates[i]
		}
	}
	return nil
}
