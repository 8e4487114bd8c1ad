package pattern

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"postern/internal/mail"
)

// Address is an envelope address in the one spelling rules compare: domain as A-label, needless quotes gone, the
// local part in the form of form and, in folded, without case. Quotes are how an address is written and no part of it:
// patterns are held against the local part without any.
type Address struct {
	null   bool
	domain string
	local  formed   // without quotes
	whole  formed   // local@domain, with the quotes it needs
	plain  string   // whole as it was sent, composed
	shown  []string // whole as people may see it, where that differs: for expressions
	grams  grams    // of domain
}

// NewAddress brings an address to that form.
func NewAddress(a mail.Address) Address {
	if a.IsNull() {
		return Address{null: true}
	}
	domain := a.Domain.String()
	sent := strings.TrimSuffix(a.Canonical(), "@"+domain)
	written := newFormed(sent)
	f := Address{domain: domain, local: written, whole: written, plain: sent}
	quoted := strings.HasPrefix(sent, `"`)
	if quoted {
		f.local = newFormed(a.Mailbox())
	}
	if domain == "" {
		return f
	}
	// A domain is in lower case, but for the capitals of [IPv6:...].
	f.whole = formed{written.Exact + "@" + domain, written.Folded + "@" + form(domain, false)}
	f.plain = norm.NFC.String(sent + "@" + domain)
	if quoted {
		f.shown = append(f.shown, f.local.Exact+"@"+domain)
	}
	if name := a.Domain.Unicode(); strings.Contains(domain, "xn--") && name != domain {
		name = "@" + form(name, true)
		f.shown = append(f.shown, written.Exact+name)
		if quoted {
			f.shown = append(f.shown, f.local.Exact+name)
		}
	}
	f.grams.add(domain)
	return f
}

// Addresses is the compiled values of sender or recipient. Once made it
// never changes, and is safe for concurrent use. They are sorted lists of what can be looked up, because maps of one
// value each would be half the memory of a Set, and the rest.
type Addresses struct {
	caseMatters bool
	Null        bool // "<>" is one
	Literals    bool // every address at an address literal is covered; the zero value is not
	addresses   []string
	Domains     []string // A-labels in lower case, without what is below them
	below       []string // names below these
	patterns    []addressPattern
}

// addressPattern is a value that no hash can find. Exactly one of re and domain is set.
type addressPattern struct {
	re     *expression
	local  *glob // nil: any
	domain *glob
}

// compile adds one value to the list; sort follows the last. What it accepts: "<>" (sender only), local@domain,
// domain, *.domain, patterns of these, and "re:" expressions over the canonical address.
func (l *Addresses) compile(value string, nullAllowed bool) error {
	if err := checkPattern(value); err != nil {
		return err
	}
	if value == "<>" {
		if !nullAllowed {
			return errors.New("the null address is never a recipient")
		}
		l.Null = true
		return nil
	}
	if expr, ok := strings.CutPrefix(value, "re:"); ok {
		re, err := compileExpression(expr, l.caseMatters)
		l.patterns = append(l.patterns, addressPattern{re: re})
		return err
	}
	at := strings.LastIndexByte(value, '@')
	if at < 0 {
		return l.compileDomain(value, nil)
	}
	local, domain := value[:at], value[at+1:]
	if strings.HasPrefix(local, `"`) || !strings.ContainsAny(local, "*?") {
		return l.compileExact(local, domain)
	}
	if local == "*" {
		return l.compileDomain(domain, nil)
	}
	if strings.ContainsFunc(local, func(c rune) bool { return c <= ' ' || strings.ContainsRune(`"(),:;<>[]@`, c) }) {
		return errors.New("a character in the local part that no address has without quotes")
	}
	g, err := compileGlob(local, l.caseMatters)
	if err != nil {
		return err
	}
	return l.compileDomain(domain, g)
}

// AddEntry adds a value of a list, which can be looked up; Sort follows the last.
func (l *Addresses) AddEntry(value string) error {
	before := len(l.patterns)
	if err := l.compile(value, false); err != nil {
		return err
	}
	if len(l.patterns) > before {
		l.patterns = l.patterns[:before]
		return errors.New("a pattern, which no list holds")
	}
	return nil
}

// compileExact reads an address whose local part is no pattern; its domain may be one.
func (l *Addresses) compileExact(local, domain string) error {
	probe := domain
	wild := strings.ContainsAny(domain, "*?")
	if wild {
		probe = "pattern.invalid"
	}
	a, err := mail.ParseAddress(local + "@" + probe)
	if err != nil {
		return errors.New("not a mail address")
	}
	f := NewAddress(a)
	if !wild {
		l.addresses = append(l.addresses, l.pick(f.whole))
		return nil
	}
	return l.compileDomain(domain, newGlob(&glob{head: []rune(l.pick(f.local))}))
}

