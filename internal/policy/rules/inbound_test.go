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
	"postern/internal/policy/rule"
)

func (d dice) arrival() *Arrival {
	a := &Arrival{Client: netip.MustParseAddr(ruledice.Pick(d.Dice, "10.0.0.1", "192.0.2.1", "2001:db8::1", "203.0.113.9")),
		Listener: ruledice.Pick(d.Dice, "smtp", "[::]:25", "other"), Now: ruledice.Pick(d.Dice, now, now, now.AddDate(0, 1, 0))}
	if d.IntN(4) > 0 {
		a.From = mail.MustAddress(d.Address())
	}
	if d.IntN(2) == 0 {
		a.To = []mail.Address{mail.MustAddress(d.Address())}
	}
	return a
}

// TestTermsAreWhatEachRuleSays: the index finds what looking at every rule finds, in whatever order they stand; a rule
// more takes nothing away; ExplainArrival decides alike, and names a reason for each condition.
func TestTermsAreWhatEachRuleSays(t *testing.T) {
	d := roll(t)
	found := 0
	for range rounds() {
		var list []rule.Rule
		for i := range 1 + d.IntN(6) {
			list = append(list, d.Inbound(fmt.Sprintf("rule %d", i)))
		}
		s, a := smallSet(list), d.arrival()
		terms := s.Terms(a)
		found += len(terms)
		var names []string
		for i := range list {
			one := smallSet(list[i : i+1])
			one.inbound.index = noIndex(len(one.inbound.list))
			if got := one.Terms(a); len(got) > 0 {
				names = append(names, list[i].Name)
			}
		}
		var got []string
		for _, term := range terms {
			got = append(got, term.Rule)
		}
		if !slices.Equal(got, names) {
			t.Fatalf("%q apply, one by one %q: %+v\n%s", got, names, a, s.TOML())
		}
		shuffled := slices.Clone(list)
		d.Shuffle(len(list), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		other := smallSet(shuffled).Terms(a)
		slices.SortFunc(other, func(x, y Term) int { return strings.Compare(x.Rule, y.Rule) })
		if !reflect.DeepEqual(other, terms) {
			t.Fatalf("the order matters: %+v and %+v", terms, other)
		}
		e, matched := s.ExplainArrival(a), []string(nil)
		for _, r := range e.Rules {
			all := r.Skipped == ""
			for _, field := range r.Fields {
				all = all && field.Matched
				if field.Why == "" {
					t.Fatalf("no reason for %s", field.Field)
				}
			}
			if all != r.Matched {
				t.Fatalf("%+v", r)
			}
			if r.Matched {
				matched = append(matched, r.Rule)
			}
		}
		if !slices.Equal(matched, names) {
			t.Fatalf("%q apply, explained are %q", names, matched)
		}
	}
	if found < rounds()/4 {
		t.Errorf("only %d rules applied: the law was hardly tried", found)
	}
}

// TestRulesAboutIncomingMailAreReadStrictly: a condition that cannot be judged before the content comes is never read
// as one that always holds.
func TestRulesAboutIncomingMailAreReadStrictly(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{`action = "require-tls"`, "require-tls does not work on outbound mail"},
		{"action = \"force-tls\"\nscope = \"inbound\"", "force-tls does not work on inbound mail"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nmatch.subject = [\"x\"]", "subject cannot be a condition"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nmatch.size_over = 5", "size_over cannot be a condition"},
		{"action = \"require-tls\"\nscope = \"disabled\"\nmatch.header = [{ name = \"From\", value = \"x\" }]", "header cannot be a condition"},
		{"action = \"force-tls\"\nmatch.listener = [\"smtp\"]", "listener can only be a condition"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nmatch.listener = [\"\"]", "no name of a listener"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nforce_tls.min_tls = \"1.3\"", "[rule.force_tls] belongs to the action force-tls"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nrequire_tls.names = [\"a.test\"]", `names says nothing with level = "encrypted"`},
		{"action = \"require-tls\"\nscope = \"inbound\"\nrequire_tls.level = \"plaintext\"", "level cannot be"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nrequire_tls.names = \"mx\"", "names cannot be"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nrequire_tls.min_bits = 100", "neither 128 nor 256"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nrequire_tls.min_bits = \"256\"", "neither 128 nor 256"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nrequire_tls.refuse = \"drop\"", "refuse cannot be"},
		{"action = \"require-tls\"\nscope = \"inbound\"\nrequire_tls.key_exchange = \"X25519\"", "key_exchange cannot be"},
	} {
		_, err := Parse("r", []byte("[[rule]]\nname = \"x\"\n"+c.rule))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%v", c.rule, err)
		}
	}
}

func TestWarningsOfInboundRules(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{"", "has no condition"},
		{"match.sender = [\"partner.test\"]", "sender leaves out the null sender"},
		{"match.sender = [\"partner.test\", \"<>\"]\nrequire_tls.level = \"authenticated\"", "refuses the null sender"},
		{"match.sender_ip = [\"192.0.2.1\"]\nrequire_tls.level = \"authenticated\"", "forward for others"},
		{"match.sender_ip = [\"192.0.2.1\"]\nrequire_tls.min_tls = \"1.1\"", "can be broken"},
		{"match.sender_ip = [\"192.0.2.1\"]\nrequire_tls.min_bits = 256", "refuses most clients"},
		{"match.recipient = [\"boss\"]", "a domain without a dot"},
		{"match.sender_ip = [\"192.0.2.1\"]\nexpires = 2026-01-01", "expired"},
		{"match.sender_ip = [\"192.0.2.1\"]", ""},
	} {
		s := mustParse(t, "[[rule]]\nname = \"x\"\nscope = \"inbound\"\naction = \"require-tls\"\n"+c.rule)
		var got []string
		for _, w := range s.Warnings(now) {
			got = append(got, w.Text)
		}
		if text := strings.Join(got, "; "); c.want == "" && text != "" || !strings.Contains(text, c.want) {
			t.Errorf("%s\nwarns %q, want %q", c.rule, text, c.want)
		}
	}
}

// TestTenThousandInboundRulesCostLittle: a recipient is judged in less than the time that its line takes to arrive.
func TestTenThousandInboundRulesCostLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("no race to find")
	}
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "[[rule]]\nname = \"r%d\"\nscope = \"inbound\"\naction = \"require-tls\"\nmatch.sender = [\"p%d.test\", \"*.p%d.test\"]\n", i, i, i)
	}
	s := mustParse(t, b.String())
	a := &Arrival{From: mail.MustAddress("x@sub.p77.test"), Client: netip.MustParseAddr("192.0.2.1"), Now: now}
	begin := time.Now()
	const times = 1000
	for range times {
		if terms := s.Terms(a); len(terms) != 1 || terms[0].Rule != "r77" {
			t.Fatal(terms)
		}
	}
	if each := time.Since(begin) / times; each > time.Millisecond {
		t.Errorf("each takes %v", each)
	}
}
