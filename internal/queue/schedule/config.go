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

// withDefaults returns c with every field usable; the slice is a copy.
func (c Config) withDefaults() Config {
	if len(c.Retry) == 0 {
		c.Retry = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}
	}
	steps := make([]time.Duration, len(c.Retry))
	for i, d := range c.Retry {
		steps[i] = max(d, time.Millisecond)
	}
	c.Retry = steps
	c.Jitter = min(max(c.Jitter, 0), 1)
	if c.PerSite <= 0 {
		c.PerSite = 5
	}
	if c.Total <= 0 {
		c.Total = 100
	}
	return c
}

// step is the unjittered wait after n failures in a row, n at least 1.
func (c *Config) step(n int) time.Duration {
	return c.Retry[min(n, len(c.Retry))-1]
}

// Longest is the longest wait that can come out of Retry and Jitter.
func (c Config) Longest() time.Duration {
	c = c.withDefaults()
	var d time.Duration
	for _, step := range c.Retry {
		d = max(d, step)
	}
	return d + time.Duration(c.Jitter*float64(d))
}

// maxProbes is how many workers may be probes at one time.
func (c *Config) maxProbes() int { return max(1, c.Total/2) }

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
