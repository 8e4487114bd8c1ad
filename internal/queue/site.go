package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
)

// SiteKey names a site: where deliveries wait together, next hop and requirement.
type SiteKey string

// NewSiteKey makes the key of a next hop (see route.NextHop) under a requirement.
func NewSiteKey(nextHop string, r policy.Requirement) SiteKey {
	key := r.Key()
	if key == "" {
		return SiteKey(nextHop)
	}
	sum := sha256.Sum256([]byte(key))
	return SiteKey(nextHop + "#" + r.Channel.String() + "-" + hex.EncodeToString(sum[:6]))
}

// NextHop is the next hop that is part of the key.
func (k SiteKey) NextHop() string {
	hop, _, _ := strings.Cut(string(k), "#")
	return hop
}

// Site is the stored state of a site and what waits there.
type Site struct {
	Key         SiteKey
	NextHop     string
	Requirement policy.Requirement
	SiteState
	// Queued counts deliveries with a planned try, those under a lease too; Earliest is the first Due among them.
	// Read-only.
	Queued   int
	Earliest time.Time
	// Held counts what waits here without a planned try: it goes when it is released. Read-only.
	Held int
}

// SiteState is what must survive a restart so that a broken partner is not hammered after it.
type SiteState struct {
	// Failures counts attempts in a row that failed for the site as a whole; 0 means the site works.
	Failures int
	// Since is when the row of failures began, RetryAt when the next probe may go.
	Since, RetryAt time.Time
	// Last is the newest failed attempt, what every delivery waiting here is told; nil when the site works.
	Last *attempt.Attempt
}
