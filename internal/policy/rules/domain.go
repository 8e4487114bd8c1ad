package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// What follows is about rules for the mail of a whole domain (S9): domain and below. A message is a domain's mail
//
//   - when its envelope sender is in the domain. Tags of BATV (prvs=) and VERP leave the domain as it is;
//   - when its envelope sender was rewritten (SRS, the percent hack, UUCP paths, an address in quotes) and stands for
//     one in the domain. One that was rewritten so that nobody can tell for whom counts as a match;
//   - when a field in which people or programs see an author holds an address in the domain: see authorFields. Each
//     address counts, in every reading, those in display names and comments too, for that is what people read. What
//     cannot be judged counts as a match;
//   - when its sender is null or rewritten, and what binds the client or the user who handed it in names the domain.
//
// Where nothing binds whoever handed in a null sender, the header alone tells, and Explain says so.

// Origin is what is known of who handed a message in. The zero Origin knows nothing.
type Origin struct {
	// User is the name that somebody logged in by; one that is an address binds to its domain.
	User string
	// Senders are the domains that the configuration binds the client to: "example.com", or "*.example.com" for what
	// is below it. Empty: nothing binds it.
	Senders []string
}

// authorFields are the fields that say whose mail a message is (RFC 5322 §3.6.2 and §3.6.6), with what a
// server or list that rewrote From left of it.
func authorFields() []string {
	return []string{"From", "Sender", "Resent-From", "Resent-Sender", "Return-Path", "Author", "X-Original-From",
		"Original-From"}
}

// tie is why a message is a domain's mail.
type tie struct {
	domain mail.Domain
	below  bool   // some domain below it, which is not known
	how    string // "envelope sender ann@example.com"
}

// kin says whose mail a message is.
type kin struct {
	ties []tie
	// doubts are why it may be anybody's, as sentences.
	doubts []string
	// notes are what else is to be known, for Explain.
	notes []string
}

// domainCondition is domain and below of a rule; nil: no condition.
type domainCondition struct {
	domains []mail.Domain
	below   bool
}

// covers reports whether a tie is to one of the domains.
func (c *domainCondition) covers(t *tie) bool {
	for _, d := range c.domains {
		switch {
		case !t.below && t.domain == d, c.below && t.domain.Below(d):
			return true
		case t.below && (d.Below(t.domain) || c.below && t.domain == d):
			return true
		}
	}
	return false
}

// match reports whether a message is the mail of one of the domains, or nobody can tell.
func (c *domainCondition) match(m *message) bool {
	k := m.kin()
	if len(k.doubts) > 0 {
		return true
	}
	return slices.ContainsFunc(k.ties, func(t tie) bool { return c.covers(&t) })
}

// explain says by which a message belongs to the domains.
func (c *domainCondition) explain(m *message) string {
	k := m.kin()
	var why []string
	for i := range k.ties {
		if c.covers(&k.ties[i]) {
			why = append(why, k.ties[i].how)
		}
	}
	if len(why) > 0 {
		return "the message is its mail by " + strings.Join(append(why, k.notes...), "; ")
	}
	if len(k.doubts) > 0 {
		return strings.Join(k.doubts, "; ")
	}
	out := "neither the envelope sender nor the header names it"
	if len(c.domains) > 1 {
		out = "neither the envelope sender nor the header names one of them"
	}
	for _, t := range k.ties {
		for _, d := range c.domains {
			if !c.below && t.domain.Below(d) {
				out += fmt.Sprintf("; %s is below %s, below = true would cover it", t.how, d)
			}
		}
	}
	return strings.Join(append([]string{out}, k.notes...), "; ")
}

// kin is found out once for a message.
func (m *message) kin() *kin {
	if m.whose == nil {
		m.whose = &kin{}
		m.whose.envelope(m.From, &m.Origin)
		for _, field := range m.authors {
			m.whose.field(m, field)
		}
		if m.Header.Truncated() {
			m.whose.doubts = append(m.whose.doubts, "the header is too large to be read in full, which counts as a "+
				"match")
		}
	}
	return m.whose
}

// add adds a tie. Domains that the text does not hold as such are nobody's.
func (k *kin) add(domain, how string) bool {
	d, err := mail.ParseDomain(domain)
	if err == nil {
		k.ties = append(k.ties, tie{domain: d, how: how})
	}
	return err == nil
}

