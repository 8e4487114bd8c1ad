package exception

import (
	"strings"
	"testing"

	"postern/internal/platform/tomlfile"
)

func read(t *testing.T, text string) ([]Exception, error) {
	t.Helper()
	p := &tomlfile.Problems{Source: []byte(text)}
	list := Read(p, p.Tree("", "").Entry("exception"))
	return list, p.Err("rules.toml")
}

func TestAnExceptionIsPrintedAsItIsRead(t *testing.T) {
	const want = "[[exception]]\ndomain = \"broken.test\"\nignore = [\"dane\", \"sts\"]\nreason = \"ticket 4711\"\nexpires = 2027-01-31\n"
	list, err := read(t, "[[exception]]\ndomain = 'Broken.Test.'\nignore = ['sts', 'dane', 'sts']\nreason = ' ticket 4711'\nexpires = 2027-01-31\n")
	if err != nil || len(list) != 1 || list[0].Line != 1 {
		t.Fatal(list, err)
	}
	var b strings.Builder
	if list[0].Print(&b); b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
	if got := list[0].String(); got != "an exception until 2027-01-31: ticket 4711" {
		t.Error(got)
	}
}

func TestWhatAnExceptionMustSay(t *testing.T) {
	const whole = "[[exception]]\ndomain = 'a.test'\nignore = ['sts']\nreason = 'x'\nexpires = 2027-01-31\n"
	for _, c := range []struct{ from, to, want string }{
		{"expires = 2027-01-31", "", "the exception has no expires"},
		{"reason = 'x'", "reason = ' '", "the exception has no reason"},
		{"'a.test'", "'*.a.test'", "is no domain"},
		{"'a.test'", "'[192.0.2.1]'", "is no domain"},
		{"['sts']", "[]", "write \"dane\", \"sts\" or both"},
		{"['sts']", "['tls']", "is nothing that a domain publishes"},
		{"2027-01-31", "'2027-01-31'", "expires is no date"},
		{"reason", "why = 'x'\nreason", "unknown key"},
		{"[[exception]]", whole + "[[exception]]", "has an exception in line 1 already"},
	} {
		if _, err := read(t, strings.Replace(whole, c.from, c.to, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.to, err, c.want)
		}
	}
}
