package zone

import (
	"fmt"
	"slices"
	"strings"

	wire "github.com/miekg/dns"
)

// Zone is what a server knows. It is immutable once parsed.
type Zone struct {
	records  map[string][]wire.RR // by lower-case name with the final dot
	exists   map[string]bool      // every name with records, failures or such below it
	failures map[key]failure
	unsigned map[string]bool
}

type key struct {
	name  string
	qtype uint16 // TypeANY: every type
}

type failure string

// The failures of the package comment.
const (
	servfail  failure = "servfail"
	bogus     failure = "bogus"
	refused   failure = "refused"
	notimp    failure = "notimp"
	timeout   failure = "timeout"
	nxdomain  failure = "nxdomain"
	truncated failure = "truncated"
	cut       failure = "cut"
	garbage   failure = "garbage"
)

// isFailure reports whether word names a failure.
func isFailure(word string) bool {
	switch failure(word) {
	case servfail, bogus, refused, notimp, timeout, nxdomain, truncated, cut, garbage:
		return true
	}
	return false
}

// Parse reads the text form of the package comment.
func Parse(text string) (*Zone, error) {
	z := &Zone{records: map[string][]wire.RR{}, exists: map[string]bool{}, failures: map[key]failure{},
		unsigned: map[string]bool{}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(strip(line))
		if line == "" {
			continue
		}
		if err := z.add(line); err != nil {
			return nil, fmt.Errorf("zone line %d: %w", n, err)
		}
	}
	return z, nil
}

// strip removes a comment; a semicolon inside quotes is none.
func strip(line string) string {
	quoted := false
	for i, c := range []byte(line) {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			return line[:i]
		}
	}
	return line
}

func (z *Zone) add(line string) error {
	line, unsigned := strings.CutPrefix(line, "!")
	fields := strings.Fields(line)
	name := wire.CanonicalName(fields[0])
	if unsigned {
		z.unsigned[name] = true
	}
	if last := fields[len(fields)-1]; len(fields) <= 3 && isFailure(last) {
		return z.addFailure(name, fields[1:len(fields)-1], failure(last))
	}
	parser := wire.NewZoneParser(strings.NewReader(line+"\n"), ".", "")
	parser.SetDefaultTTL(0)
	rr, ok := parser.Next()
	if err := parser.Err(); err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%q holds no record and no failure", line)
	}
	z.records[name] = append(z.records[name], rr)
	z.note(name)
	return nil
}

func (z *Zone) addFailure(name string, types []string, f failure) error {
	qtype := wire.TypeANY
	if len(types) == 1 {
		var ok bool
		if qtype, ok = wire.StringToType[strings.ToUpper(types[0])]; !ok {
			return fmt.Errorf("%q is no record type", types[0])
		}
	}
	z.failures[key{name, qtype}] = f
	if f != nxdomain {
		z.note(name)
	}
	return nil
}

// note makes name and everything above it exist.
func (z *Zone) note(name string) {
	for {
		z.exists[name] = true
		i := strings.IndexByte(name, '.')
		if i < 0 || i+1 >= len(name) {
			return
		}
		name = name[i+1:]
	}
}

// outcome is what the zone says to a question.
type outcome struct {
	failure  failure // "" for an answer
	rcode    int
	answer   []wire.RR
	unsigned bool
}

const maxChain = 20

// lookup answers a question, following aliases inside the zone as a recursive server does.
func (z *Zone) lookup(name string, qtype uint16) outcome {
	var out outcome
	name = wire.CanonicalName(name)
	for range maxChain {
		out.unsigned = out.unsigned || z.unsigned[name]
		if f := z.failureOf(name, qtype); f == truncated || f == cut {
			out.failure = f
		} else if f == nxdomain {
			out.rcode = wire.RcodeNameError
			return out
		} else if f != "" {
			return outcome{failure: f}
		}
		owner := z.owner(name)
		out.unsigned = out.unsigned || z.unsigned[owner]
		if owner == "" {
			if !z.exists[name] {
				out.rcode = wire.RcodeNameError
			}
			return out
		}
		target := ""
		for _, rr := range z.records[owner] {
			alias, isAlias := rr.(*wire.CNAME)
			if rr.Header().Rrtype != qtype && !isAlias {
				continue
			}
			rr = wire.Copy(rr)
			rr.Header().Name = name
			out.answer = append(out.answer, rr)
			if isAlias && qtype != wire.TypeCNAME {
				target = wire.CanonicalName(alias.Target)
			}
		}
		if target == "" {
			return out
		}
		name = target
	}
	return out // an endless chain: all that was seen
}

func (z *Zone) failureOf(name string, qtype uint16) failure {
	if f, ok := z.failures[key{name, qtype}]; ok {
		return f
	}
	return z.failures[key{name, wire.TypeANY}]
}

// owner returns whose records answer for name: its own, or those of the wildcard above it; "" for none.
func (z *Zone) owner(name string) string {
	if len(z.records[name]) > 0 {
		return name
	}
	if z.exists[name] {
		return ""
	}
	for _, i := range wire.Split(name)[min(1, len(wire.Split(name))):] {
		if wild := "*." + name[i:]; len(z.records[wild]) > 0 {
			return wild
		}
		if z.exists[name[i:]] {
			return ""
		}
	}
	return ""
}

// Names lists the names that have records, sorted.
func (z *Zone) Names() []string {
	var names []string
	for name := range z.records {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
