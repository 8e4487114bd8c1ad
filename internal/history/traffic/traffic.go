// Package traffic keeps sums of what became of mail, so that shares over time are read without counting deliveries.
//
//	event.Accepted, event.Settled -> Recorder (in memory) -> Book (in the store), added up by bucket
//
// A Sum is one number: so many of an outcome, at a level, of a leg, a rule or a recipient domain, in one bucket of
// time. The records of deliveries are the truth; sums are for looking. What the last interval counted is lost in a
// crash, and nothing else is.
package traffic

import "time"

// Kind says what a sum is about.
type Kind string

// The kinds. Buckets of legs and rules are hours, of domains days; all begin in UTC.
const (
	OfLeg    Kind = "leg"    // Name is an event.Leg
	OfRule   Kind = "rule"   // Name is a rule that demanded something
	OfDomain Kind = "domain" // Name is a recipient domain of the leg to the world
)

// Outcomes of sums.
const (
	Accepted  = "accepted"  // messages, at the level of the connection they came over; legs only
	Delivered = "delivered" // deliveries, at the level reached
	Deferred  = "deferred"  // tries after which a delivery waited, at the level demanded
	Failed    = "failed"    // deliveries that ended undelivered, at the level demanded
	Would     = "would"     // deliveries whose outcome a rule in test mode would have changed; rules only
)

// Sum is a count in one bucket.
type Sum struct {
	At      time.Time `json:"at"` // the bucket's beginning
	Kind    Kind      `json:"kind"`
	Name    string    `json:"name"`
	Level   string    `json:"level"`
	Outcome string    `json:"outcome"`
	Count   int64     `json:"count"`
}

// Query asks for sums of a kind whose bucket begins at Since or later and before Until. Name "" is every name; a zero
// time bounds nothing. Limit is how many sums are listed at most, the first of them; 0 is all.
type Query struct {
	Kind         Kind
	Name         string
	Since, Until time.Time
	Limit        int
}

// Keep is how long sums of a kind are kept.
func Keep(kind Kind) time.Duration {
	if kind == OfLeg {
		return 400 * 24 * time.Hour
	}
	return 62 * 24 * time.Hour
}

// Bucket is the beginning of the bucket of a kind that at lies in.
func Bucket(kind Kind, at time.Time) time.Time {
	if kind == OfDomain {
		return at.UTC().Truncate(24 * time.Hour)
	}
	return at.UTC().Truncate(time.Hour)
}
