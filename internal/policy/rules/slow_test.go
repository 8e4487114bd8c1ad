package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy/rulematch"
	"postern/internal/policy/rules"
)

func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, strings.ReplaceAll(format, "%d", "%[1]d"), i)
	}
	return b.String()
}

// A file made to be slow is refused, or read, in seconds.
func TestFilesMadeToBeSlow(t *testing.T) {
	const head = "[[rule]]\nname = \"r\"\nscope = \"outbound\"\naction = \"force-tls\"\n"
	for name, tc := range map[string]struct{ text, wanted string }{
		"deep lists":             {head + "[rule.match]\nrecipient = " + strings.Repeat("[", 200_000), "nested"},
		"unknown keys":           {head + repeat(100_000, "k%d = 1\n"), "a table of more than"},
		"unknown tables":         {repeat(100_000, "[t%d]\n"), "different tables"},
		"a dotted key":           {head + strings.Repeat("a.", 200_000) + "a = 1\n", "parts"},
		"a wide value":           {head + "[rule.match]\nheader = [{" + repeat(100_000, "k%d = 1, ") + "z = 1}]", "a table of more than"},
		"many empty":             {strings.Repeat("[[rule]]\n", 90_000), "the rule has no name"},
		"many patterns":          {head + "[rule.match]\nsubject = [" + repeat(50_000, "\"*a*%d*b*\", ") + "]", ""},
		"costly programs in all": {head + "[rule.match]\nsubject = [" + strings.Repeat("'re:(a{99}){9}', ", 1000) + "]", "together are too large"},
		"costly programs":        {head + "[rule.match]\nsubject = ['re:((a{99}){9}){9}']", "subject"},
	} {
		began := time.Now()
		_, err := rules.Parse("f.toml", []byte(tc.text))
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		switch {
		case tc.wanted == "" && err != nil:
			t.Errorf("%s: %.300v", name, err)
		case tc.wanted != "" && err == nil:
			t.Errorf("%s: accepted", name)
		case err != nil && (!strings.Contains(err.Error(), tc.wanted) || len(err.Error()) > 64<<10):
			t.Errorf("%s: %d bytes of error without %q: %.300v", name, len(err.Error()), tc.wanted, err)
		}
	}
}

// One message cannot keep the rules busy for long, however costly their expressions and however long its header. What
// is not looked at for that reason counts as a match.
func TestAMessageIsJudgedInShortTime(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector makes expressions ten times slower, and nothing is shared here")
	}
	for name, patterns := range map[string]string{
		"a costly expression": `'re:(a{0,99}){9}(a{0,99}){9}x'`,
		"a hundred":           repeat(100, `'re:(a{0,90}){9}%dx', `),
		"plain ones":          repeat(5_000, `'re:confidential %d', `),
	} {
		set, err := rules.Parse("f.toml", []byte("[[rule]]\nname = \"r\"\nscope = \"outbound\"\naction = \"force-tls\"\n[rule.match]\nsubject = ["+patterns+"]"))
		if err != nil {
			t.Fatal(err)
		}
		for _, header := range []string{
			"Subject: " + strings.Repeat(strings.Repeat("a", 70)+"\r\n ", 700) + "\r\n",
			strings.Repeat("Subject: "+strings.Repeat("a", 400)+"\r\n", 200),
			"Subject: " + strings.Repeat("a", 400) + "\r\n",
		} {
			f := rulematch.Facts{From: mail.MustAddress("a@b.test"), Header: mail.ParseHeader([]byte(header + "\r\n")), Now: time.Now(),
				Recipients: []mail.Address{mail.MustAddress("x@y.test")}}
			began := time.Now()
			decision := set.Evaluate(&f)
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("%s, %d octets of header: took %v", name, len(header), took)
			}
			if len(header) > 50_000 != decision.Recipients[0].Matched {
				t.Errorf("%s, %d octets of header: matched is %v", name, len(header), decision.Recipients[0].Matched)
			}
		}
	}
}

func TestExplainSaysThatAFieldIsTooLong(t *testing.T) {
	set, err := rules.Parse("f.toml", []byte("[[rule]]\nname = \"r\"\nscope = \"outbound\"\naction = \"force-tls\"\n[rule.match]\nsubject = ["+
		repeat(100, `'re:(a{0,90}){9}%dx', `)+"]"))
	if err != nil {
		t.Fatal(err)
	}
	f := rulematch.Facts{Header: mail.ParseHeader([]byte("Subject: " + strings.Repeat("b", 2000) + "\r\n\r\n")), Now: time.Now(),
		Recipients: []mail.Address{mail.MustAddress("x@y.test")}}
	text := fmt.Sprintf("%+v", set.Explain(&f))
	if !strings.Contains(text, "subject has more than 512 bytes, which counts as a match") {
		t.Error(text)
	}
}
