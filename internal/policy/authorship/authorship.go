package authorship

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// Origin is what is known of who handed a message in. The zero Origin knows nothing.
type Origin struct {
	// User is the name that somebody logged in by; one that is an address binds to its domain.
	User string
	// Senders are the domains that the configuration binds the client to: "example.com", or "*.example.com" for what
	// is below it. Empty: nothing binds it.
	Senders []string
}

// Fields are the fields that say whose mail a message is (RFC 5322 §3.6.2 and §3.6.6), with what a server or list that
// rewrote From left of it.
func Fields() []string {
	return []string{"From", "Sender", "Resent-From", "Resent-Sender", "Return-Path", "Author", "X-Original-From",
		"Original-From"}
}

// tie is why a message is a domain's mail.
type tie struct {
	domain mail.Domain
	below  bool   // some domain below it, which is not known
	how    string // "envelope sender ann@example.com"
}

// Ties says whose mail a message is.
type Ties struct {
	ties []tie
	// doubts are why it may be anybody's, as sentences.
	doubts []string
	// notes are what else is to be known, for Explain.
	notes []string
	// looked is how many domains of the header were looked at.
	looked int
}

// Condition is domain and below of a rule; nil: no condition.
type Condition struct {
	domains []mail.Domain
	below   bool
}

// NewCondition is a condition for the mail of domains, and with below of what is below them.
func NewCondition(domains []mail.Domain, below bool) *Condition {
	return &Condition{domains, below}
}

// covers reports whether a tie is to one of the domains.
func (c *Condition) covers(t *tie) bool {
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

// Match reports whether a message is the mail of one of the domains, or nobody can tell.
func (c *Condition) Match(k *Ties) bool {
	if len(k.doubts) > 0 {
		return true
	}
	return slices.ContainsFunc(k.ties, func(t tie) bool { return c.covers(&t) })
}

// Explain says by which a message belongs to the domains.
func (c *Condition) Explain(k *Ties) string {
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

// add adds a tie. Domains that the text does not hold as such are nobody's.
func (k *Ties) add(domain, how string) bool {
	d, err := mail.ParseDomain(domain)
	if err == nil {
		k.ties = append(k.ties, tie{domain: d, how: how})
	}
	return err == nil
}

// Of says whose mail a message is by its envelope sender, and by who handed it in.
func Of(from mail.Address, o *Origin) *Ties {
	k := &Ties{}
	k.envelope(from, o)
	return k
}

// Doubt notes why it may be anybody's, as a sentence.
func (k *Ties) Doubt(why string) { k.doubts = append(k.doubts, why) }

// envelope takes the sender, and who handed it in.
func (k *Ties) envelope(from mail.Address, o *Origin) {
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
	user, err := mail.ParseAddress(o.User)
	bound := err == nil && !user.Domain.IsZero()
	if bound {
		k.ties = append(k.ties, tie{domain: user.Domain, how: what + ", handed in by the user " + user.String()})
	}
	if len(o.Senders) == 0 && !bound {
		k.notes = append(k.notes, "nothing binds whoever handed in "+what+" to a domain, so the header alone tells "+
			"whose it is")
	}
}

// rewritten takes for whom a sender stands that a forwarder or a gateway rewrote. It reports whether it is one.
func (k *Ties) rewritten(from mail.Address) bool {
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

// maxLooked bounds how many spellings of domains are taken from the header of one message, so that none costs long.
const maxLooked = 2000

// Field takes the addresses of a header field, in lower case, with its values.
func (k *Ties) Field(name string, values []pattern.Value) {
	seen, known := map[string]bool{}, map[mail.Domain]bool{}
	for _, v := range values {
		if v.Doubt != "" {
			k.doubts = append(k.doubts, name+" "+v.Doubt)
			continue
		}
		text := strings.TrimSpace(v.Exact)
		how, found := "the header "+name+": "+tomlfile.Quote(tomlfile.Clip(text)), false
		for _, reading := range readings(text) {
			for d := range domainsIn(reading) {
				found = true
				if seen[d] {
					continue
				}
				seen[d] = true
				if k.looked++; k.looked > maxLooked {
					k.Doubt(name + " names more domains than are looked at, which counts as a match")
					return
				}
				domain, err := mail.ParseDomain(d)
				switch {
				case err != nil: // a domain that the text does not hold as such
					k.Doubt(fmt.Sprintf("%s holds %s, which is read differently, and counts as a match", name,
						tomlfile.Quote(tomlfile.Clip("@"+d))))
				case !known[domain]:
					known[domain] = true
					k.ties = append(k.ties, tie{domain: domain, how: how})
				}
			}
		}
		if bare := strings.Trim(text, "<> "); !found && bare != "" && !strings.HasSuffix(bare, ":;") &&
			!strings.HasSuffix(bare, ": ;") {
			k.doubts = append(k.doubts, name+" has an address without a domain, which counts as a match")
		}
	}
}

// Index finds the rules by domain that a message may be the mail of.
type Index struct {
	rules map[mail.Domain][]int32
	all   []int32
}

// Add adds a rule, or reports that it has no domain.
func (ix *Index) Add(c *Condition, rule int32) bool {
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

// Empty reports whether no rule is in it.
func (ix *Index) Empty() bool { return len(ix.all) == 0 }

// Find adds the rules that may be about a message.
func (ix *Index) Find(k *Ties, rules pattern.Candidates) {
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
