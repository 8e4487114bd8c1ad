package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"postern/internal/config"
)

// FindingText is a finding for people: where it stands, what it is, and what to do.
func FindingText(c *config.Config, f config.Finding) string {
	text := "warning: "
	if f.Fatal {
		text = "problem: "
	}
	text += f.Key + ": " + f.What
	if line := c.Line(f.Key); line > 0 {
		text = fmt.Sprintf("%s:%d: %s", c.Path(), line, text)
	}
	if f.Hint != "" {
		text += "\n      hint: " + f.Hint
	}
	return text
}

// Moment reads a time argument: RFC 3339, a date (local midnight), or how long ago: "90m", "2h", "7d".
func Moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, Usage(fmt.Errorf("%q is no time", s),
		"write 2026-11-23, 2026-11-23T12:00:00Z, or how long ago: 90m, 2h, 7d")
}

// Plural is "1 problem" or "2 problems".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		noun = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Clock is a moment for people: local time, "" when there is none.
func Clock(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}

// ShortClock is a moment in a table.
func ShortClock(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format("01-02 15:04")
}

// BytesText is a size for people.
func BytesText(n int64) string {
	switch {
	case n < 10_000:
		return Plural(int(n), "byte")
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}
