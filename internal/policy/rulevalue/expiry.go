package rulevalue

import (
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
)

// ReadExpiry reads when something ends, zero where it cannot be read.
func ReadExpiry(p *tomlfile.Problems, e tomlfile.Entry) Expiry {
	const hint = "write a date, 2027-12-31, or an instant with its zone, 2027-12-31T18:00:00Z, without quotes"
	text := e.Value.Text
	switch e.Value.Kind {
	case unstable.LocalDate:
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			return Expiry{At: day.AddDate(0, 0, 1), Date: true}
		}
	case unstable.DateTime:
		if len(text) > 10 {
			text = strings.ToUpper(text[:10] + "T" + text[11:])
		}
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return Expiry{At: at.UTC()}
		}
	case unstable.LocalDateTime:
		p.Add(e.Value.At, "expires has a time of day without a zone", hint)
		return Expiry{}
	}
	p.Add(e.Value.At, "expires is no date", hint)
	return Expiry{}
}

// ParseExpiry reads what Expiry.String prints of one that is not never.
func ParseExpiry(text string) (Expiry, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return Expiry{At: day.AddDate(0, 0, 1), Date: true}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	return Expiry{At: at.UTC()}, err
}

// Expiry is the first instant at which a rule no longer applies. The zero value is never.
type Expiry struct {
	At time.Time // UTC
	// Date says that the administrator wrote a plain date: the rule applies through that day, UTC.
	Date bool
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
