package schedule

import "time"

// Config sets the pace. The zero value is useful.
type Config struct {
	// Retry are the waits after the first, second, ... failure of a site in a row; the last repeats. Empty means
	// 1m, 5m, 15m, 30m, 1h. Entries below one millisecond count as one.
	Retry []time.Duration
	// Jitter stretches each wait by a random share: 0.1 is up to 10 % later. It is kept between 0 and 1.
	Jitter float64
	// PerSite bounds the workers at one site, Total those at all; 0 means 5 and 100.
	PerSite, Total int
}

// Result is how a worker ended.
type Result struct {
	Now time.Time
	// Failed: the site as a whole failed (nothing could be connected to, no connection passed its verdict).
	Failed bool
	// Passed: at least one connection passed. It outweighs Failed.
	Passed bool
	// Due is the earliest time something the worker left behind is due; zero when it left nothing.
	Due time.Time
}

// State is what the store keeps about a site. The zero value is a site that works.
type State struct {
	// Failures counts attempts in a row that failed.
	Failures int
	// Since is when the row began, RetryAt when the next probe may go.
	Since, RetryAt time.Time
}
