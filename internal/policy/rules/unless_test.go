package rules

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rulematch"
)

// unless is a rule for b.test and c.test with an exception.
func unless(keys string, more ...string) string {
	return "[[rule]]\nname = 'r'\naction = 'force-tls'\n" + strings.Join(more, "\n") + "\n[rule.match]\nrecipient = ['b.test', 'c.test']\n[rule.unless]\n" + keys + "\n"
}

func TestExceptions(t *testing.T) {
	both := to("x@b.test", "y@c.test", "z@d.test")
	for _, tt := range []struct {
		name, keys string
		facts      *rulematch.Facts
		want       string // of each recipient: named, tainted or nothing
		why        string
	}{
		{"nothing of it holds", "sender = ['o.test']", facts(both), "NNT", "no exception holds: unless.sender: no value covers ann@a.test"},
		{"a sender", "sender = ['a.test']", facts(both), "---", `an exception takes the rule away: unless.sender: "a.test" covers ann@a.test`},
		{"a recipient of two", "recipient = ['c.test']", facts(both), "NTT", `an exception leaves out y@c.test: unless.recipient: "c.test" covers y@c.test`},
		{"all recipients that are named", "recipient = ['c.test', 'b.test']", facts(both), "---", "and with them all that the rule is about"},
		{"a recipient that is not named", "recipient = ['d.test']", facts(both), "NNT", "the exception holds for no recipient that the rule is about"},
		{"both keys must hold", "sender = ['a.test']\nrecipient = ['c.test']", facts(both), "NTT", "leaves out y@c.test"},
		{"one of both does not", "sender = ['o.test']\nrecipient = ['c.test']", facts(both), "NNT", "no exception holds"},
		{"a subject", "subject = ['*public*']", facts(both, header("Subject: this is public")), "---", "takes the rule away"},
		{"another subject", "subject = ['*public*']", facts(both), "NNT", "no exception holds"},
		{"a subject that cannot be read", "subject = ['*']", facts(both, header("Subject: =?none?q?public?=")), "NNT", "which is no exception"},
		{"one that can beside it", "subject = ['*public*']", facts(both, header("Subject: =?none?q?public?=", "Subject: public")), "NNT", "not every program reads it so"},
		{"a subject before another", "subject = ['*public*']", facts(both, header("Subject: public", "subject: secret")), "NNT", "not every program reads it so"},
		{"a subject after another", "subject = ['*public*']", facts(both, header("Subject: secret", "Subject: public")), "NNT", "not every program reads it so"},
		{"two subjects that both fit", "subject = ['*public*']", facts(both, header("Subject: public", "Subject: this is public")), "---", "takes the rule away"},
		{"two authors", "header = [{ name = 'From', value = '*bot@a.test*' }]", facts(both, header("From: ann@a.test", "From: bot@a.test")), "NNT", "not every program reads it so"},
		{"a field of which there may be many", "header = [{ name = 'X-Class', value = 'public' }]", facts(both, header("X-Class: public", "X-Class: x")), "---", "takes the rule away"},
		{"a client that nobody named", "sender_ip = ['0.0.0.0/0', '::/0']", facts(both, func(f *rulematch.Facts) { f.Client, f.Somebody = netip.Addr{}, true }), "NNT", "not given"},
		{"a subject that programs read differently", "subject = ['public']", facts(both, header("Subject: =?utf-8?q?pub?= =?utf-8?q?lic?=")), "NNT", "not every program reads it so"},
		{"a header too large", "subject = ['*']", facts(both, header("Subject: "+strings.Repeat("x", pattern.MaxText+1))), "NNT", "which is no exception"},
		{"a client that is not known", "sender_ip = ['0.0.0.0/0', '::/0']", facts(both, func(f *rulematch.Facts) { f.Client = facts().Client.Next() }), "---", "lies in"},
		{"a size", "size_over = 500", facts(both), "---", "the message has 1000 bytes"},
		{"a field that is there", "header = [{ name = 'X-Open' }]", facts(both, header("X-Open:")), "---", "there is a field x-open"},
		{"a field that is not", "header = [{ name = 'X-Open' }]", facts(both), "NNT", "the message has no x-open"},
		{"case alone is none", "case = true", facts(both), "NNT", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustParse(t, unless(tt.keys))
			got := ""
			for _, o := range s.Evaluate(tt.facts).Recipients {
				switch {
				case o.Matched:
					got += "N"
				case len(o.Rules) > 0:
					got += "T"
				default:
					got += "-"
				}
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			e := s.Explain(tt.facts).Rules[0]
			if why := fmt.Sprintf("%+v", e.Fields); !strings.Contains(why, tt.why) || e.Matched != (tt.want != "---") {
				t.Errorf("%s, want %q", why, tt.why)
			}
		})
	}
}

func TestAListThatWasNotReadIsNoException(t *testing.T) {
	s := mustParse(t, unless("recipient = ['list:open']")+"\n[[list]]\nname = 'open'\nfile = 'open.txt'\n")
	if !s.Evaluate(facts()).Recipients[0].Matched {
		t.Error("it takes the rule away")
	}
	s = mustParse(t, unless("sender = ['list:open']")+"\n[[list]]\nname = 'open'\nfile = 'open.txt'\n")
	if e := s.Explain(facts()); !e.Rules[0].Matched || !strings.Contains(e.Rules[0].Fields[1].Why, "no exception") {
		t.Errorf("%+v", e.Rules[0])
	}
}

// TestOneMoreRecipientTakesNobodysProtection: who is left out by an exception takes it from nobody else.
func TestOneMoreRecipientTakesNobodysProtection(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s, f := d.set(), d.Facts()
		more := *f
		for _, r := range s.rules { // counting recipients is a condition of its own
			if r.Match.RecipientsOver+r.Unless.RecipientsOver > 0 {
				s = &Set{}
			}
		}
		more.Recipients = append(append([]mail.Address{}, f.Recipients...), mail.MustAddress(d.Address()))
		before, after := s.Evaluate(f), s.Evaluate(&more)
		for i := range before.Recipients {
			if b, a := before.Recipients[i].Requirement, after.Recipients[i].Requirement; !a.AtLeast(b) {
				t.Fatalf("%s became %s by %s\n%s", b.Key(), a.Key(), more.Recipients[len(f.Recipients)], s.TOML())
			}
		}
	}
}

func TestAnExceptionByContentAloneIsWarnedOf(t *testing.T) {
	for keys, want := range map[string]bool{"subject = ['*public*']": true, "header = [{ name = 'X-Open' }]": true,
		"subject = ['*public*']\nsender = ['a.test']": false, "recipient = ['b.test']": false, "case = true": false} {
		warned := false
		for _, w := range mustParse(t, unless(keys)).Warnings(now) {
			warned = warned || strings.Contains(w.Text, "an exception asks for nothing but")
		}
		if warned != want {
			t.Errorf("%s: warned %v", keys, warned)
		}
	}
}
