// Package inbound remembers for some days how strangers spoke to us: with TLS, without, or with a handshake that
// failed. It is there for reports about TLS (RFC 8460): somebody says that sessions of an address of theirs failed
// yesterday, and this is what we saw of that address.
//
//	event.HandshakeFailed, event.Disconnected -> Recorder (in memory) -> Book (in the store)
//
// What is kept is small: for a UTC day and a client one Client, which counts Kinds of sessions. A kind is a listener,
// an outcome, the certificate of ours that was shown and, where something went wrong, our words for it. Certificates
// are described once, by their digest. A client is an IPv4 address or an IPv6 network of 64 bits, as everywhere.
//
// Beside that stands how mail of a domain came in (sender.go): over which TLS, with which certificate, and what rules
// about incoming mail refused or, on trial, would have refused. It answers who could not meet a new rule, since when.
//
//	event.Accepted, event.FellShort -> Recorder -> Book.Senders
//
// Strangers cannot fill the store: a day has ClientsMost clients, a client KindsMost kinds. What finds no room is
// counted (Client.More, Day.More), and whoever asks about a day that overflowed hears so: that nothing is remembered of
// an address then means that it is not known, and not that it never came.
//
// A client of TLS 1.3 that does not like our certificate says so when the handshake is over for us. Such a session has
// TLS, brings no message and ends with the connection: Text has the way it ended. Only listeners of mode smtp are
// heard, for nobody else sends mail by MX records.
//
// A crash loses the last seconds.
package inbound

import (
	"net/netip"
	"time"
)

// The bounds.
const (
	// Keep is how long a day is kept: reports are tried for a day after theirs, and some come later.
	Keep = 14 * 24 * time.Hour
	// ClientsMost is how many clients a day has, KindsMost how many kinds of sessions a client.
	ClientsMost = 10_000
	KindsMost   = 8
	// Interval is how often what was counted goes to the book.
	Interval = 5 * time.Second

	shownMost = 200 // certificates of ours in Keep
)

// Outcome says what became of TLS in a session. The words are stored and shown.
type Outcome string

// The outcomes.
const (
	TLS       Outcome = "tls"       // a handshake succeeded
	Plaintext Outcome = "plaintext" // the client did not ask for one
	Failed    Outcome = "failed"    // a handshake failed
)

// Kind is sessions of one kind. The names of its fields stay for ever.
type Kind struct {
	Listener string  `json:"listener"`
	Outcome  Outcome `json:"outcome"`
	// Certificate is the hexadecimal SHA-256 of the certificate that was shown, "" where none was.
	Certificate string `json:"certificate,omitempty"`
	// Text says why a handshake failed, or how a session ended that had TLS and brought nothing; escaped and bounded.
	Text string `json:"text,omitempty"`
	// Sessions counts them, Messages what they brought; First and Last are when they ended.
	Sessions int64     `json:"sessions"`
	Messages int64     `json:"messages"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// same reports whether two are one kind.
func (k *Kind) same(o *Kind) bool {
	return k.Listener == o.Listener && k.Outcome == o.Outcome && k.Certificate == o.Certificate && k.Text == o.Text
}

// Client is the sessions of one client on one day.
type Client struct {
	Day    string       `json:"day"` // UTC, "2026-11-28"
	Client netip.Prefix `json:"client"`
	Kinds  []Kind       `json:"kinds"`
	// More are sessions of further kinds.
	More int64 `json:"more,omitempty"`
}

// add adds sessions of a kind.
func (c *Client) add(k Kind) {
	for i := range c.Kinds {
		old := &c.Kinds[i]
		if !old.same(&k) {
			continue
		}
		old.Sessions, old.Messages = old.Sessions+k.Sessions, old.Messages+k.Messages
		if k.First.Before(old.First) {
			old.First = k.First
		}
		if k.Last.After(old.Last) {
			old.Last = k.Last
		}
		return
	}
	if len(c.Kinds) >= KindsMost {
		c.More += k.Sessions
		return
	}
	c.Kinds = append(c.Kinds, k)
}

// merge adds what another counted of the same client and day.
func (c *Client) merge(o *Client) {
	for _, k := range o.Kinds {
		c.add(k)
	}
	c.More += o.More
}

// Day says of a day what is not among its clients.
type Day struct {
	Day string `json:"day"`
	// Since is since when sessions were counted on it: its beginning, or when the gateway began to count.
	Since time.Time `json:"since"`
	// More are sessions of clients that found no room.
	More int64 `json:"more,omitempty"`
	// MoreSenders are messages and refusals of domains that found no room.
	MoreSenders int64 `json:"more_senders,omitempty"`
}

// Certificate describes a certificate of ours that was shown.
type Certificate struct {
	SHA256    string    `json:"sha256"`
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Seen      time.Time `json:"seen"` // the newest day it was shown
}

// Of is the client that an address counts as.
func Of(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	p, _ := address.Prefix(bits) // it fails for the zero Addr alone, whose Prefix is the zero one
	return p
}

// DayOf is the UTC day of a moment.
func DayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }
