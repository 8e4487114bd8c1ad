package tlsrpt_test

import (
	"errors"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy/tlsrpt"
)

func uris(r tlsrpt.Record) string {
	var out []string
	for _, d := range r.Destinations {
		out = append(out, d.String())
	}
	return strings.Join(out, " ")
}

type recordCase struct {
	name  string
	texts []string
	want  string // the destinations, with a blank between
	fault string // "none" is no record at all
	odd   string // is in the oddities
}

// The situations are those of DNS, of public issue threads and of the tests of other readers; names are changed.
func recordCases() []recordCase {
	return []recordCase{
		{"the example of RFC 8460", []string{"v=TLSRPTv1;rua=mailto:reports@clinic.test"}, "mailto:reports@clinic.test", "", ""},
		{"over HTTPS", []string{"v=TLSRPTv1;rua=https://tlsrpt.clinic.test/report"}, "https://tlsrpt.clinic.test/report", "", ""},
		{"a semicolon at the end", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test;"}, "mailto:a@clinic.test", "", ""},
		{"two semicolons at the end", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test;;"}, "mailto:a@clinic.test", "", ""},
		{"blanks before the semicolon", []string{"v=TLSRPTv1 ; rua=mailto:a@clinic.test"}, "mailto:a@clinic.test", "", ""},
		{"blanks around everything", []string{"v=TLSRPTv1;\trua = mailto:a@clinic.test , \t https://clinic.test/t  "},
			"mailto:a@clinic.test https://clinic.test/t", "", ""},
		{"mailbox and web server", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test,https://clinic.test/t"},
			"mailto:a@clinic.test https://clinic.test/t", "", ""},
		{"two rua, which RFC 8460 allows", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test; rua=mailto:b@clinic.test"},
			"mailto:a@clinic.test mailto:b@clinic.test", "", ""},
		{"an extension", []string{"v=TLSRPTv1; ext=yes; rua=mailto:a@clinic.test; more="}, "mailto:a@clinic.test", "", ""},
		{"another text beside it", []string{"v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@clinic.test"}, "mailto:a@clinic.test", "", ""},
		{"a text of a later version beside it", []string{"v=TLSRPTv2; rua=x", "v=TLSRPTv1; rua=mailto:a@clinic.test"},
			"mailto:a@clinic.test", "", ""},
		{"no scheme (sys4/tlsrpt-reporter 54)", []string{"v=TLSRPTv1; rua=postmaster@clinic.test"}, "", "lacks mailto:", ""},
		{"no scheme at the second", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test,b@clinic.test"}, "mailto:a@clinic.test", "", "lacks mailto:"},
		{"a bad one first", []string{"v=TLSRPTv1; rua=ftp://x,mailto:a@clinic.test"}, "mailto:a@clinic.test", "", "neither mailto: nor https:"},
		{"plain HTTP", []string{"v=TLSRPTv1; rua=http://clinic.test/t,mailto:a@clinic.test"}, "mailto:a@clinic.test", "", "is not https"},
		{"blanks in place of commas", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test mailto:b@clinic.test"},
			"mailto:a@clinic.test mailto:b@clinic.test", "", ""},
		{"a blank behind mailto:", []string{"v=TLSRPTv1; rua=mailto: a@clinic.test"}, "mailto:a@clinic.test", "", ""},
		{"the scheme in upper case", []string{"v=TLSRPTv1; rua=MAILTO:a@Clinic.TEST,HTTPS://Clinic.test/T"},
			"mailto:a@clinic.test https://clinic.test/T", "", ""},
		{"percent signs", []string{"v=TLSRPTv1; rua=mailto:tls%2Breports@clinic.test"}, "mailto:tls+reports@clinic.test", "", ""},
		{"an exclamation mark, encoded as it must be", []string{"v=TLSRPTv1; rua=mailto:a%21b@clinic.test"}, "mailto:a%21b@clinic.test", "", ""},
		{"a size, as in DMARC", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test!10m"}, "mailto:a@clinic.test", "", "as in DMARC"},
		{"a subject", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test?subject=TLS"}, "mailto:a@clinic.test", "", "question mark"},
		{"U-labels", []string{"v=TLSRPTv1; rua=mailto:a@bücher.test"}, "mailto:a@xn--bcher-kva.test", "", ""},
		{"the same twice", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test,mailto:a@CLINIC.test."}, "mailto:a@clinic.test", "", ""},
		{"mailto://", []string{"v=TLSRPTv1; rua=mailto://a@clinic.test"}, "", "// behind mailto:", ""},
		{"a bad percent sign", []string{"v=TLSRPTv1; rua=mailto:a%zz@clinic.test"}, "", "percent sign", ""},
		{"a line end hidden in percent signs", []string{"v=TLSRPTv1; rua=mailto:a%0d%0aBcc:x@clinic.test"}, "", "no mail address", ""},
		{"an address literal", []string{"v=TLSRPTv1; rua=mailto:a@[127.0.0.1]"}, "", "without a domain", ""},
		{"a password", []string{"v=TLSRPTv1; rua=https://u:p@clinic.test/"}, "", "a name or a password", ""},
		{"https without a host", []string{"v=TLSRPTv1; rua=https:///t"}, "", "no address of a web server", ""},
		{"eleven", []string{"v=TLSRPTv1; rua=" + strings.Join(mailboxes("abcdefghijk"), ",")},
			strings.Join(mailboxes("abcdefghij"), " "), "", "more than 10"},
		{"quotation marks around the URI", []string{`v=TLSRPTv1; rua="mailto:a@clinic.test"`}, "mailto:a@clinic.test", "", ""},

		{"none", nil, "", "none", ""},
		{"a record about MTA-STS at the wrong name", []string{"v=STSv1; id=1"}, "", "none", ""},
		{"two", []string{"v=TLSRPTv1; rua=mailto:a@clinic.test", "v=TLSRPTv1; rua=mailto:b@clinic.test"}, "", "2 TLSRPT records", ""},
		{"two, one of them empty", []string{"v=TLSRPTv1", "v=TLSRPTv1; rua=mailto:b@clinic.test"}, "", "2 TLSRPT records", ""},
		{"the version alone", []string{"v=TLSRPTv1"}, "", "has no rua", ""},
		{"an empty rua", []string{"v=TLSRPTv1; rua="}, "", "rua of the record is empty", ""},
		{"commas alone", []string{"v=TLSRPTv1; rua=,, ,"}, "", "rua of the record is empty", ""},
		{"RUA in upper case: the grammar gives it a case", []string{"v=TLSRPTv1; RUA=mailto:a@clinic.test"}, "", `"RUA" must be written rua`, ""},
		{"the version in lower case", []string{"v=tlsrptv1; rua=mailto:a@clinic.test"}, "", "in exactly this spelling", ""},
		{"a blank in the version", []string{"v = TLSRPTv1; rua=mailto:a@clinic.test"}, "", "in exactly this spelling", ""},
		{"a blank in front", []string{" v=TLSRPTv1; rua=mailto:a@clinic.test"}, "", "in exactly this spelling", ""},
		{"version 10", []string{"v=TLSRPTv10; rua=mailto:a@clinic.test"}, "", "in exactly this spelling", ""},
		{"a comma in place of the semicolon", []string{"v=TLSRPTv1, rua=mailto:a@clinic.test"}, "", "in exactly this spelling", ""},
		{"a colon in place of the equals sign", []string{"v=TLSRPTv1; rua:mailto:a@clinic.test"}, "", "has no rua", ""},
	}
}

func mailboxes(letters string) (out []string) {
	for _, c := range letters {
		out = append(out, "mailto:"+string(c)+"@clinic.test")
	}
	return out
}

func TestRecordsOfTheField(t *testing.T) {
	for _, c := range recordCases() {
		t.Run(c.name, func(t *testing.T) {
			r, err := tlsrpt.ParseRecord(c.texts)
			var fault *tlsrpt.Fault
			switch {
			case c.fault == "none":
				if !errors.Is(err, tlsrpt.ErrNoRecord) {
					t.Errorf("got %v, %v", r, err)
				}
			case c.fault != "":
				if !errors.As(err, &fault) || !strings.Contains(fault.Text, c.fault) {
					t.Errorf("got %v, %v, want a fault with %q", r, err, c.fault)
				}
			case err != nil || uris(r) != c.want || !strings.Contains(strings.Join(r.Oddities, "\n"), c.odd) || c.odd == "" && len(r.Oddities) > 0:
				t.Errorf("got %q, %q, %v; want %q, odd %q", uris(r), r.Oddities, err, c.want, c.odd)
			}
		})
	}
}

func TestARecordIsWrittenAsItIsRead(t *testing.T) {
	r := tlsrpt.Record{Destinations: []tlsrpt.Destination{
		{Mail: mail.MustAddress("tls-reports@clinic.test")}, {Mail: mail.MustAddress(`"a,b;c!d\"e"@clinic.test`)},
		{Mail: mail.MustAddress("a%2b@clinic.test")}, {URL: "https://clinic.test/a%2Cb?c=d"}}}
	text := r.Text()
	if want := "v=TLSRPTv1; rua=mailto:tls-reports@clinic.test,mailto:%22a%2Cb%3Bc%21d%5C%22e%22@clinic.test,mailto:a%252b@clinic.test," +
		"https://clinic.test/a%2Cb?c=d"; text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	again, err := tlsrpt.ParseRecord([]string{text})
	if err != nil || uris(again) != uris(r) || len(again.Oddities) > 0 {
		t.Errorf("%v, %v", again, err)
	}
	if name := tlsrpt.Name(mail.MustDomain("clinic.test")); name != "_smtp._tls.clinic.test" {
		t.Error(name)
	}
}

// FuzzRecord holds that a record that was read is written so that it is read the same, and is printable.
func FuzzRecord(f *testing.F) {
	for _, c := range recordCases() {
		f.Add(strings.Join(c.texts, "\n"))
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := tlsrpt.ParseRecord(strings.Split(s, "\n"))
		if err != nil {
			return
		}
		if len(r.Destinations) == 0 || len(r.Destinations) > tlsrpt.MaxDestinations || len(r.Oddities) > 10 {
			t.Fatalf("%+v", r)
		}
		text := r.Text()
		if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) {
			t.Errorf("not to be quoted: %q", text)
		}
		again, err := tlsrpt.ParseRecord([]string{text})
		if err != nil || again.Text() != text || len(again.Destinations) != len(r.Destinations) {
			t.Errorf("%q becomes %q, %v", text, again.Text(), err)
		}
	})
}
