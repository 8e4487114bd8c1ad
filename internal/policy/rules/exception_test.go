package rules

import (
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rulematch"
)

const withExceptions = `
[[rule]]
name = "clinic"
action = "force-tls"
match.recipient = ["broken.test"]

# their administrator is on leave
[[exception]]
domain  = "Broken.Test."
ignore  = ["sts", "dane", "sts"]
reason  = "ticket 4711"
expires = 2027-01-31

[[exception]]
domain  = "stale.test"
ignore  = ["dane"]
reason  = "records of the old key"
expires = 2026-12-01T12:00:00Z
`

func TestWhatAnExceptionSetsAside(t *testing.T) {
	set := mustParse(t, withExceptions)
	at := func(text string) time.Time {
		out, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct{ domain, at, want string }{
		{"broken.test", "2026-11-28T00:00:00Z", "dane sts"},
		{"broken.test", "2027-01-31T23:59:59Z", "dane sts"}, // through that day
		{"broken.test", "2027-02-01T00:00:00Z", ""},
		{"mx.broken.test", "2026-11-28T00:00:00Z", ""}, // domains below are not meant
		{"stale.test", "2026-12-01T11:59:59Z", "dane"},
		{"stale.test", "2026-12-01T12:00:00Z", ""},
		{"other.test", "2026-11-28T00:00:00Z", ""},
	} {
		var got []string
		for _, kind := range []string{policy.PublishedDANE, policy.PublishedSTS} {
			if why := set.Excepted(mail.MustDomain(c.domain), at(c.at))[kind]; why != "" {
				got = append(got, kind)
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s at %s: sets %q aside, want %q", c.domain, c.at, text, c.want)
		}
	}
	why := set.Excepted(mail.MustDomain("broken.test"), at("2026-11-28T00:00:00Z"))[policy.PublishedDANE]
	if why != "an exception until 2027-01-31: ticket 4711" {
		t.Errorf("why: %q", why)
	}
	if ends := set.ExceptionEnds(mail.MustDomain("broken.test")); !ends.Equal(at("2027-02-01T00:00:00Z")) {
		t.Errorf("it ends at %v", ends)
	}
	if ends := set.ExceptionEnds(mail.MustDomain("other.test")); !ends.IsZero() {
		t.Errorf("what is not there ends at %v", ends)
	}
	if again := mustParse(t, string(set.TOML())); string(again.TOML()) != string(set.TOML()) || len(again.Exceptions()) != 2 {
		t.Errorf("printed and read again:\n%s", again.TOML())
	}
}

// An exception never touches a rule.
func TestAnExceptionIsNoOperandOfWhatIsDemanded(t *testing.T) {
	f := rulematch.Facts{From: mail.MustAddress("a@example.com"), Recipients: []mail.Address{mail.MustAddress("x@broken.test")}, Now: time.Now(),
		Local: []bool{false}}
	with := mustParse(t, withExceptions).Evaluate(&f).Recipients[0].Requirement
	without := mustParse(t, withExceptions[:strings.Index(withExceptions, "# their")]).Evaluate(&f).Recipients[0].Requirement
	if with.Key() != without.Key() || with.Channel != policy.Authenticated {
		t.Errorf("with an exception %q, without %q", with.Key(), without.Key())
	}
}

func TestAnExceptionWarnsBeforeItEnds(t *testing.T) {
	set := mustParse(t, withExceptions)
	for at, want := range map[string]string{
		"2026-10-01": "", "2026-11-28": "ends (2026-12-01T12:00:00Z)", "2027-01-15": "ends (2027-01-31)", "2027-03-01": "has ended (2027-01-31)",
	} {
		day, _ := time.Parse(time.DateOnly, at)
		var told []string
		for _, w := range set.Warnings(day) {
			if strings.HasPrefix(w.Rule, "[[exception]]") {
				told = append(told, w.Text)
			}
		}
		if text := strings.Join(told, "; "); want == "" && text != "" || !strings.Contains(text, want) {
			t.Errorf("on %s: %q, want %q", at, text, want)
		}
	}
}
