package received

import (
	"strconv"
	"strings"
	"time"
)

// cutDate finds the date, which ends a line after a semicolon (RFC 5322 §3.6.7), and returns what stands before it, and
// from it on. Where the semicolon was forgotten, the last weekday begins the date.
func cutDate(tokens []token) (before, behind []token, date time.Time) {
	for i := len(tokens) - 1; i >= 0; i-- {
		if tokens[i].kind != semicolon {
			continue
		}
		if date, ok := parseDate(tokens[i+1:]); ok {
			return tokens[:i], tokens[i:], date
		}
	}
	for i := len(tokens) - 1; i >= max(0, len(tokens)-12); i-- {
		if tokens[i].kind == word && len(tokens[i].text) >= 3 && isWeekday(tokens[i].text) {
			if date, ok := parseDate(tokens[i:]); ok {
				return tokens[:i], tokens[i:], date
			}
		}
	}
	return tokens, nil, time.Time{}
}

// maxDateWords bounds what is looked at for a date.
const maxDateWords = 12

// parseDate reads the orders in the field: "Tue, 1 Dec 2026 10:00:00 +0100", without weekday, with two-digit years and
// named zones (RFC 5322 §4.3), as asctime prints it, and "2026-12-01 10:00:00 +0000 UTC". Without a zone it is UTC.
func parseDate(tokens []token) (time.Time, bool) {
	var d dateParts
	n := 0
	for _, t := range tokens[:min(len(tokens), 2*maxDateWords)] {
		if t.kind == semicolon {
			break
		}
		if t.kind == comment {
			continue
		}
		for part := range strings.FieldsFuncSeq(t.text, func(r rune) bool { return r == ',' }) {
			if n++; n > maxDateWords || !d.take(part) {
				return d.date()
			}
		}
	}
	return d.date()
}

// dateParts is a date while it is read.
type dateParts struct {
	year, month, day int
	clock            time.Duration
	zone             *time.Location
	hasClock         bool
}

// take reads one word; false ends the date.
func (d *dateParts) take(w string) bool {
	switch {
	case isWeekday(w):
		return d.day == 0 || d.hasClock // a weekday later begins something else
	case !d.hasClock && strings.Contains(w, ":"):
		return d.takeClock(w)
	case d.month == 0 && monthNumber(w) > 0:
		d.month = monthNumber(w)
	case d.year == 0 && strings.Count(w, "-") == 2 && w[0] != '-':
		return d.takeISO(w)
	case d.day == 0 && len(w) <= 2 && digits(w):
		d.day, _ = strconv.Atoi(w)
	case d.year == 0 && (len(w) == 4 || d.month > 0 && len(w) == 2) && digits(w):
		d.year, _ = strconv.Atoi(w)
		d.year = fullYear(d.year, len(w))
	case d.hasClock && d.zone == nil:
		return d.takeZone(w)
	default:
		return false
	}
	return true
}

// takeISO reads 2026-12-01 and 1-Dec-2026.
func (d *dateParts) takeISO(w string) bool {
	p := strings.Split(w, "-")
	if m := monthNumber(p[1]); m > 0 && digits(p[0]) && digits(p[2]) {
		d.day, _ = strconv.Atoi(p[0])
		d.year, _ = strconv.Atoi(p[2])
		d.year, d.month = fullYear(d.year, len(p[2])), m
		return true
	}
	if !digits(p[0]) || !digits(p[1]) || !digits(p[2]) {
		return false
	}
	d.year, _ = strconv.Atoi(p[0])
	d.month, _ = strconv.Atoi(p[1])
	d.day, _ = strconv.Atoi(p[2])
	return true
}

// takeClock reads 10:00, 10:00:00 and 10:00:00.123.
func (d *dateParts) takeClock(w string) bool {
	whole, fraction, _ := strings.Cut(w, ".")
	p := strings.Split(whole, ":")
	if len(p) < 2 || len(p) > 3 || fraction != "" && !digits(fraction) {
		return false
	}
	limit, unit := []int{23, 59, 60}, []time.Duration{time.Hour, time.Minute, time.Second}
	for i, s := range p {
		n, err := strconv.Atoi(s)
		if err != nil || !digits(s) || len(s) > 2 || n > limit[i] {
			return false
		}
		d.clock += time.Duration(n) * unit[i]
	}
	d.hasClock = true
	return true
}

// takeZone reads +0100, -08:00, GMT, EST and their like. A name it does not know is UTC (RFC 5322 §4.3).
func (d *dateParts) takeZone(w string) bool {
	w = strings.TrimSuffix(w, ";")
	if offset, ok := numericZone(w); ok {
		d.zone = time.FixedZone("", offset)
		return true
	}
	hours, known := map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
		"PDT": -7, "GMT": 0, "UTC": 0, "UT": 0, "Z": 0}[strings.ToUpper(w)]
	if !known {
		return false
	}
	d.zone = time.FixedZone("", hours*3600)
	return true
}

func numericZone(w string) (seconds int, ok bool) {
	if len(w) < 5 || w[0] != '+' && w[0] != '-' {
		return 0, false
	}
	n := strings.Replace(w[1:], ":", "", 1)
	if len(n) != 4 || !digits(n) {
		return 0, false
	}
	v, _ := strconv.Atoi(n)
	if seconds = v/100*3600 + v%100*60; v/100 > 14 || v%100 > 59 {
		return 0, false
	}
	if w[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

// date checks that the parts are a day and puts them together.
func (d *dateParts) date() (time.Time, bool) {
	if d.year < 1970 || d.year > 9999 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 || !d.hasClock {
		return time.Time{}, false
	}
	zone := d.zone
	if zone == nil {
		zone = time.UTC
	}
	t := time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, zone)
	if t.Day() != d.day {
		return time.Time{}, false
	}
	return t.Add(d.clock), true
}

// fullYear is RFC 5322 §4.3 for years of two digits.
func fullYear(y, digits int) int {
	switch {
	case digits > 2:
		return y
	case y < 50:
		return 2000 + y
	}
	return 1900 + y
}

func digits(s string) bool {
	return s != "" && len(s) <= 9 && strings.Trim(s, "0123456789") == ""
}

func isWeekday(w string) bool {
	w = strings.TrimSuffix(w, ",")
	return len(w) >= 3 && len(w) <= 9 &&
		strings.Contains(" mon tue wed thu fri sat sun ", " "+strings.ToLower(w[:3])+" ") &&
		strings.Trim(strings.ToLower(w), "abcdefghijklmnopqrstuvwxyz") == ""
}

// monthNumber is 1 to 12 for an English month, short or long, else 0.
func monthNumber(w string) int {
	if len(w) < 3 || len(w) > 9 {
		return 0
	}
	if i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(w[:3])); i >= 0 && i%3 == 0 {
		return i/3 + 1
	}
	return 0
}
