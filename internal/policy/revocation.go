package policy

import (
	"slices"
	"strings"
	"time"
)

// The values of Evidence.Revocation; "" means that nobody asked.
const (
	NotRevoked        = "good"
	Revoked           = "revoked"
	RevocationNotSaid = "unknown"
)

// RevocationAnswer says whether one of the certificates that a proof rests on was revoked. The zero value says that
// nobody asked.
type RevocationAnswer struct {
	// Status is NotRevoked, Revoked or RevocationNotSaid.
	Status string
	// Source is where the answer came from: "staple", "crl", "ocsp", "exempt" for a certificate too short-lived to be
	// revoked; several joined by "+", the server's own certificate first. "" where nothing answered.
	Source string
	// AsOf is when the issuers said so, the oldest of them; Until is when the first of their answers runs out. Both are
	// zero where nothing answered.
	AsOf, Until time.Time
	// Detail is one sentence for people: what was revoked when and why, or why nobody knows. It may quote the peer's
	// certificate, bounded and escaped.
	Detail string
	// Unstapled says that the certificate promises an answer stapled to the handshake (RFC 7633) and none that counts
	// came, so that the certificate is not valid on this connection, whatever else is known.
	Unstapled bool
}

// severity orders answers from good to bad.
func (a RevocationAnswer) severity() int {
	switch a.Status {
	case NotRevoked:
		return 0
	case Revoked:
		return 2
	}
	return 1
}

// And returns what a and b mean together where both certificates must be good: the worse answer, and for two good ones
// all sources, the older date and the earlier end.
func (a RevocationAnswer) And(b RevocationAnswer) RevocationAnswer {
	switch {
	case a.Status == "":
		return b
	case b.Status == "" || a.severity() > b.severity():
		return a
	case a.severity() < b.severity():
		return b
	case a.Status != NotRevoked:
		a.Unstapled = a.Unstapled || b.Unstapled
		return a
	}
	for source := range strings.SplitSeq(b.Source, "+") {
		if !slices.Contains(strings.Split(a.Source, "+"), source) {
			a.Source += "+" + source
		}
	}
	a.AsOf, a.Until = earlier(a.AsOf, b.AsOf), earlier(a.Until, b.Until)
	if b.Detail != "" && b.Detail != a.Detail {
		a.Detail += "; " + b.Detail
	}
	return a
}

// Or returns what a and b mean together where one good chain is enough: the better answer, a where they are alike.
func (a RevocationAnswer) Or(b RevocationAnswer) RevocationAnswer {
	if a.Status == "" || b.Status != "" && b.severity() < a.severity() {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// SetRevocation writes an answer into the evidence, with its age at now.
func (e *Evidence) SetRevocation(a RevocationAnswer, now time.Time) {
	e.Revocation, e.RevocationSource, e.RevocationDetail = a.Status, a.Source, a.Detail
	e.RevocationAsOf, e.RevocationAgeS, e.Unstapled = a.AsOf, 0, a.Unstapled
	if !a.AsOf.IsZero() {
		e.RevocationAsOf = a.AsOf.UTC()
		e.RevocationAgeS = max(0, int64(now.Sub(a.AsOf)/time.Second))
	}
}
