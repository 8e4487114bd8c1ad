package certorder

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"time"
)

// The pauses of the package comment.
const (
	day         = 24 * time.Hour
	firstRetry  = 5 * time.Minute
	lastRetry   = 6 * time.Hour
	urgentRetry = time.Hour
	urgent      = 3 * day
	longestWait = 7 * day // that a CA may ask for
	missingWait = day
)

// window is when the CA would have a certificate renewed (RFC 9773 §4.2). The zero value says nothing.
type window struct{ start, end time.Time }

// share is a number from 0 to below 1 that every gateway finds for a certificate, and for each certificate another.
func share(leaf *x509.Certificate) float64 {
	sum := sha256.Sum256(leaf.Raw)
	return float64(binary.BigEndian.Uint32(sum[:4])) / (1 << 32)
}

// renewal is when a certificate is to be renewed. A window of the CA counts, but not one that leaves less than an
// eighth of the life; nor is a certificate renewed on its first day, whatever the CA says, which may say so of the next
// one too.
func renewal(leaf *x509.Certificate, w window) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if !w.start.IsZero() {
		at := w.start.Add(time.Duration(share(leaf) * float64(w.end.Sub(w.start))))
		if young := leaf.NotBefore.Add(min(life/6, day)); at.Before(young) {
			at = young
		}
		if !at.After(leaf.NotAfter.Add(-life / 8)) {
			return at
		}
	}
	return leaf.NotBefore.Add(life*2/3 - time.Duration(share(leaf)*float64(life/24)))
}

// pauseAfter is how long after a failure the next order may be placed. left is what is left of the certificate that is
// served, 0 where the CA gave none yet; asked is what the CA asks for.
func pauseAfter(failures int, left, asked time.Duration) time.Duration {
	pause := lastRetry
	if doubled := firstRetry << min(max(failures-1, 0), 10); doubled < pause {
		pause = doubled
	}
	if left > 0 && left < urgent {
		pause = min(pause, urgentRetry)
	}
	return max(pause, min(asked, longestWait))
}

// covers reports whether a certificate has every name.
func covers(leaf *x509.Certificate, names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return leaf.VerifyHostname(n) != nil })
}

// without are the names that are not in others.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(others, n) })
}
