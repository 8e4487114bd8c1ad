package tlsrpt

import (
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/internal/mail"
)

// text reads a text. A number or a word stands for itself; null is none.
func (r *reader) text(t json.Token, to *string) error {
	switch t := t.(type) {
	case nil:
		*to = ""
	case string:
		*to = clean(t)
	case json.Number:
		*to = clean(t.String())
	case bool:
		*to = strconv.FormatBool(t)
	default:
		r.odd.add("there is a list or an object where a text should be")
		return r.skip(t)
	}
	return nil
}

// host reads a name, in its one form where it is one.
func (r *reader) host(t json.Token, to *string) error {
	if err := r.text(t, to); err != nil {
		return err
	}
	*to = hostText(*to)
	return nil
}

// hostText is a name or "*." and a name in lower case and A-labels; anything else stays as it is.
func hostText(text string) string {
	name, wild := strings.CutPrefix(text, "*.")
	d, err := mail.ParseDomain(name)
	switch {
	case err != nil:
		return text
	case wild:
		return "*." + d.String()
	}
	return d.String()
}

func atLineEnds(c rune) bool { return c == '\n' || c == '\r' }
func atBlanks(c rune) bool   { return c == ' ' || c == ',' || c == ';' || atLineEnds(c) }

// texts reads a list of texts. One of them may have all in it: with line ends or blanks between, or as JSON.
func (r *reader) texts(t json.Token, to *[]string, cut func(rune) bool) error {
	*to = nil
	return r.list(t, func(t json.Token) error {
		whole, ok := t.(string)
		if !ok {
			var text string
			if err := r.text(t, &text); err != nil {
				return err
			}
			whole = text
		}
		for _, part := range inside(whole) {
			for _, piece := range strings.FieldsFunc(part, cut) {
				if piece = clean(piece); piece == "" {
					continue
				}
				if err := r.entry(); err != nil {
					return err
				}
				*to = append(*to, piece)
			}
		}
		return nil
	})
}

// inside are the texts of a list that was written as JSON into a text; else the text alone.
func inside(text string) []string {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "[") && strings.Count(trimmed, ",") < MaxEntries {
		var list []string
		if json.Unmarshal([]byte(trimmed), &list) == nil {
			return list
		}
	}
	return []string{text}
}

// count reads a number of sessions: digits, or digits in a text. known says that there was one.
func (r *reader) count(t json.Token, to *int64) (known bool, err error) {
	var text string
	if err := r.text(t, &text); err != nil || text == "" {
		return false, err
	}
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case math.IsNaN(n), err != nil && !math.IsInf(n, 1):
		r.odd.add("a count is %s, which is no number, and counts nothing", said(text))
		return false, nil
	case n < 0:
		r.odd.add("a count is %s, and counts nothing", said(text))
		return false, nil
	case n > MaxSessions:
		r.odd.add("a count is %s, more than is believed, and counts as %d", said(text), int64(MaxSessions))
		n = MaxSessions
	}
	*to = int64(n)
	return true, nil
}

// address reads an IP address: with or without brackets, zone, port and mask. 0.0.0.0 is written where none is known.
func (r *reader) address(t json.Token, to *netip.Addr) error {
	var text string
	if err := r.text(t, &text); err != nil {
		return err
	}
	ip := addressOf(text)
	if !ip.IsValid() && text != "" {
		r.odd.add("%s is no IP address, and is passed over", said(text))
	}
	if *to = ip; ip.IsUnspecified() {
		*to = netip.Addr{}
	}
	return nil
}

func addressOf(text string) netip.Addr {
	text, _, _ = strings.Cut(text, "/")
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().Unmap().WithZone("")
	}
	text = strings.Trim(text, "[]")
	if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
		text = text[5:]
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

// time reads a time, to the second.
func (r *reader) time(t json.Token, to *time.Time) error {
	var text string
	if err := r.text(t, &text); err != nil {
		return err
	}
	at, exact := timeOf(text)
	switch {
	case at.IsZero() && !exact && text != "":
		r.odd.add("the time %s cannot be read", said(text))
	case !exact && text != "":
		r.odd.add("the time %s is not in the form that it should have", said(text))
	}
	*to = at
	return nil
}

// timeForms are the forms of times that are seen, besides that of RFC 3339. Those without a zone mean UTC.
func timeForms() []string {
	return []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05",
		"2006-01-02", time.RFC1123Z, "Mon, 02 Jan 2006 15:04:05 GMT"}
}

// timeOf reads a time; exact says that it has the form of RFC 3339.
func timeOf(text string) (at time.Time, exact bool) {
	if at, err := time.Parse(time.RFC3339, strings.ToUpper(text)); err == nil && possible(at) {
		return at.UTC().Truncate(time.Second), true
	}
	for _, form := range timeForms() {
		if at, err := time.Parse(form, text); err == nil && possible(at) {
			return at.UTC().Truncate(time.Second), false
		}
	}
	return unixTime(text), false
}

// possible reports whether a time is one that a report can be about, or none.
func possible(at time.Time) bool {
	year := at.UTC().Year()
	return at.IsZero() || year >= 1970 && year <= 9999
}

// unixTime reads seconds or milliseconds since 1970; the zero time where they are neither.
func unixTime(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || n <= 0 || len(text) > 13:
		return time.Time{}
	case len(text) > 11:
		return time.UnixMilli(n).UTC().Truncate(time.Second)
	}
	return time.Unix(n, 0).UTC()
}
