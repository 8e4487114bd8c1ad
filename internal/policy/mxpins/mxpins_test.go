package mxpins

import (
	"slices"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

func TestTheRegistrableDomainIsWhatOnePartyRegisters(t *testing.T) {
	for host, want := range map[string]string{
		"mx.clinic.test":                          "clinic.test",
		"clinic.test":                             "clinic.test",
		"a.b.c.clinic.de":                         "clinic.de",
		"mx1.clinic.co.uk":                        "clinic.co.uk",
		"clinic.mail.protection.outlook.com":      "outlook.com",
		"aspmx.l.google.com":                      "google.com",
		"someone.github.io":                       "someone.github.io",
		"mail.someone.github.io":                  "someone.github.io",
		"mx.xn--bcher-kva.example":                "xn--bcher-kva.example",
		"mx.city.kawasaki.jp":                     "city.kawasaki.jp",
		"co.uk":                                   "co.uk",
		"test":                                    "test",
		"mail.internal":                           "mail.internal",
		"mx.s3.dualstack.eu-west-1.amazonaws.com": "mx.s3.dualstack.eu-west-1.amazonaws.com",
	} {
		if got := Registrable(mail.MustDomain(host)); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestBelowCountsWholeLabels(t *testing.T) {
	for _, c := range []struct {
		host, name string
		want       bool
	}{
		{"mx.clinic.test", "clinic.test", true},
		{"clinic.test", "clinic.test", true},
		{"a.b.clinic.test", "clinic.test", true},
		{"evilclinic.test", "clinic.test", false},
		{"clinic.test.evil.test", "clinic.test", false},
		{"test", "clinic.test", false},
	} {
		if got := Below(mail.MustDomain(c.host), c.name); got != c.want {
			t.Errorf("%s below %s: %v", c.host, c.name, got)
		}
	}
	if Below(mail.Domain{}, "clinic.test") {
		t.Error("a host without a name lies below something")
	}
}

func TestEveryRuleAskedIsJudgedByWhatItRemembersItself(t *testing.T) {
	pins := []Pin{
		{Domain: "clinic.test", Rule: "a", Name: "clinic.test"},
		{Domain: "clinic.test", Rule: "b", Name: "backup.test"},
		{Domain: "clinic.test", Rule: "b", Name: "clinic.test"},
		{Domain: "other.test", Rule: "c", Name: "evil.test"},
	}
	for _, c := range []struct {
		name    string
		rules   []string
		host    string
		by      string
		changed []string
	}{
		{"known", []string{"a"}, "mx9.clinic.test", policy.MXByPin, nil},
		{"known to both", []string{"a", "b"}, "mx.clinic.test", policy.MXByPin, nil},
		{"known to one of two", []string{"a", "b"}, "mx.backup.test", "", []string{"a"}},
		{"nothing is remembered", []string{"c"}, "mx.anything.test", policy.MXByFirstUse, nil},
		{"nothing by one, known to the other", []string{"a", "c"}, "mx.clinic.test", policy.MXByFirstUse, nil},
		{"nothing by one, new to the other", []string{"a", "c"}, "mx.evil.test", "", []string{"a"}},
		{"another domain's names do not count", []string{"a"}, "mx.evil.test", "", []string{"a"}},
		{"nobody knows nothing", []string{policy.Nobody}, "mx.clinic.test", "", nil},
	} {
		got := Judge(pins, "clinic.test", c.rules, mail.MustDomain(c.host))
		if got.By != c.by || !slices.Equal(got.Changed, c.changed) {
			t.Errorf("%s: by %q, changed %q", c.name, got.By, got.Changed)
		}
		for _, rule := range c.rules {
			proof, asked := got.Proofs[rule]
			if rule == policy.Nobody {
				if asked {
					t.Errorf("%s: nobody was asked", c.name)
				}
				continue
			}
			if !asked || (len(proof.Shortfalls) > 0) != slices.Contains(c.changed, rule) {
				t.Errorf("%s: rule %s says %+v, asked %v", c.name, rule, proof, asked)
			}
		}
	}
	if got := Judge(nil, "clinic.test", []string{"a"}, mail.Domain{}); got.By != "" || len(got.Changed) != 1 {
		t.Errorf("a host without a name: %+v", got)
	}
}

func TestAChangeSaysWhatWasKnownAndWhatCame(t *testing.T) {
	pins := []Pin{{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test"}}
	got := Judge(pins, "clinic.test", []string{"clinic"}, mail.MustDomain("mx.evil.test")).Proofs["clinic"].Shortfalls
	want := "the mail host mx.evil.test lies below evil.test; the mail hosts of clinic.test known to rule clinic lie below clinic.test"
	if len(got) != 1 || got[0].Reason != policy.MXChanged || got[0].Text != want {
		t.Errorf("%+v", got)
	}
}

func TestNewPinsHaveEachNameOnceForEachRule(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	hosts := []mail.Domain{mail.MustDomain("mx1.clinic.test"), {}, mail.MustDomain("mx2.clinic.test"), mail.MustDomain("mx.backup.test")}
	var got []string
	for _, p := range New("clinic.test", []string{"a", "b", policy.Nobody}, hosts, at, policy.MXByFirstUse) {
		got = append(got, p.Rule+" "+p.Name)
	}
	if want := []string{"a backup.test", "a clinic.test", "b backup.test", "b clinic.test"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
