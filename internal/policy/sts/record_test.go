package sts_test

import (
	"errors"
	"testing"

	"postern/internal/policy/sts"
)

// The situations are those of public issue threads and of the drafts of RFC 8461; the names are changed.
func TestRecordsOfTheField(t *testing.T) {
	for _, c := range []struct {
		name  string
		texts []string
		id    string
		fault string // "none" is no record at all
	}{
		{"as in RFC 8461 §3.1", []string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z", ""},
		{"no final semicolon", []string{"v=STSv1; id=20230331083000"}, "20230331083000", ""},
		{"no blank", []string{"v=STSv1;id=1;"}, "1", ""},
		{"blanks before the semicolon, which the ABNF allows (aykevl/mta-sts 19)", []string{"v=STSv1 ; id=1234;"}, "1234", ""},
		{"the same beside another record", []string{"v", "v=STSv1 ; id=1234;"}, "1234", ""},
		{"tabs", []string{"v=STSv1;\tid=1234\t;"}, "1234", ""},
		{"blanks around the equals sign", []string{"v=STSv1; id = 1234 ;"}, "1234", ""},
		{"two semicolons", []string{"v=STSv1; id=1234;;"}, "1234", ""},
		{"the id in upper case", []string{"v=STSv1; ID=1234"}, "1234", ""},
		{"an unknown field first", []string{"v=STSv1; rua=mailto:a@clinic.test; id=1"}, "1", ""},
		{"a field without a value", []string{"v=STSv1; testing; id=1"}, "1", ""},
		{"the first of two ids counts", []string{"v=STSv1; id=1; id=2"}, "1", ""},
		{"the first of two ids counts though it is empty", []string{"v=STSv1; id=; id=2"}, "", "the id of the record is empty"},
		{"beside SPF and a wildcard's text", []string{"v=spf1 -all", "some-site-verification=abc", "v=STSv1; id=7"}, "7", ""},

		{"nothing", nil, "", "none"},
		{"something else", []string{"v=spf1 -all"}, "", "none"},
		{"TLSRPT at the wrong name", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test"}, "", "none"},
		{"two records of ours (hardenize 41)", []string{"v=STSv1; id=1", "v=STSv1; id=2"}, "",
			"there are 2 MTA-STS records, and with more than one there is no policy"},
		{"two, one of them faulty", []string{"v=STSv1; id=1", "v=STSv1;"}, "",
			"there are 2 MTA-STS records, and with more than one there is no policy"},
		{"base64 as id (mailinabox 1779)", []string{"v=STSv1; id=Zn+/abc="}, "", `the id of the record is "Zn+/abc=", want letters and digits alone`},
		{"a date with hyphens", []string{"v=STSv1; id=2026-11-28"}, "", `the id of the record is "2026-11-28", want letters and digits alone`},
		{"too long", []string{"v=STSv1; id=012345678901234567890123456789012"}, "", "the id of the record has 33 characters, want at most 32"},
		{"no id", []string{"v=STSv1"}, "", "the record has no id"},
		{"no id but a semicolon", []string{"v=STSv1;"}, "", "the record has no id"},
		{"the final semicolon escaped as in a zone file", []string{`v=STSv1\; id=1`}, "",
			`the record begins with "v=STSv1\; id=1", want "v=STSv1;" in exactly this spelling`},
		{"in quotation marks (as tools show it)", []string{`"v=STSv1; id=1;"`}, "",
			`the record begins with ""v=STSv1; id=1;"", want "v=STSv1;" in exactly this spelling`},
		{"in small letters", []string{"v=stsv1; id=1"}, "", `the record begins with "v=stsv1; id=1", want "v=STSv1;" in exactly this spelling`},
		{"a blank in front", []string{" v=STSv1; id=1"}, "", `the record begins with " v=STSv1; id=1", want "v=STSv1;" in exactly this spelling`},
		{"another version", []string{"v=STSv2; id=1"}, "", `the record begins with "v=STSv2; id=1", want "v=STSv1;" in exactly this spelling`},
		{"a version that ours begins", []string{"v=STSv10; id=1"}, "", `the record begins with "v=STSv10; id=1", want "v=STSv1;" in exactly this spelling`},
		{"one that only looks like one does not disturb a good one", []string{`"v=STSv1; id=2"`, "v=STSv1; id=1"}, "1", ""},
		{"an id that would run away on a terminal", []string{"v=STSv1; id=\x1b[2J"}, "", `the id of the record is "\x1b[2J", want letters and digits alone`},
	} {
		got, err := sts.ParseRecord(c.texts)
		text := ""
		var fault *sts.Fault
		switch {
		case errors.Is(err, sts.ErrNoRecord):
			text = "none"
		case errors.As(err, &fault):
			text = err.Error()
		case err != nil:
			t.Errorf("%s: an error of another kind: %v", c.name, err)
		}
		if text != c.fault || err == nil && got.ID != c.id || err != nil && got != (sts.Record{}) {
			t.Errorf("%s: %+v, %q; want %q, %q", c.name, got, text, c.id, c.fault)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, seed := range []string{"v=STSv1; id=20160831085700Z;", "v=STSv1 ;id = a;;x=", "v=STSv1", "\"v=stsv2", "v=STSv1; id=a; id=b", ""} {
		f.Add(seed, "")
		f.Add(seed, "v=STSv1; id=1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got, err := sts.ParseRecord([]string{a, b})
		var fault *sts.Fault
		if err != nil && !errors.Is(err, sts.ErrNoRecord) && !errors.As(err, &fault) {
			t.Fatalf("%v", err)
		}
		if err != nil {
			plain(t, err.Error())
			return
		}
		if again, err := sts.ParseRecord([]string{got.Text()}); err != nil || again != got {
			t.Fatalf("%q: %+v, %v", got.Text(), again, err)
		}
	})
}
