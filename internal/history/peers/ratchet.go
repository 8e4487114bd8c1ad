package peers

import "time"

// Mode is what the ratchet does.
type Mode string

// The modes. Off still remembers; it only draws no consequence for ordinary mail.
const (
	Off  Mode = "off"
	Warn Mode = "warn"
	Hold Mode = "hold"
)

// Ratchet configures what follows when a peer that always had TLS has none. The zero value does nothing.
type Ratchet struct {
	Mode Mode
	// After is how many attempts must have had TLS, over Days of 24 hours at least, before its absence is a regress.
	After int
	Days  int
	// Hold is how long ordinary mail then waits, from when TLS was first missed.
	Hold time.Duration
}

// Stand is what is known about an address that has no TLS now.
type Stand struct {
	// Offered is when it last offered STARTTLS; zero when that is too long ago to count, or never was.
	Offered time.Time
	// HoldUntil is when ordinary mail may go in plaintext; zero means now.
	HoldUntil time.Time
}

// Judge says what it means that the address of r has no TLS now.
func Judge(r Record, c Ratchet, now time.Time) Stand {
	var s Stand
	if r.LastOffered.IsZero() || now.Sub(r.LastOffered) > Remembered {
		return s
	}
	s.Offered = r.LastOffered
	if c.Mode != Hold || !Consistent(r, c) {
		return s
	}
	lost := r.LostAt
	if lost.IsZero() {
		lost = now
	}
	if until := lost.Add(c.Hold); now.Before(until) {
		s.HoldUntil = until
	}
	return s
}

// Consistent reports whether TLS worked often enough and for long enough without plaintext in between.
func Consistent(r Record, c Ratchet) bool {
	return r.Streak > 0 && r.Streak >= int64(c.After) &&
		r.LastTLS.Sub(r.StreakSince) >= time.Duration(c.Days)*24*time.Hour
}
