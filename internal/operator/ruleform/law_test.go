package ruleform

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/internal/lab/testkit/chance"
	"postern/internal/lab/testkit/ruledice"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
	"postern/internal/policy/rulevalue"
)

// blanks are what may stand around a value that is kept as it was written.
func blanks(d ruledice.Dice) string {
	return ruledice.Pick(d, "", "", " ", "  ", "\u00a0", "\u2003 ", "\u2028")
}

// blanked is a rule with blanks wherever a rules file may have them.
func blanked(d ruledice.Dice, r rule.Rule) rule.Rule {
	texts := func(list []string) (out []string) {
		for _, v := range list {
			out = append(out, blanks(d)+v+blanks(d))
		}
		if len(out) > 0 && d.IntN(4) == 0 {
			out = append(out, ruledice.Pick(d, "  ", " re:a  b ", "re:a  b ", "re: ", "X: y", "a,b;c", "#", `\ `, "false"))
		}
		return out
	}
	for _, m := range []*rule.Match{&r.Match, &r.Unless} {
		m.Subject, m.Body, m.Attachment = texts(m.Subject), texts(m.Body), texts(m.Attachment)
		for i := range m.Header {
			if m.Header[i].Value != "" {
				m.Header[i].Value = ruledice.Pick(d, m.Header[i].Value, "re:a  b ", " x", "a: b", " : ", "  ") + blanks(d)
			}
		}
		if len(m.Sender) > 0 && d.IntN(3) == 0 {
			m.Sender = append(slices.Clone(m.Sender), "re:^ann "+blanks(d), `" a "@b.test`)
		}
	}
	if r.Description != "" {
		r.Description = ruledice.Pick(d, r.Description, "  "+r.Description+" ", " ")
	}
	if f := &r.ForceTLS; f.Trust == "./other ca.pem" {
		f.Trust += ruledice.Pick(d, "", " ")
	}
	return r
}

// sent is what a browser sends of a form that nobody touched.
func sent(t *testing.T, f Form) url.Values {
	t.Helper()
	out := url.Values{}
	for name, one := range f.Fields {
		value := one.Value
		switch {
		case one.Ticked != "" && value != one.Ticked:
			continue
		case len(one.Choices) > 0 && !slices.ContainsFunc(one.Choices, func(c rule.Choice) bool { return c.Value == value }):
			t.Fatalf("%s: %q is none of the choices", name, value)
		case strings.ContainsAny(value, "\r\n") && !one.Lines():
			t.Fatalf("%s: %q has more than one line", name, value)
		}
		out.Set(name, strings.ReplaceAll(value, "\n", "\r\n"))
	}
	return out
}

// TestAFormThatNobodyTouchedIsTheRule: whatever a rules file may hold survives the form to the letter, and so does the
// rest of a field of which one line was changed.
func TestAFormThatNobodyTouchedIsTheRule(t *testing.T) {
	d := ruledice.Roll(t)
	tried := 0
	for range chance.Rounds() {
		made := d.Rule("law")
		switch d.IntN(4) {
		case 0:
			made = d.Inbound("law")
		case 1:
			made = d.Effect(made)
		}
		made = blanked(d, made)
		set, err := rules.Parse("f", ruledice.File(made))
		if err != nil {
			continue // what no file holds
		}
		tried++
		want := set.Rules()[0]
		again := func(v url.Values) rule.Rule {
			f := From(v, &want)
			text, _ := f.Text()
			got, err := rules.ParseWithin(set, "form", []byte(text))
			if err != nil {
				t.Fatalf("%v\nof\n%s\nfrom\n%s", err, text, want.TOML())
			}
			return got.Rules()[0]
		}
		v := sent(t, Of(&want))
		got := again(v)
		if got.Line = want.Line; !reflect.DeepEqual(got, want) {
			t.Fatalf("came back as\n%s\nwant\n%s", got.TOML(), want.TOML())
		}
		if len(want.Match.Subject) > 0 {
			v.Set("match.subject", v.Get("match.subject")+"\r\n  *one more* ")
			want.Match.Subject = append(slices.Clone(want.Match.Subject), "*one more*")
			if got := again(v).Match.Subject; !slices.Equal(got, want.Match.Subject) {
				t.Fatalf("with a line more: %q, want %q", got, want.Match.Subject)
			}
		}
	}
	if tried < chance.Rounds()/2 {
		t.Errorf("only %d rules were tried", tried)
	}
}

// TestBlanksThatSomebodyTypes: they go where they mean nothing, and stay at the end of an expression.
func TestBlanksThatSomebodyTypes(t *testing.T) {
	f := From(url.Values{"name": {" bank "}, "action": {"force-tls"}, "match.sender": {" a.test \r\n\r\n  \r\nre:^x \r\n re:^y  "},
		"match.subject": {"re:a  b \r\n  pad \r\n \t\r\n"}, "match.header": {"X-A : re:a  b \r\n X-B:  v  "}, "match.size_over": {" 10MB "}}, nil)
	text, _ := f.Text()
	set, err := rules.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r := set.Rules()[0]
	m := r.Match
	if r.Name != "bank" || !slices.Equal(m.Sender, []string{"a.test", "re:^x ", "re:^y  "}) || !slices.Equal(m.Subject, []string{"re:a  b ", "pad"}) ||
		!slices.Equal(m.Header, []rulevalue.HeaderMatch{{Name: "X-A", Value: "re:a  b "}, {Name: "X-B", Value: "v"}}) || m.SizeOver != 10_000_000 {
		t.Errorf("read as\n%s", fmt.Sprint(r.TOML()))
	}
}
