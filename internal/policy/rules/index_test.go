package rules

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
)

// slowly evaluates every rule and every pattern one by one: no index, and no look at grams before a pattern is held
// against a text.
func slowly(s *Set, f *Facts) Decision {
	all := compile(s.rules, s.lists...)
	all.index = index{rules: len(all.live)}
	for i := range all.live {
		c := &all.live[i]
		all.index.always = append(all.index.always, int32(i))
		for _, conditions := range [][]headerCondition{c.headers, c.subjects, c.attachments, c.bodies} {
			for j := range conditions {
				ask(conditions[j].pattern.glob)
			}
		}
		for _, l := range []*addressCondition{c.sender, c.recipient} {
			for j := 0; l != nil && j < len(l.patterns); j++ {
				ask(l.patterns[j].domain)
			}
		}
	}
	return all.Evaluate(f)
}

// ask makes a glob match without grams.
func ask(g *glob) {
	if g != nil {
		g.needs = nil
	}
}

func TestTheIndexChangesNoDecision(t *testing.T) {
	d := roll(t)
	hits := 0
	for range rounds() {
		s, f := d.set(), d.facts()
		hits += d.same(t, s, f)
	}
	if hits < rounds()/10 {
		t.Errorf("only %d recipients were touched by a rule: the law was hardly tried", hits)
	}
}

// same compares the decision with that of slowly and returns how many recipients a rule touches.
func (d dice) same(t *testing.T, s *Set, f *Facts) (touched int) {
	t.Helper()
	got := s.Evaluate(f)
	if want := slowly(s, f); !reflect.DeepEqual(got, want) {
		for i := range s.rules { // one that is enough
			one := compile(s.rules[i:i+1], s.lists...)
			if got, want := one.Evaluate(f), slowly(one, f); !reflect.DeepEqual(got, want) {
				t.Fatalf("with the index\n%+v\nwithout\n%+v\nrule\n%s\nfacts %.2000s", got, want, one.TOML(), fmt.Sprintf("%+v", f))
			}
		}
		t.Fatalf("with the index\n%+v\nwithout\n%+v\nrules\n%s\nfacts %.2000s", got, want, s.TOML(), fmt.Sprintf("%+v", f))
	}
	for _, o := range got.Recipients {
		if len(o.Rules)+len(o.Tested) > 0 {
			touched++
		}
	}
	return touched
}

// letters are what folding, composition and decoding are about: the Kelvin sign, the long s, both small sigmas, letters
// whose fold has another length, letters that compose, what stands for octets that are no text, and an octet that is
// none.
var letters = []string{"a", "A", "b", "k", "K", "\u212a", "s", "S", "\u017f", "σ", "ς", "Σ", "ß", "ẞ", "İ", "ı", "é", "e\u0301", "É",
	"ⱥ", "Ⱥ", "\ufffd", "\xff", " ", "[", "]", "7", "77", "case-", "secret", "SECRET",
	// what is brought to another form, and what is decoded or cannot be
	"\t", "\u00a0", "\u2003", "\u200b", "\u00ad", "ｓ", "ﬁ", "ª", "\u3164", "\u2011", "’", "\u202e", "=?utf-8?q?se?= =?utf-8?q?cret?=",
	"=?iso-8859-1?q?=E9?=", "=?utf-8?q?=C3?=", "=?x?q?a?=", "+AGEAYgBr-", "\r\n "}

func (d dice) text() string {
	var b strings.Builder
	for range d.IntN(9) {
		b.WriteString(pick(d, letters...))
	}
	return b.String()
}