// compileDomain reads the domain part of a value; local is the pattern of the local part, nil for any.
func (l *Addresses) compileDomain(domain string, local *glob) error {
	parent, below := strings.CutPrefix(domain, "*.")
	if !strings.ContainsAny(parent, "*?") {
		d, err := mail.ParseDomain(parent)
		if err != nil || below && strings.HasPrefix(parent, "[") {
			return errors.New("not a domain name")
		}
		if local == nil && below {
			l.below = append(l.below, d.String())
			return nil
		}
		if local == nil {
			l.Domains = append(l.Domains, d.String())
			return nil
		}
		g := &glob{head: []rune(d.String())}
		if below {
			g = &glob{star: true, tail: []rune("." + d.String())}
		}
		l.patterns = append(l.patterns, addressPattern{local: local, domain: newGlob(g)})
		return nil
	}
	canonical, err := domainPattern(domain)
	if err != nil {
		return err
	}
	g, err := compileGlob(canonical, true)
	if err != nil {
		return err
	}
	l.patterns = append(l.patterns, addressPattern{local: local, domain: g})
	return nil
}

// DomainDots are the characters that separate labels besides the full stop (RFC 3490 §3.1).
var DomainDots = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// domainPattern brings the labels of a domain pattern to A-labels in lower case. A label with a wildcard must be ASCII,
// because the A-label of a part of a name is not a part of the name's A-label.
func domainPattern(s string) (string, error) {
	labels := strings.Split(strings.TrimSuffix(DomainDots.Replace(s), "."), ".")
	for i, label := range labels {
		if !strings.ContainsAny(label, "*?") {
			d, err := mail.ParseDomain(label)
			if err != nil {
				return "", errors.New("not a domain name")
			}
			labels[i] = d.String()
			continue
		}
		labels[i] = strings.ToLower(label)
		for j := range len(label) {
			if c := labels[i][j]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_*?", c) >= 0) {
				return "", errors.New("a label with a wildcard may hold only ASCII letters, digits, - and _")
			}
		}
	}
	return strings.Join(labels, "."), nil
}

// Sort makes the list ready for Match.
func (l *Addresses) Sort() {
	for _, values := range []*[]string{&l.addresses, &l.Domains, &l.below} {
		slices.Sort(*values)
		*values = slices.Clip(slices.Compact(*values))
	}
}

func has(sorted []string, value string) bool {
	_, found := slices.BinarySearch(sorted, value)
	return found
}

func (l *Addresses) pick(f formed) string {
	if l.caseMatters {
		return f.Exact
	}
	return f.Folded
}

// Match reports whether one of the values covers the address. The null address is covered by "<>" alone.
func (l *Addresses) Match(a *Address) bool {
	if a.null {
		return l.Null
	}
	if has(l.addresses, l.pick(a.whole)) || has(l.Domains, a.domain) || l.Literals && strings.HasPrefix(a.domain, "[") {
		return true
	}
	if len(l.below) > 0 {
		for parent := range Parents(a.domain) {
			if has(l.below, parent) {
				return true
			}
		}
	}
	for i := range l.patterns {
		if l.patterns[i].match(a, l.pick(a.local)) {
			return true
		}
	}
	return false
}

func (p *addressPattern) match(a *Address, local string) bool {
	if p.re != nil {
		return p.re.match(a.whole.Exact, a.plain) ||
			slices.ContainsFunc(a.shown, func(s string) bool { return p.re.match(s, s) })
	}
	return a.grams.hold(p.domain.needs) && p.domain.match(a.domain) && (p.local == nil || p.local.match(local))
}

// Literal is text that stands in what folded returns for every address the pattern covers; "" when there is none.
func (p *addressPattern) literal() string {
	if p.re != nil {
		return ""
	}
	pieces := [][]rune{nil, nil} // any
	if p.local != nil {
		pieces = p.local.pieces()
	}
	domain, last := p.domain.pieces(), len(pieces)-1
	at := slices.Concat(pieces[last], []rune{'@'}, domain[0])
	return longestLiteral(slices.Concat(pieces[:last], [][]rune{at}, domain[1:]))
}

// Folded is the address with case folded, as patterns see it: without quotes. Unlike whole it has an @ even without a
// domain.
func (a *Address) folded() string { return a.local.Folded + "@" + form(a.domain, false) }

// Parents yields the names a domain lies below, the nearest first.
func Parents(domain string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			_, parent, ok := strings.Cut(domain, ".")
			if !ok || strings.HasPrefix(domain, "[") || !yield(parent) {
				return
			}
			domain = parent
		}
	}
}

// CheckAddress says what is wrong with a value: see compile.
func CheckAddress(value string, nullAllowed bool) error {
	var scratch Addresses
	return scratch.compile(value, nullAllowed)
}

// CompileAddresses makes values ready that passed CheckAddress; nil for none.
func CompileAddresses(values []string, caseMatters bool) *Addresses {
	if len(values) == 0 {
		return nil
	}
	return NewAddresses(values, caseMatters)
}

// NewAddresses is CompileAddresses for values that may be none, and then cover nobody.
func NewAddresses(values []string, caseMatters bool) *Addresses {
	l := &Addresses{caseMatters: caseMatters}
	for _, value := range values {
		_ = l.compile(value, true) // CheckAddress compiled it before
	}
	l.Sort()
	return l
}
