package rules

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/mail/mimewalk"
	"postern/internal/policy/rulematch"
)

// many is a file of n rules made by print.
func many(n int, print func(i int) string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[[rule]]\nname = 'rule %d'\naction = 'force-tls'\n[rule.match]\n%s\n", i, print(i))
	}
	return b.String()
}

// mixture is what bench/ makes: of twenty rules sixteen name a partner's domain and what is below it, two name senders
// besides, one a network and one a pattern of the subject.
func mixture(i int) string {
	switch i % 20 {
	case 7, 13:
		return fmt.Sprintf("sender = ['office%d@example.com']\nrecipient = ['partner%d.test']", i, i)
	case 17:
		return fmt.Sprintf("sender_ip = ['10.%d.%d.0/24']", i>>8&0xff, i&0xff)
	case 19:
		return fmt.Sprintf("subject = ['*[case-%d]*']", i)
	}
	return fmt.Sprintf("recipient = ['partner%d.test', '*.partner%d.test']", i, i)
}

// manyLists are n lists of one partner each, oneList is one of n.
func manyLists(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[[list]]\nname = 'l%d'\nvalues = ['partner%d.test', '*.partner%d.test']\n", i, i, i)
	}
	return b.String()
}

func oneList(n int) string {
	var b strings.Builder
	b.WriteString("[[list]]\nname = 'all'\nvalues = [\n")
	for i := range n {
		fmt.Fprintf(&b, "'partner%d.test',\n", i)
	}
	return b.String() + "]\n"
}

// population is 10,000 rules of one kind and a message that two of them match.
type population struct {
	name  string
	text  string
	facts *rulematch.Facts
	// examined is how many rules may be looked at one by one, matched how many match.
	examined, matched int
}

func populations() []population {
	const n = 10_000
	subject := header("Received: a", "From: x", "To: y", "Subject: this is [secret77] and [secret78], and some more text as people write it")
	ccs := make([]string, 100)
	for i := range ccs {
		ccs[i] = fmt.Sprintf("p%d@partner%d.test", i, i*50)
	}
	return []population{
		{"a mixture", many(n, mixture), facts(subject, client("127.0.0.1"), to("dr@sink3.test")), 0, 0},
		{"domains", many(n, func(i int) string { return fmt.Sprintf("recipient = ['partner%d.test', '*.partner%d.test']", i, i) }),
			facts(to("dr@partner77.test", "dr@x.partner78.test")), 2, 2},
		{"addresses", many(n, func(i int) string { return fmt.Sprintf("recipient = ['dr%d@clinic.test']", i) }),
			facts(to("DR77@clinic.test", "dr78@clinic.test")), 2, 2},
		{"patterns in a domain", many(n, func(i int) string { return fmt.Sprintf("recipient = ['*dr%d@partner%d.test']", i, i) }),
			facts(to("xdr77@partner77.test", "dr78@partner78.test")), 2, 2},
		{"senders", many(n, func(i int) string { return fmt.Sprintf("sender = ['dept%d.a.test']\nsubject = ['*']", i) }),
			facts(from("x@dept77.a.test")), 1, 1},
		{"a hundred recipients", many(n, func(i int) string { return fmt.Sprintf("recipient = ['partner%d.test']", i) }),
			facts(to(ccs...)), 100, 100},
		{"a list each", manyLists(n) + many(n, func(i int) string { return fmt.Sprintf("recipient = ['list:l%d']", i) }),
			facts(to("dr@partner77.test", "dr@x.partner78.test")), 2, 2},
		{"one list of 100,000 for all", oneList(10*n) + many(n, func(i int) string {
			return fmt.Sprintf("recipient = ['list:all']\nsender = ['office%d@example.com']", i)
		}), facts(from("office77@example.com"), to("dr@nobody.test")), 0, 0},
		{"domains of senders", strings.NewReplacer("[rule.match]\ndomain", "domain").Replace(many(n, func(i int) string { return fmt.Sprintf("domain = ['partner%d.test']", i) })),
			facts(from("x@partner77.test"), header("From: Ann <ann@partner78.test>")), 2, 2},
		{"texts", many(n, func(i int) string { return fmt.Sprintf("body = ['*[secret%d]*']", i) }),
			facts(content(mimewalk.Content{Texts: []string{"this is [secret77] and [secret78]"}})), 2, 2},
		{"disabled", strings.ReplaceAll(many(n, func(i int) string { return "recipient = ['b.test']" }), "[rule.match]", "scope = 'disabled'\n[rule.match]"),
			facts(), 0, 0},
		{"subjects", many(n, func(i int) string { return fmt.Sprintf("subject = ['*[[]secret%d]*', '*[secret%d]*']", i, i) }),
			facts(subject), 2, 2},
		{"patterns of domains", many(n, func(i int) string { return fmt.Sprintf("recipient = ['*partner%d.*']", i) }),
			facts(to("dr@partner77.test", "dr@partner78.test")), 2, 2},
		{"networks", many(n, func(i int) string { return fmt.Sprintf("sender_ip = ['10.%d.%d.0/24']", i/250, i%250) }),
			facts(client("10.0.77.1")), 1, 1},
		{"one sender, many subjects", many(n, func(i int) string { return fmt.Sprintf("sender = ['a.test']\nsubject = ['*[secret%d]*']", i) }),
			facts(subject), 2, 2},
		{"one recipient domain, many subjects", many(n, func(i int) string { return fmt.Sprintf("recipient = ['b.test']\nsubject = ['*[secret%d]*']", i) }),
			facts(subject), n, 2}, // all may match, and grams keep it cheap to say which do
	}
}

