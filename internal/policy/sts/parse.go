package sts

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// ParsePolicy reads the body of https://mta-sts.DOMAIN/.well-known/mta-sts.txt. The error is a *Fault: there is no
// policy.
func ParsePolicy(body []byte) (Policy, error) {
	if len(body) > MaxBody {
		return Policy{}, &Fault{Text: fmt.Sprintf("the policy is larger than %d bytes", MaxBody)}
	}
	if fault := recognise(body); fault != nil {
		return Policy{}, fault
	}
	r := reader{named: map[string]bool{}}
	n := 0
	for line := range strings.SplitSeq(lineEnds.Replace(strings.TrimPrefix(string(body), byteOrderMark)), "\n") {
		n++
		if fault := r.line(n, line); fault != nil {
			fault.Oddities = r.policy.Oddities
			return Policy{}, fault
		}
	}
	if fault := r.missing(); fault != nil {
		fault.Oddities = r.policy.Oddities
		return Policy{}, fault
	}
	return r.policy, nil
}

const byteOrderMark = "\ufeff"

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// recognise says what a body is that is no policy at all.
func recognise(body []byte) *Fault {
	text := bytes.TrimSpace(bytes.TrimPrefix(body, []byte(byteOrderMark)))
	switch {
	case len(text) == 0:
		return &Fault{Text: "the policy is empty"}
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}), bytes.HasPrefix(body, []byte{0xfe, 0xff}), body[0] == 0,
		len(body) > 1 && body[1] == 0:
		return &Fault{Text: "the policy is written in UTF-16, want ASCII"}
	case text[0] == '<':
		return &Fault{Text: "a web page stands in place of the policy"}
	case text[0] == '{':
		return &Fault{Text: "the policy is written in JSON, as an early draft had it, want lines of key: value"}
	}
	return nil
}

// The keys of a policy (RFC 8461 §3.2).
const (
	keyVersion = "version"
	keyMode    = "mode"
	keyMX      = "mx"
	keyMaxAge  = "max_age"
)

// reader reads a policy line by line.
type reader struct {
	policy  Policy
	version bool
	age     bool
	mx      bool            // there was an mx, of whatever value
	named   map[string]bool // the patterns of policy.MX
}

// line reads one line.
func (r *reader) line(n int, line string) *Fault {
	if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return &Fault{Line: n, Text: "it has a control character: " + said(line)}
	}
	line = trim(line)
	if line == "" {
		return nil
	}
	key, value, colon := strings.Cut(line, ":")
	key, value = trim(key), trim(value)
	switch {
	case strings.HasPrefix(line, "#"):
		r.odd(n, "MTA-STS knows no comments; it is passed over")
		return nil
	case !colon:
		r.odd(n, said(line)+" has no colon and is passed over; want key: value")
		return nil
	}
	return r.field(n, key, value)
}

func (r *reader) field(n int, key, value string) *Fault {
	name := strings.ToLower(key)
	if name != key && slices.Contains([]string{keyVersion, keyMode, keyMX, keyMaxAge}, name) {
		r.odd(n, said(key)+" should be written "+name)
	}
	switch name {
	case keyVersion:
		if r.twice(n, keyVersion, r.version) {
			return nil
		}
		r.version = true
		return r.readVersion(n, value)
	case keyMode:
		if r.twice(n, keyMode, r.policy.Mode != "") {
			return nil
		}
		return r.readMode(n, value)
	case keyMaxAge:
		if r.twice(n, keyMaxAge, r.age) {
			return nil
		}
		r.age = true
		return r.readAge(n, value)
	case keyMX:
		r.readMX(n, value)
	default:
		r.unknown(n, key)
	}
	return nil
}

// twice notes a key that was there before: the first counts.
func (r *reader) twice(n int, key string, before bool) bool {
	if before {
		r.odd(n, "there was "+key+" before, and the first counts")
	}
	return before
}

func (r *reader) readVersion(n int, value string) *Fault {
	switch {
	case value == Version:
		return nil
	case strings.EqualFold(value, Version):
		r.odd(n, said(value)+" should be written "+Version)
		return nil
	case strings.HasPrefix(value, Version) && strings.ContainsAny(value, ":="):
		return &Fault{Line: n, Text: "more stands beside the version, want each key on a line of its own"}
	}
	return &Fault{Line: n, Text: "the version is " + said(value) + ", want " + Version}
}

