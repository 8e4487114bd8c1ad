package rulevalue

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
)

// maxHoldDays bounds the key days.
const maxHoldDays = 365

// ReadDays reads the key days.
func ReadDays(p *tomlfile.Problems, e tomlfile.Entry) (days int, ok bool) {
	if e.Value.Kind == unstable.Integer {
		if n, err := strconv.ParseInt(e.Value.Text, 0, 32); err == nil && n > 0 && n <= maxHoldDays {
			return int(n), true
		}
	}
	p.Add(e.Value.At, fmt.Sprintf("days is no whole number from 1 to %d", maxHoldDays), "write days = 7")
	return 0, false
}

// ReadDefer reads the key defer.
func ReadDefer(p *tomlfile.Problems, e tomlfile.Entry) (wait time.Duration, ok bool) {
	s, ok := p.Text(e)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second {
		p.Add(e.Value.At, fmt.Sprintf("defer cannot be %s", tomlfile.Quote(tomlfile.Clip(s))),
			`write a time of one second or more: "24h", "90m", "30s"`)
		return 0, false
	}
	return d, true
}

// parseSize reads "10MB", "512 KiB" or a plain number of bytes.
func parseSize(s string) (int64, bool) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	unit := strings.TrimLeft(s[digits:], " ")
	if err != nil {
		return 0, false
	}
	if unit == "" {
		return n, true
	}
	for _, u := range units {
		if strings.EqualFold(unit, u.name) {
			return n * u.size, n <= (1<<63-1)/u.size
		}
	}
	return 0, false
}

// ReadSize reads the key size_over.
func ReadSize(p *tomlfile.Problems, e tomlfile.Entry) (size int64, ok bool) {
	if k := e.Value.Kind; k == unstable.String || k == unstable.Integer {
		text := e.Value.Text
		if k == unstable.Integer {
			text = strings.ReplaceAll(text, "_", "")
		}
		if n, ok := parseSize(text); ok && n > 0 {
			return n, true
		}
	}
	p.Add(e.Value.At, "size_over is no size above zero",
		`write a number of bytes, or one with a unit: "10MB" is 10,000,000 bytes, "10MiB" is 10,485,760`)
	return 0, false
}

// ReadCount reads the key recipients_over.
func ReadCount(p *tomlfile.Problems, e tomlfile.Entry) (count int, ok bool) {
	if e.Value.Kind == unstable.Integer {
		n, err := strconv.ParseInt(strings.ReplaceAll(e.Value.Text, "_", ""), 0, 32)
		if err == nil && n > 0 {
			return int(n), true
		}
	}
	p.Add(e.Value.At, "recipients_over is no whole number above zero",
		"recipients_over = 50 holds for 51 recipients and more")
	return 0, false
}

// units are the sizes of size_over, largest first; the first that divides a size without rest prints it.
var units = []struct {
	name string
	size int64
}{
	{"GB", 1e9}, {"GiB", 1 << 30}, {"MB", 1e6}, {"MiB", 1 << 20}, {"KB", 1e3}, {"KiB", 1 << 10}, {"B", 1},
}

// SizeTOML prints a number of bytes, "" for none.
func SizeTOML(n int64) string {
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