// TestTenThousandRulesAreNotAllLookedAt counts instead of measuring: rules are found by hash or by their literal
// text, so a message looks only at those that may match.
func TestTenThousandRulesAreNotAllLookedAt(t *testing.T) {
	for _, p := range populations() {
		t.Run(p.name, func(t *testing.T) {
			s := mustParse(t, p.text)
			d := s.Evaluate(p.facts)
			if n := lookedAt(s, p.facts); n > p.examined {
				t.Errorf("%d rules were looked at, want at most %d", n, p.examined)
			}
			names := map[string]bool{}
			for _, o := range d.Recipients {
				for _, name := range o.Rules {
					names[name] = true
				}
			}
			if len(names) != p.matched {
				t.Errorf("%d rules matched, want %d", len(names), p.matched)
			}
		})
	}
}

// BenchmarkEvaluate is the proof of "10,000 rules cost a message no more than 1 ms".
func BenchmarkEvaluate(b *testing.B) {
	for _, p := range populations() {
		b.Run(strings.ReplaceAll(p.name, " ", "-"), func(b *testing.B) {
			s := mustParse(b, p.text)
			b.ReportAllocs()
			for b.Loop() {
				s.Evaluate(p.facts)
			}
		})
	}
}

// BenchmarkList is the proof of "a list of 100,000 entries costs a message no more than 50 µs".
func BenchmarkList(b *testing.B) {
	for _, rules := range []int{1, 1000} {
		s := mustParse(b, oneList(100_000)+many(rules, func(i int) string {
			return fmt.Sprintf("recipient = ['list:all']\nsender = ['office%d@example.com']", i)
		}))
		for name, f := range map[string]*rulematch.Facts{"in": facts(to("dr@partner77777.test")), "out": facts(to("dr@a.b.nobody.test"))} {
			b.Run(fmt.Sprintf("%s-%d-rules", name, rules), func(b *testing.B) {
				for b.Loop() {
					s.Evaluate(f)
				}
			})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := []byte(populations()[0].text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse("rules.toml", text); err != nil {
			b.Fatal(err)
		}
	}
}

func TestEvaluateIsSafeForConcurrentUse(t *testing.T) {
	s := mustParse(t, ruleWith("subject = ['*secret*', 're:x']", "recipient = ['b.test', '?.b.test']"))
	done := make(chan bool)
	for range 4 {
		go func() {
			for range 100 {
				f := facts(header("Subject: secret"))
				f.Recipients = append(f.Recipients, mail.MustAddress("x@c.test"))
				if d := s.Evaluate(f); !d.Recipients[0].Matched || d.Recipients[1].Matched {
					done <- false
					return
				}
				s.Explain(f)
			}
			done <- true
		}()
	}
	for range 4 {
		if !<-done {
			t.Error("a wrong decision")
		}
	}
}