// textPattern is a pattern for such texts: a piece of one, a whole one, or one full of wildcards.
func (d dice) textPattern() string {
	var b strings.Builder
	wild := pick(d, 0, 1, 4)
	for range 1 + d.IntN(6) {
		if d.IntN(6) < wild {
			b.WriteString(pick(d, "*", "?", `\*`))
		}
		letter := strings.ToValidUTF8(pick(d, letters...), "\ufffd")
		if !strings.ContainsAny(letter, "?*+\\\r\n\t") { // the rest is hostile only in a message
			b.WriteString(letter)
		}
	}
	p := strings.TrimLeft(b.String(), " ")
	switch d.IntN(8) {
	case 0, 1, 2, 3:
		p = "*" + p + "*"
	case 4:
		p = "re:" + strings.NewReplacer("[", ".", "]", ".", "*", ".", "?", ".", `\`, "").Replace(p)
	case 5:
		p = pick(d, "*", "?", "*?", "**a**", "a*")
	}
	if _, err := compileText(p, false); err != nil { // such as none at all
		return d.textPattern()
	}
	return p
}

func (d dice) textPatterns() []string {
	out := []string{d.textPattern()}
	for d.IntN(3) == 0 {
		out = append(out, d.textPattern())
	}
	return out
}

// wideAddress is an address or, with stars, a pattern of one, with a domain of a few labels of few letters.
func (d dice) wideAddress(stars bool) string {
	word := func(list ...string) string {
		var b strings.Builder
		for range 1 + d.IntN(3) {
			b.WriteString(pick(d, list...))
			if stars && d.IntN(3) == 0 {
				b.WriteString(pick(d, "*", "?"))
			}
		}
		return b.String()
	}
	domain := pick(d, "test", "de", "partner.test")
	for range 1 + d.IntN(3) {
		domain = word("a", "B", "partner", "77", "x7") + "." + domain
	}
	switch local := word("dr", "DR", "k", "\u212a", "é", "ß", "7"); {
	case !stars || d.IntN(2) == 0:
		return local + "@" + pick(d, domain, domain, domain, "[IPv6:2001:db8::1]", "bücher.test")
	case d.IntN(4) == 0:
		return local + "@" + pick(d, "*", "*.test", "*.[192.0.2.1]", "?.test", "[IPv6:2001:DB8::1]")
	default:
		return domain
	}
}

func (d dice) wideAddresses() []string {
	var out []string
	for range 1 + d.IntN(3) {
		a := d.wideAddress(true)
		if d.IntN(6) == 0 { // also for the postmaster without a domain
			a = pick(d, "postmaster@*", "POST*@*", "*master@*")
		}
		var l addressList
		if l.compileAddress(a, false) == nil {
			out = append(out, a)
		}
	}
	return out
}

var networks = []string{"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "10.1.2.2/31", "192.0.2.0/24", "::/0", "2001:db8::/32",
	"2001:db8::1/128", "::/96", "2001:db8::/33"}

// wideRule has one or two conditions from a wide world of texts, addresses and networks.
func (d dice) wideRule(name string) Rule {
	r := d.rule(name)
	m := Match{Case: d.IntN(3) == 0}
	for range 1 + d.IntN(2) {
		switch d.IntN(6) {
		case 0:
			m.Sender = d.wideAddresses()
			if d.IntN(3) == 0 {
				m.Sender = append(m.Sender, "<>")
			}
		case 1:
			m.Recipient, m.Literals = d.wideAddresses(), d.IntN(3) == 0
		case 2:
			for range 1 + d.IntN(3) {
				m.SenderIP = append(m.SenderIP, netip.MustParsePrefix(pick(d, networks...)))
			}
		case 3:
			for _, p := range d.textPatterns() {
				m.Header = append(m.Header, HeaderMatch{pick(d, "Subject", "X-A", "x-a", "X-B"), p})
			}
		default:
			m.Subject = d.textPatterns()
		}
	}
	r.Match = m
	return r
}

func (d dice) wideSet() *Set {
	var rules []Rule
	for i := range d.IntN(150) {
		rules = append(rules, d.wideRule(fmt.Sprintf("rule %d", i)))
	}
	return compile(rules)
}

func (d dice) wideFacts() *Facts {
	f := &Facts{Now: now, Size: 1000}
	if d.IntN(5) > 0 {
		f.Client = netip.MustParseAddr(pick(d, "10.1.2.3", "10.1.2.2", "10.9.9.9", "192.0.2.1", "::ffff:10.1.2.3", "2001:db8::1", "2001:db8::1%eth0",
			"::10.1.2.3", "fe80::1%eth0", "2001:db9::"))
	}
	if d.IntN(6) > 0 {
		f.From = mail.MustAddress(d.wideAddress(false))
	}
	for range 1 + d.IntN(5) {
		to := mail.MustAddress(d.wideAddress(false))
		if d.IntN(10) == 0 {
			to = mail.Address{Local: "postmaster"}
		}
		f.Recipients = append(f.Recipients, to)
		f.Local = append(f.Local, d.IntN(6) == 0)
	}
	var lines strings.Builder
	for range d.IntN(6) {
		lines.WriteString(pick(d, "Subject", "subject", "X-A", "X-B", "X-C") + ": " + d.text() + "\r\n")
	}
	switch d.IntN(12) {
	case 0:
		lines.WriteString("Subject: " + strings.Repeat("a", maxText+d.IntN(3)-1) + "\r\n")
	case 1:
		lines.WriteString("X-A: " + strings.Repeat("x", mail.MaxHeaderSize) + "\r\n")
	case 2:
		lines.WriteString("Subject:\r\n")
	}
	f.Header = mail.ParseHeader([]byte(lines.String() + "\r\n"))
	return f
}

// TestTheIndexChangesNoDecisionInAWideWorld tries sets of many rules whose texts, addresses and networks overlap.
func TestTheIndexChangesNoDecisionInAWideWorld(t *testing.T) {
	d := roll(t)
	hits, found, judged := 0, 0, 0
	for range rounds() / 4 {
		s := d.wideSet()
		for range 4 {
			f := d.wideFacts()
			hits += d.same(t, s, f)
			m := s.newMessage(f)
			s.evaluate(m)
			found, judged = found+m.examined, judged+len(s.live)
		}
	}
	if hits < rounds() || found > judged*2/3 {
		t.Errorf("%d recipients touched, %d of %d rules looked at: the law was hardly tried", hits, found, judged)
	}
}

// TestLiteralsFindWhatStandsInAText holds the automaton against a search for each literal.
func TestLiteralsFindWhatStandsInAText(t *testing.T) {
	d := roll(t)
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(pick(d, "a", "b", "ab", "\xff", "\x00"))
		}
		return b.String()
	}
	for range rounds() {
		var all []literal
		for i := range d.IntN(40) {
			all = append(all, literal{word(1 + d.IntN(6)), int32(i)})
		}
		given := slices.Clone(all)
		l := newLiterals(all)
		s, got, want := search{literals: &l}, make(candidates, 1), make(candidates, 1)
		for range 1 + d.IntN(3) {
			text := word(d.IntN(12))
			s.find(text, got)
			for _, e := range given {
				if strings.Contains(text, e.text) {
					want.add([]int32{e.rule})
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%q: found %b, want %b of %q", text, got, want, given)
			}
		}
	}
}

// TestLiteralsTakeMemoryByTheirLength counts states: no more than octets of literals.
func TestLiteralsTakeMemoryByTheirLength(t *testing.T) {
	s := mustParse(t, many(1000, func(i int) string {
		return fmt.Sprintf("subject = ['*%s%d*']", strings.Repeat("long ", 100), i)
	}))
	for _, l := range s.index.texts {
		if most := 1000*mostLiteral + 2; len(l.states) > most || len(l.labels) > most || len(l.rules) != 1000 {
			t.Errorf("%d states and %d labels for %d rules, want at most %d", len(l.states), len(l.labels), len(l.rules), most)
		}
	}
}

// A header made of what thousands of rules begin with is walked once, and a literal that stands everywhere is reported
// once.
func TestAHeaderFullOfLiteralsIsJudgedInShortTime(t *testing.T) {
	s := mustParse(t, many(5000, func(i int) string {
		return fmt.Sprintf("subject = ['*%s*x%d']", strings.Repeat("a", 3+i%(mostLiteral-3)), i)
	}))
	f := facts(header(slices.Repeat([]string{"Subject: " + strings.Repeat("a", 900)}, 250)...))
	began := time.Now()
	if d := s.Evaluate(f); d.Recipients[0].Matched {
		t.Error("matched")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}
