package rules

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/testkit/ruledice"
	"postern/internal/mail"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulematch"
	"postern/internal/policy/rulevalue"
)

// slowly evaluates every rule one by one, without the index.
func slowly(s *Set, f *rulematch.Facts) Decision {
	all := compile(s.rules, s.lists...)
	all.index = noIndex(len(all.live))
	return all.Evaluate(f)
}

// noIndex finds every rule, for none asks for anything.
func noIndex(rules int) rulematch.Index {
	return rulematch.NewIndex(rules, func(int) *rulematch.Conditions { return &rulematch.Conditions{} }, &rulematch.Reader{})
}

// lookedAt is how many rules are held against a message one by one.
func lookedAt(s *Set, f *rulematch.Facts) (n int) {
	for range s.index.Find(s.reader.Message(f)).All {
		n++
	}
	return n
}

func TestTheIndexChangesNoDecision(t *testing.T) {
	d := roll(t)
	hits := 0
	for range rounds() {
		s, f := d.set(), d.Facts()
		hits += d.same(t, s, f)
	}
	if hits < rounds()/10 {
		t.Errorf("only %d recipients were touched by a rule: the law was hardly tried", hits)
	}
}

// same compares the decision with that of slowly and returns how many recipients a rule touches.
func (d dice) same(t *testing.T, s *Set, f *rulematch.Facts) (touched int) {
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

func (d dice) textPattern() string {
	for {
		p := d.Pattern()
		if _, err := pattern.CompileText(p, false); err == nil {
			return p
		}
	}
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
			b.WriteString(ruledice.Pick(d.Dice, list...))
			if stars && d.IntN(3) == 0 {
				b.WriteString(ruledice.Pick(d.Dice, "*", "?"))
			}
		}
		return b.String()
	}
	domain := ruledice.Pick(d.Dice, "test", "de", "partner.test")
	for range 1 + d.IntN(3) {
		domain = word("a", "B", "partner", "77", "x7") + "." + domain
	}
	switch local := word("dr", "DR", "k", "\u212a", "é", "ß", "7"); {
	case !stars || d.IntN(2) == 0:
		return local + "@" + ruledice.Pick(d.Dice, domain, domain, domain, "[IPv6:2001:db8::1]", "bücher.test")
	case d.IntN(4) == 0:
		return local + "@" + ruledice.Pick(d.Dice, "*", "*.test", "*.[192.0.2.1]", "?.test", "[IPv6:2001:DB8::1]")
	default:
		return domain
	}
}

func (d dice) wideAddresses() []string {
	var out []string
	for range 1 + d.IntN(3) {
		a := d.wideAddress(true)
		if d.IntN(6) == 0 { // also for the postmaster without a domain
			a = ruledice.Pick(d.Dice, "postmaster@*", "POST*@*", "*master@*")
		}
		if pattern.CheckAddress(a, false) == nil {
			out = append(out, a)
		}
	}
	return out
}

var networks = []string{"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "10.1.2.2/31", "192.0.2.0/24", "::/0", "2001:db8::/32",
	"2001:db8::1/128", "::/96", "2001:db8::/33"}

// wideRule has one or two conditions from a wide world of texts, addresses and networks.
func (d dice) wideRule(name string) rule.Rule {
	r := d.Rule(name)
	m := rule.Match{Case: d.IntN(3) == 0}
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
				m.SenderIP = append(m.SenderIP, netip.MustParsePrefix(ruledice.Pick(d.Dice, networks...)))
			}
		case 3:
			for _, p := range d.textPatterns() {
				m.Header = append(m.Header, rulevalue.HeaderMatch{Name: ruledice.Pick(d.Dice, "Subject", "X-A", "x-a", "X-B"), Value: p})
			}
		default:
			m.Subject = d.textPatterns()
		}
	}
	r.Match = m
	return r
}

func (d dice) wideSet() *Set {
	var rules []rule.Rule
	for i := range d.IntN(150) {
		rules = append(rules, d.wideRule(fmt.Sprintf("rule %d", i)))
	}
	return compile(rules)
}

func (d dice) wideFacts() *rulematch.Facts {
	f := &rulematch.Facts{Now: now, Size: 1000}
	if d.IntN(5) > 0 {
		f.Client = netip.MustParseAddr(ruledice.Pick(d.Dice, "10.1.2.3", "10.1.2.2", "10.9.9.9", "192.0.2.1", "::ffff:10.1.2.3", "2001:db8::1", "2001:db8::1%eth0",
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
		lines.WriteString(ruledice.Pick(d.Dice, "Subject", "subject", "X-A", "X-B", "X-C") + ": " + d.Text() + "\r\n")
	}
	switch d.IntN(12) {
	case 0:
		lines.WriteString("Subject: " + strings.Repeat("a", pattern.MaxText+d.IntN(3)-1) + "\r\n")
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
			found, judged = found+lookedAt(s, f), judged+len(s.live)
		}
	}
	if hits < rounds() || found > judged*2/3 {
		t.Errorf("%d recipients touched, %d of %d rules looked at: the law was hardly tried", hits, found, judged)
	}
}

// A header made of what thousands of rules begin with is walked once, and a literal that stands everywhere is reported
// once.
func TestAHeaderFullOfLiteralsIsJudgedInShortTime(t *testing.T) {
	s := mustParse(t, many(5000, func(i int) string {
		return fmt.Sprintf("subject = ['*%s*x%d']", strings.Repeat("a", 3+i%(32-3)), i)
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