func (r *reader) readMode(n int, value string) *Fault {
	mode := Mode(strings.ToLower(value))
	switch mode {
	case Enforce, Testing, None:
	case "report":
		return &Fault{Line: n, Text: `the mode "report" is that of an early draft, want testing`}
	default:
		return &Fault{Line: n, Text: "the mode is " + said(value) + ", want enforce, testing or none"}
	}
	if string(mode) != value {
		r.odd(n, said(value)+" should be written "+string(mode))
	}
	r.policy.Mode = mode
	return nil
}

// readAge reads a number of seconds. One that is larger than there may be is the largest there may be.
func (r *reader) readAge(n int, value string) *Fault {
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return &Fault{Line: n, Text: "max_age is " + said(value) + ", want a number of seconds in digits alone"}
	}
	seconds, err := strconv.ParseUint(value, 10, 63)
	if err != nil || time.Duration(seconds) > MaxAge/time.Second {
		r.odd(n, fmt.Sprintf("max_age is %s, more than the largest there may be, %d, which counts", said(value),
			MaxAge/time.Second))
		seconds = uint64(MaxAge / time.Second)
	}
	r.policy.MaxAge = time.Duration(seconds) * time.Second
	return nil
}

func (r *reader) readMX(n int, value string) {
	r.mx = true
	pattern, problem := parsePattern(value)
	if problem != "" {
		r.odd(n, problem)
		return
	}
	if pattern != value {
		r.odd(n, said(value)+" should be written "+pattern)
	}
	if !r.named[pattern] {
		r.named[pattern] = true
		r.policy.MX = append(r.policy.MX, pattern)
	}
}

func (r *reader) unknown(n int, key string) {
	if len(r.policy.Oddities) >= maxOddities {
		return
	}
	text := said(key) + " is no key of MTA-STS and is passed over"
	meant := tomlfile.Nearest(strings.ReplaceAll(strings.ToLower(key), "-", "_"),
		[]string{keyVersion, keyMode, keyMX, keyMaxAge}, func(word string) int { return max(1, (len(word)-1)/3) })
	if meant != "" {
		text += "; did you mean " + meant + "?"
	}
	r.odd(n, text)
}

func (r *reader) odd(n int, text string) {
	if len(r.policy.Oddities) < maxOddities {
		r.policy.Oddities = append(r.policy.Oddities, atLine(n, text))
	}
}

// missing says what a policy must say and this one does not.
func (r *reader) missing() *Fault {
	switch {
	case !r.version:
		return &Fault{Text: "the policy does not say version: " + Version}
	case r.policy.Mode == "":
		return &Fault{Text: "the policy has no mode"}
	case !r.age:
		return &Fault{Text: "the policy has no max_age"}
	case len(r.policy.MX) > 0 || r.policy.Mode == None:
		return nil
	case r.mx:
		return &Fault{Text: "no mx of the policy can be used"}
	}
	return &Fault{Text: noHosts(r.policy.Mode)}
}

func noHosts(mode Mode) string {
	return "the mode is " + string(mode) + ", and no mx says which mail hosts are meant"
}

// trim takes blanks of any kind from both ends, those too that a text pasted from a web page has.
func trim(s string) string {
	return strings.TrimFunc(s, func(c rune) bool { return unicode.IsSpace(c) || c == '\u200b' || c == '\ufeff' })
}

// parsePattern reads a name or "*." and a name, in any spelling of a domain. Problem says what is wrong with it.
func parsePattern(text string) (pattern, problem string) {
	name, wild := strings.CutPrefix(text, "*.")
	domain, err := mail.ParseDomain(name)
	_, literal := domain.Literal()
	switch {
	case text == "":
		return "", "mx is empty"
	case text == "*":
		return "", `mx: "*" would be every host there is, and matches none`
	case strings.ContainsAny(text, " \t,;"):
		return "", "mx is " + said(text) + ", want one name and nothing beside it"
	case strings.HasPrefix(text, "."):
		return "", "mx is " + said(text) + `, want "*` + said(text)[1:] + " for the names below it"
	case strings.Contains(name, "*"):
		return "", "mx is " + said(text) + ", and a wildcard is the whole first label or none"
	case err != nil, literal, numeric(domain.String()):
		return "", "mx is " + said(text) + ", which is no name that a mail host can have"
	case wild:
		return "*." + domain.String(), ""
	}
	return domain.String(), ""
}

// numeric reports whether a name ends in a number, as only addresses do.
func numeric(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.Trim(last, "0123456789") == ""
}
