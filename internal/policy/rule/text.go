package rule

import (
	"strconv"
	"strings"
	"time"

	"postern/internal/platform/tomlfile"
)

// What follows prints values as TOML; "" is an unset value.

// units are the sizes of size_over, largest first; the first that divides a size without rest prints it.
var units = []struct {
	name string
	size int64
}{
	{"GB", 1e9}, {"GiB", 1 << 30}, {"MB", 1e6}, {"MiB", 1 << 20}, {"KB", 1e3}, {"KiB", 1 << 10}, {"B", 1},
}

func sizeTOML(r *Rule) string {
	n := r.Match.SizeOver
	for _, u := range units {
		if n > 0 && n%u.size == 0 {
			return tomlfile.Quote(strconv.FormatInt(n/u.size, 10) + u.name)
		}
	}
	return ""
}

// DurationText prints a duration without the zero units time.Duration prints: "24h", "1h30m".
func DurationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// IsZero reports whether the rule never expires.
func (e Expiry) IsZero() bool { return e.At.IsZero() }

// Over reports whether the rule no longer applies.
func (e Expiry) Over(now time.Time) bool { return !e.IsZero() && !now.Before(e.At) }

// String prints the expiry as it is written in a rules file: the last day of a plain date, or the instant; "" is never.
func (e Expiry) String() string {
	switch {
	case e.IsZero():
		return ""
	case e.Date:
		return e.At.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return e.At.Format(time.RFC3339Nano)
}
