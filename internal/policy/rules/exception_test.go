package rules

import (
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
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
	if again := mustParse(t, string(set.TOML())); string(again.TOML()) != string(set.TOML()) || len(again.Exceptions()) != 2 {
		t.Errorf("printed and read again:\n%s", again.TOML())
	}
}

// An exception never touches a rule.
func TestAnExceptionIsNoOperandOfWhatIsDemanded(t *testing.T) {
	f := Facts{From: mail.MustAddress("a@example.com"), Recipients: []mail.Address{mail.MustAddress("x@broken.test")}, Now: time.Now(),
		Local: []bool{false}}
	with := mustParse(t, withExceptions).Evaluate(&f).Recipients[0].Requirement
	without := mustParse(t, withExceptions[:strings.Index(withExceptions, "# their")]).Evaluate(&f).Recipients[0].Requirement
	if with.Key() != without.Key() || with.Channel != policy.Authenticated {
		t.Errorf("with an exception %q, without %q", with.Key(), without.Key())
	}
}

func TestChangesOfExceptionsAreTold(t *testing.T) {
	first := withExceptions
	for _, c := range []struct {
		name, from, to string
		weaker         bool
		want           string // kind and name of the one change
	}{
		{"a new one", `domain  = "stale.test"`, `domain  = "new.test"`, true, ""},
		{"a later end", "expires = 2027-01-31", "expires = 2027-02-28", true, "changed [[exception]] broken.test"},
		{"an earlier end", "expires = 2027-01-31", "expires = 2027-01-30", false, "changed [[exception]] broken.test"},
		{"one kind more", `ignore  = ["dane"]`, `ignore  = ["dane", "sts"]`, true, "changed [[exception]] stale.test"},
		{"one kind less", `ignore  = ["sts", "dane", "sts"]`, `ignore  = ["sts"]`, false, "changed [[exception]] broken.test"},
		{"another reason", "ticket 4711", "ticket 4712", false, "changed [[exception]] broken.test"},
	} {
		changes := Diff(mustParse(t, first), mustParse(t, strings.Replace(first, c.from, c.to, 1)))
		weaker := false
		for _, change := range changes {
			weaker = weaker || change.Weaker
		}
		if weaker != c.weaker || c.want != "" && (len(changes) != 1 || string(changes[0].Kind)+" "+changes[0].Rule != c.want) {
			t.Errorf("%s: %+v", c.name, changes)
		}
	}
	none := Diff(mustParse(t, first), mustParse(t, first[:strings.Index(first, "# their")]))
	if len(none) != 2 || none[0].Kind != Removed || none[0].Weaker {
		t.Errorf("both removed: %+v", none)
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

// A rule in front of an exception is changed and deleted without it.
func TestEditingARuleLeavesExceptionsAlone(t *testing.T) {
	text, err := Edit([]byte(withExceptions), "clinic", "[[rule]]\nname = \"clinic\"\naction = \"force-tls\"\n")
	if err != nil || len(mustParse(t, string(text)).Exceptions()) != 2 || !strings.Contains(string(text), "# their administrator is on leave") {
		t.Errorf("changed: %v\n%s", err, text)
	}
	text, err = Edit([]byte(withExceptions), "clinic", "")
	if err != nil || len(mustParse(t, string(text)).Exceptions()) != 2 || len(mustParse(t, string(text)).Rules()) != 0 {
		t.Errorf("deleted: %v\n%s", err, text)
	}
}