// envelope takes the sender, and who handed it in.
func (k *kin) envelope(from mail.Address, o *Origin) {
	rewritten := false
	if !from.IsNull() {
		k.ties = append(k.ties, tie{domain: from.Domain, how: "the envelope sender " + from.String()})
		rewritten = k.rewritten(from)
	}
	if !from.IsNull() && !rewritten {
		return
	}
	what := "the null sender"
	if rewritten {
		what = "the rewritten sender " + from.String()
	}
	for _, s := range o.Senders {
		name, below := strings.CutPrefix(s, "*.")
		if d, err := mail.ParseDomain(name); err == nil {
			k.ties = append(k.ties, tie{d, below, what + ", handed in by a client that is bound to " + s})
		}
	}
	if a, err := mail.ParseAddress(o.User); err == nil && !a.Domain.IsZero() {
		k.ties = append(k.ties, tie{domain: a.Domain, how: what + ", handed in by the user " + a.String()})
	}
	if len(o.Senders) == 0 {
		k.notes = append(k.notes, "nothing binds whoever handed in "+what+" to a domain, so the header alone tells "+
			"whose it is")
	}
}

// rewritten takes for whom a sender stands that a forwarder or a gateway rewrote. It reports whether it is one.
func (k *kin) rewritten(from mail.Address) bool {
	local := strings.ToLower(strings.Trim(from.Local, `"`))
	var parts []string
	switch at := strings.Index(local, "srs"); {
	case at >= 0 && isSRS(local, at):
		parts = strings.FieldsFunc(local[at+3:], func(c rune) bool { return c == '=' || c == '+' })
	case strings.HasPrefix(local, "prvs=") || strings.HasPrefix(local, "btv1=="): // the domain is the sender's
		return true
	case strings.ContainsAny(local, "%!@"):
		parts = strings.FieldsFunc(local, func(c rune) bool { return c == '%' || c == '!' || c == '@' })
	default:
		return strings.Contains(local, "=") // VERP: for whom the message is
	}
	found := false
	for _, part := range parts {
		if strings.Contains(part, ".") {
			found = k.add(part, "the rewritten sender "+from.String()+", which stands for "+part) || found
		}
	}
	if !found {
		k.doubts = append(k.doubts, "nobody can tell for whom the rewritten sender "+from.String()+
			" stands, which counts as a match")
	}
	return true
}

// isSRS reports whether a local part is of the sender rewriting scheme from an offset on: "SRS0=", "SRS1+", "x+SRS=".
func isSRS(local string, at int) bool {
	if at > 0 && !strings.ContainsRune("+-=", rune(local[at-1])) {
		return false
	}
	rest := strings.TrimLeft(local[at+3:], "01")
	return rest != "" && strings.ContainsRune("=+-", rune(rest[0])) && strings.Contains(rest, "=")
}

// field takes the addresses of a header field, a position in Set.fields.
func (k *kin) field(m *message, field int) {
	name := m.fields[field]
	for _, v := range m.valuesOf(field) {
		if v.Doubt != "" {
			k.doubts = append(k.doubts, name+" "+v.Doubt)
			continue
		}
		text := strings.TrimSpace(v.Exact)
		found := false
		for _, reading := range []string{text, withoutComments(text), strings.ReplaceAll(text, "=40", "@")} {
			for _, d := range domainsIn(reading) {
				found = true
				if !k.knows(d, name) && !k.add(d, "the header "+name+": "+tomlfile.Quote(tomlfile.Clip(text))) {
					k.doubts = append(k.doubts, fmt.Sprintf("%s holds %s, which is read differently, and counts as "+
						"a match", name,
						tomlfile.Quote(tomlfile.Clip("@"+d))))
				}
			}
		}
		if bare := strings.Trim(text, "<> "); !found && bare != "" && !strings.HasSuffix(bare, ":;") &&
			!strings.HasSuffix(bare, ": ;") {
			k.doubts = append(k.doubts, name+" has an address without a domain, which counts as a match")
		}
	}
}

// knows reports whether a header field gave a tie to a domain already.
func (k *kin) knows(domain, field string) bool {
	d, err := mail.ParseDomain(domain)
	return err == nil && slices.ContainsFunc(k.ties,
		func(t tie) bool { return t.domain == d && strings.HasPrefix(t.how, "the header "+field+":") })
}

// maxDomainsOf bounds what is taken from one field.
const maxDomainsOf = 2000

