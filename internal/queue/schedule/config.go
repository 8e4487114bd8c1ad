package schedule

import "time"

// Config sets the pace and the bounds. The zero value is useful. See the package comment for what the bounds mean.
type Config struct {
	// Retry are the waits after the first, second, ... failure of a site in a row; the last repeats. Empty means
	// 1m, 5m, 15m, 30m, 1h. Entries below one millisecond count as one.
	Retry []time.Duration
	// Jitter stretches each wait by a random share: 0.1 is up to 10 % later. It is kept between 0 and 1.
	Jitter float64
	// PerSite bounds the workers at one site, of all gateways together, Total those at all sites but for overtime; 0
	// means 5 and 100.
	PerSite, Total int

	// OwnSite reports whether a site is a server of our own; nil: none is.
	OwnSite func(site string) bool
	// Own are the places kept for our own servers, Unproven those that all others which did not take mail lately may
	// have together, Reports those of them for reports, Family those of one host among them; 0 means a tenth, a half,
	// an eighth and a tenth of Total, a family at least PerSite where that leaves room for others.
	Own, Unproven, Reports, Family int
	// Overtime bounds the places beyond Total of workers that only wait for the answer to a message; 0 means Total,
	// below 0 none.
	Overtime int
	// SlowAfter is how long a place is held quickly, Lately how long a success counts; 0 means 10 s and 7 days.
	SlowAfter, Lately time.Duration
	// Remembered bounds the sites kept in memory without mail; 0 means 50,000.
	Remembered int
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
	c.PerSite = orElse(c.PerSite, 5)
	c.Total = orElse(c.Total, 100)
	c.Own = orElse(c.Own, c.Total/10)
	c.Unproven = max(1, min(orElse(c.Unproven, c.Total/2), c.Total))
	c.Reports = max(1, min(orElse(c.Reports, c.Total/8), c.Unproven))
	c.Family = orElse(c.Family, max(c.Total/10, min(c.PerSite, c.Unproven/4), 1))
	if c.Overtime == 0 {
		c.Overtime = c.Total
	}
	c.Overtime = max(c.Overtime, 0)
	c.SlowAfter = orElse(c.SlowAfter, 10*time.Second)
	c.Lately = orElse(c.Lately, 7*24*time.Hour)
	c.Remembered = orElse(c.Remembered, 50_000)
	if c.OwnSite == nil {
		c.OwnSite = func(string) bool { return false }
	}
	return c
}

// orElse is v, or the default where v says nothing.
func orElse[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// step is the unjittered wait after n failures in a row, n at least 1.
func (c *Config) step(n int) time.Duration {
	return c.Retry[min(n, len(c.Retry))-1]
}

// Known is for how long a success counts.
func (c Config) Known() time.Duration { return c.withDefaults().Lately }

// Longest is the longest wait that can come out of Retry and Jitter.
func (c Config) Longest() time.Duration {
	c = c.withDefaults()
	var d time.Duration
	for _, step := range c.Retry {
		d = max(d, step)
	}
	return d + time.Duration(c.Jitter*float64(d))
}

// Origin says what waits at a site and from whom.
type Origin struct {
	// Lane stands for the submitter: sites of different lanes take turns. 0 is unknown.
	Lane uint32
	// Report: it is a report, or another mail that nobody wants an answer to: its recipient may be a forged sender.
	Report bool
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