// domainsIn are the domains after each @ of a text as people and programs read it: as they stand, and with the blanks
// that may stand around dots taken out (RFC 5322 §4.4).
func domainsIn(text string) (out []string) {
	text = pattern.DomainDots.Replace(text)
	for len(out) < maxDomainsOf {
		_, rest, found := strings.Cut(text, "@")
		if !found {
			return out
		}
		text = rest
		rest = strings.TrimLeft(rest, " ")
		if strings.HasPrefix(rest, "[") {
			if end := strings.IndexByte(rest, ']'); end > 0 {
				out = append(out, rest[:end+1])
			}
			continue
		}
		tight, loose := domainAt(rest)
		for _, d := range []string{tight, loose} {
			if d = strings.Trim(d, ".-"); d != "" && !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// domainAt is the domain that a text begins with, without blanks in it, and as far as dots go on with them.
func domainAt(s string) (tight, loose string) {
	end := labelsEnd(s)
	tight = s[:end]
	for loose = tight; len(loose) < 1000; {
		rest := strings.TrimLeft(s[end:], " ")
		if !strings.HasPrefix(rest, ".") && !strings.HasSuffix(loose, ".") {
			return tight, loose
		}
		n := labelsEnd(rest)
		if n == 0 {
			return tight, loose
		}
		loose += rest[:n]
		end = len(s) - len(rest) + n
	}
	return tight, loose
}

// labelsEnd is how long the run of labels and dots is that a text begins with.
func labelsEnd(s string) int {
	for i, c := range s {
		if c == '.' || c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) ||
			c >= utf8.RuneSelf && !unicode.IsSpace(c) && !unicode.IsPunct(c) {
			continue
		}
		return i
	}
	return len(s)
}

// withoutComments takes comments out of a field (RFC 5322 §3.2.2).
func withoutComments(s string) string {
	if !strings.Contains(s, "(") {
		return s
	}
	var out strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			if depth == 0 {
				out.WriteString(s[i : i+2])
			}
			i++
			continue
		}
		switch {
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
			continue
		case c == ')' && !quoted && depth > 0:
			depth--
			continue
		}
		if depth == 0 {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// readDomains reads the key domain.
func readDomains(p *problems, r *Rule, e tomlfile.Entry) {
	p.Strings(e, func(value string, at tomlfile.Span) {
		d, err := mail.ParseDomain(value)
		_, literal := d.Literal()
		switch {
		case strings.HasPrefix(value, "*."):
			p.Add(at, tomlfile.Quote(tomlfile.Clip(value))+" in domain: the domain is written alone",
				fmt.Sprintf("write domain = [%s] and below = true", tomlfile.Quote(tomlfile.Clip(value[2:]))))
		case err != nil || literal || strings.ContainsAny(value, "*?@:"):
			p.Add(at, tomlfile.Quote(tomlfile.Clip(value))+" in domain is no domain",
				`write domains: domain = ["example.com"]`)
		case !slices.Contains(r.Domain, d):
			r.Domain = append(r.Domain, d)
		}
	})
}

// domainTexts is domain as it is printed.
func domainTexts(r *Rule) any {
	var out []string
	for _, d := range r.Domain {
		out = append(out, d.String())
	}
	return out
}

// DomainText names the domains whose mail the rule is about, "" for everybody's: "a.test, b.test and below".
func (r *Rule) DomainText() string {
	names, _ := domainTexts(r).([]string)
	out := strings.Join(names, ", ")
	if out != "" && r.Below {
		out += " and below"
	}
	return out
}

// domainWeaker reports whether a rule is about the mail of less than before.
func domainWeaker(before, after *Rule) bool { return narrower(before.Domain, after.Domain) }

// belowWeaker reports whether a rule leaves out what is below its domains.
func belowWeaker(_, after *Rule) bool { return len(after.Domain) > 0 && !after.Below }

// domainIndex finds the rules by domain that a message may be the mail of.
type domainIndex struct {
	rules map[mail.Domain][]int32
	all   []int32
}

// add adds a rule, or reports that it has no domain.
func (ix *domainIndex) add(c *domainCondition, rule int32) bool {
	if c == nil {
		return false
	}
	if ix.rules == nil {
		ix.rules = map[mail.Domain][]int32{}
	}
	for _, d := range c.domains {
		ix.rules[d] = append(ix.rules[d], rule)
	}
	ix.all = append(ix.all, rule)
	return true
}

// find adds the rules that may be about a message.
func (ix *domainIndex) find(m *message, rules pattern.Candidates) {
	if len(ix.all) == 0 {
		return
	}
	k := m.kin()
	if len(k.doubts) > 0 || slices.ContainsFunc(k.ties, func(t tie) bool { return t.below }) {
		rules.Add(ix.all)
		return
	}
	for _, t := range k.ties {
		rules.Add(ix.rules[t.domain])
		for parent := range pattern.Parents(t.domain.String()) {
			if d, err := mail.ParseDomain(parent); err == nil {
				rules.Add(ix.rules[d])
			}
		}
	}
}
