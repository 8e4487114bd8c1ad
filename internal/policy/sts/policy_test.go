package sts_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy/sts"
)

const day = 24 * time.Hour

// usable are policies that count, as they are met; where the names are those of large providers the shape is theirs.
var usable = []struct {
	name, body string
	want       sts.Policy
	odd        []string
}{
	{"the example of RFC 8461 §3.2", "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mail.example.com", "*.example.net", "backupmx.example.com"}, MaxAge: 7 * day}, nil},
	{"Gmail: LF alone (mrisher/smtp-sts 192)", "version: STSv1\nmode: enforce\nmx: gmail-smtp-in.l.google.com\nmx: *.gmail-smtp-in.l.google.com\nmax_age: 86400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"gmail-smtp-in.l.google.com", "*.gmail-smtp-in.l.google.com"}, MaxAge: day}, nil},
	{"Exchange Online's customers", "version: STSv1\r\nmode: testing\r\nmx: *.mail.protection.outlook.com\r\nmax_age: 604800\r\n",
		sts.Policy{Mode: sts.Testing, MX: []string{"*.mail.protection.outlook.com"}, MaxAge: 7 * day}, nil},
	{"no line end at the end", "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 86400",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},
	{"CR alone, as an old Macintosh writes", "version: STSv1\rmode: enforce\rmx: mx.clinic.test\rmax_age: 86400\r",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},
	{"CR CR LF, as a file converted twice has", "version: STSv1\r\r\nmode: enforce\r\r\nmx: mx.clinic.test\r\r\nmax_age: 86400\r\r\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},
	{"a byte order mark, as Notepad writes", "\ufeffversion: STSv1\r\nmode: enforce\r\nmx: mx.clinic.test\r\nmax_age: 86400\r\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},
	{"blanks everywhere (mrisher/smtp-sts 174)", "\n  version :STSv1  \n\n\tmode:\tenforce\t\nmx:mx.clinic.test \n max_age : 86400 \n\n\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},
	{"blanks of a web page", "version:\u00a0STSv1\nmode:\u00a0enforce\u200b\nmx: mx.clinic.test\u3000\nmax_age: 86400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},
	{"another order", "max_age: 86400\nmx: mx.clinic.test\nmode: enforce\nversion: STSv1\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},
	{"taken back (RFC 8461 §8.3)", "version: STSv1\nmode: none\nmax_age: 86400\n", sts.Policy{Mode: sts.None, MaxAge: day}, nil},
	{"taken back, hosts still named", "version: STSv1\nmode: none\nmx: mx.clinic.test\nmax_age: 0\n",
		sts.Policy{Mode: sts.None, MX: []string{"mx.clinic.test"}}, nil},
	{"the same host twice", "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmx: mx.clinic.test\nmax_age: 86400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},
	{"the largest max_age", "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 31557600\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: sts.MaxAge}, nil},
	{"leading zeros", "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 0000086400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, nil},

	{"a max_age of two years", "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 63072000\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: sts.MaxAge},
		[]string{`line 4: max_age is "63072000", more than the largest there may be, 31557600, which counts`}},
	{"a max_age beyond any number", "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 99999999999999999999999\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: sts.MaxAge},
		[]string{`line 4: max_age is "99999999999999999999999", more than the largest there may be, 31557600, which counts`}},
	{"upper case", "Version: stsv1\nMODE: Enforce\nMX: MX.Clinic.Test\nMax_Age: 86400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day},
		[]string{`line 1: "Version" should be written version`, `line 1: "stsv1" should be written STSv1`, `line 2: "MODE" should be written mode`,
			`line 2: "Enforce" should be written enforce`, `line 3: "MX" should be written mx`, `line 3: "MX.Clinic.Test" should be written mx.clinic.test`,
			`line 4: "Max_Age" should be written max_age`}},
	{"a final dot, as in a zone file", "version: STSv1\nmode: enforce\nmx: mx.clinic.test.\nmax_age: 86400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, []string{`line 3: "mx.clinic.test." should be written mx.clinic.test`}},
	{"U-labels", "version: STSv1\nmode: enforce\nmx: *.bücher.example\nmax_age: 86400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"*.xn--bcher-kva.example"}, MaxAge: day}, []string{`line 3: "*.bücher.example" should be written *.xn--bcher-kva.example`}},
	{"the first of two modes", "version: STSv1\nmode: testing\nmode: enforce\nmx: mx.clinic.test\nmax_age: 86400\nmax_age: 1\nversion: STSv2\n",
		sts.Policy{Mode: sts.Testing, MX: []string{"mx.clinic.test"}, MaxAge: day},
		[]string{"line 3: there was mode before, and the first counts", "line 6: there was max_age before, and the first counts",
			"line 7: there was version before, and the first counts"}},
	{"comments and unknown keys", "# our policy: see the wiki\nversion: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 86400\nid: 20261128\nend of file\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day},
		[]string{"line 1: MTA-STS knows no comments; it is passed over", `line 6: "id" is no key of MTA-STS and is passed over`,
			`line 7: "end of file" has no colon and is passed over; want key: value`}},
	{"Latin-1 in a comment", "# Klinik M\xfcnchen\nversion: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 86400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day}, []string{"line 1: MTA-STS knows no comments; it is passed over"}},
	{"one mx of several that cannot be used", "version: STSv1\nmode: enforce\nmx: *\nmx: mx.clinic.test\nmx: 10 mx2.clinic.test\nmx: .clinic.test\n" +
		"mx: mx1.clinic.test, mx2.clinic.test\nmx: 192.0.2.1\nmx: mx*.clinic.test\nmx:\nmx: clinic.test:25\nmax_age: 86400\n",
		sts.Policy{Mode: sts.Enforce, MX: []string{"mx.clinic.test"}, MaxAge: day},
		[]string{`line 3: mx: "*" would be every host there is, and matches none`,
			`line 5: mx is "10 mx2.clinic.test", want one name and nothing beside it`,
			`line 6: mx is ".clinic.test", want "*.clinic.test" for the names below it`,
			`line 7: mx is "mx1.clinic.test, mx2.clinic.test", want one name and nothing beside it`,
			`line 8: mx is "192.0.2.1", which is no name that a mail host can have`,
			`line 9: mx is "mx*.clinic.test", and a wildcard is the whole first label or none`,
			`line 10: mx is empty`,
			`line 11: mx is "clinic.test:25", which is no name that a mail host can have`}},
}

// unusable are bodies that are no policy.
var unusable = []struct{ name, body, fault string }{
	{"nothing", "", "the policy is empty"},
	{"blanks", " \r\n\r\n", "the policy is empty"},
	{"nmx (postfix-tlspol 95)", "version: STSv1\nmode: enforce\nnmx: mx0.clinic.test\nmax_age: 604800\n",
		`the mode is enforce, and no mx says which mail hosts are meant (line 3: "nmx" is no key of MTA-STS and is passed over; did you mean mx?)`},
	{"max-age", "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax-age: 604800\n",
		`the policy has no max_age (line 4: "max-age" is no key of MTA-STS and is passed over; did you mean max_age?)`},
	{"no colon", "version: STSv1\nmode enforce\nmx: mx.clinic.test\nmax_age: 604800\n",
		`the policy has no mode (line 2: "mode enforce" has no colon and is passed over; want key: value)`},
	{"equals signs, as in the record", "version=STSv1\nmode=enforce\nmx=mx.clinic.test\nmax_age=604800\n",
		`the policy does not say version: STSv1 (line 1: "version=STSv1" has no colon and is passed over; want key: value)`},
	{"the record in place of the policy", "v=STSv1; id=20261128;", `the policy does not say version: STSv1 (line 1: "v=STSv1; id=20261128;" has no colon and is passed over; want key: value)`},
	{"all on one line, as documents show it", "version: STSv1 mode: enforce mx: *.in.clinic.test max_age: 604800",
		"line 1: more stands beside the version, want each key on a line of its own"},
	{"all on one line with semicolons", "version: STSv1; mode: enforce; mx: mx.clinic.test; max_age: 604800",
		"line 1: more stands beside the version, want each key on a line of its own"},
	{"JSON, as the first drafts had it", `{"version": "STSv1", "mode": "enforce", "mx": [".mail.example.com"], "max_age": 123456}`,
		"the policy is written in JSON, as an early draft had it, want lines of key: value"},
	{"the mode of a draft", "version: STSv1\nmode: report\nmx: mx.clinic.test\nmax_age: 604800\n", `line 2: the mode "report" is that of an early draft, want testing`},
	{"a web page with status 200", "\n<!DOCTYPE html>\n<html><body>Welcome to nginx!</body></html>", "a web page stands in place of the policy"},
	{"UTF-16 (mrisher/smtp-sts 171)", "\xff\xfev\x00e\x00r\x00", "the policy is written in UTF-16, want ASCII"},
	{"UTF-16 without a mark", "v\x00e\x00r\x00", "the policy is written in UTF-16, want ASCII"},
	{"NUL inside", "version: STSv1\nmode: enforce\nmx: mx.clinic.test\x00.evil.test\nmax_age: 604800\n",
		`line 3: it has a control character: "mx: mx.clinic.test\x00.evil.test"`},
	{"an escape", "version: STSv1\nmode: \x1b[2Jenforce\n", `line 2: it has a control character: "mode: \x1b[2Jenforce"`},
	{"another version", "version: STSv2\nmode: enforce\nmx: mx.clinic.test\nmax_age: 604800\n", `line 1: the version is "STSv2", want STSv1`},
	{"the first version counts", "version: STSv2\nversion: STSv1\nmode: none\nmax_age: 1", `line 1: the version is "STSv2", want STSv1`},
	{"no version", "mode: enforce\nmx: mx.clinic.test\nmax_age: 604800\n", "the policy does not say version: STSv1"},
	{"no mode", "version: STSv1\nmx: mx.clinic.test\nmax_age: 604800\n", "the policy has no mode"},
	{"a mode that nobody knows", "version: STSv1\nmode: enforced\nmx: mx.clinic.test\nmax_age: 604800\n", `line 2: the mode is "enforced", want enforce, testing or none`},
	{"no mx under testing", "version: STSv1\nmode: testing\nmax_age: 604800\n", "the mode is testing, and no mx says which mail hosts are meant"},
	{"any host", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 604800\n",
		`no mx of the policy can be used (line 3: mx: "*" would be every host there is, and matches none)`},
	{"two wildcards", "version: STSv1\nmode: enforce\nmx: *.*.clinic.test\nmax_age: 604800\n",
		`no mx of the policy can be used (line 3: mx is "*.*.clinic.test", and a wildcard is the whole first label or none)`},
	{"a colon smuggled into what Postfix would read as a list", "version: STSv1\nmode: enforce\nmx: mx.clinic.test:.evil.test\nmax_age: 604800\n",
		`no mx of the policy can be used (line 3: mx is "mx.clinic.test:.evil.test", which is no name that a mail host can have)`},
	{"a placeholder that was left", "version: STSv1\nmode: enforce\nmx: <your mail server>\nmax_age: 604800\n",
		`no mx of the policy can be used (line 3: mx is "<your mail server>", want one name and nothing beside it)`},
	{"no max_age", "version: STSv1\nmode: none\n", "the policy has no max_age"},
	{"max_age in words", "version: STSv1\nmode: none\nmax_age: 7d\n", `line 3: max_age is "7d", want a number of seconds in digits alone`},
	{"max_age below nothing", "version: STSv1\nmode: none\nmax_age: -1\n", `line 3: max_age is "-1", want a number of seconds in digits alone`},
	{"max_age with a point", "version: STSv1\nmode: none\nmax_age: 604.800\n", `line 3: max_age is "604.800", want a number of seconds in digits alone`},
	{"max_age empty", "version: STSv1\nmode: none\nmax_age:\n", `line 3: max_age is "", want a number of seconds in digits alone`},
	{"the first max_age counts though it is unreadable", "version: STSv1\nmode: none\nmax_age: week\nmax_age: 604800\n",
		`line 3: max_age is "week", want a number of seconds in digits alone`},
	{"too large", "version: STSv1\n" + strings.Repeat("#\n", sts.MaxBody/2), "the policy is larger than 65536 bytes"},
}

func TestUsablePoliciesOfTheField(t *testing.T) {
	for _, c := range usable {
		got, err := sts.ParsePolicy([]byte(c.body))
		c.want.Oddities = c.odd
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %+q, %v\nwant %+q", c.name, got, err, c.want)
		}
	}
}

func TestPoliciesThatAreNone(t *testing.T) {
	for _, c := range unusable {
		got, err := sts.ParsePolicy([]byte(c.body))
		if err == nil || err.Error() != c.fault || !reflect.DeepEqual(got, sts.Policy{}) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %s", c.name, got, err, c.fault)
		}
	}
}

func TestTheLargestPolicyIsReadAndOdditiesAreFew(t *testing.T) {
	body := "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 1\n"
	body += strings.Repeat("x:\n", (sts.MaxBody-len(body))/3)
	got, err := sts.ParsePolicy([]byte(body))
	if err != nil || len(got.Oddities) != 10 {
		t.Errorf("%d oddities, %v", len(got.Oddities), err)
	}
}

func TestMatchesAsRFC8461Section4Point1Says(t *testing.T) {
	policy := func(mx ...string) sts.Policy { return sts.Policy{Mode: sts.Enforce, MX: mx} }
	for _, c := range []struct {
		mx, host string
		want     bool
	}{
		{"mail.example.com", "mail.example.com", true},
		{"mail.example.com", "mx.mail.example.com", false},
		{"mail.example.com", "example.com", false},
		{"*.example.com", "mail.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "foo.bar.example.com", false},
		{"*.example.com", "mailexample.com", false},
		{"*.example.com", "evil-example.com", false},
		{"*.mx.microsoft", "clinic-test.h-v1.mx.microsoft", false}, // PS.MTA-STS 33: one label too many
		{"*.h-v1.mx.microsoft", "clinic-test.h-v1.mx.microsoft", true},
		{"*.mail.protection.outlook.com", "clinic-test.mail.protection.outlook.com", true},
		{"*.example.com", "_x.example.com", true},
		{"*.xn--bcher-kva.example", "mx.bücher.example", true},
		{"*", "example", false},
		{"*.", "example", false},
		{"*.test", "192.0.2.1", false},
		{"[192.0.2.1]", "[192.0.2.1]", false},
	} {
		if got := policy(c.mx).Matches(mail.MustDomain(c.host)); got != c.want {
			t.Errorf("%s matches %s: %v", c.mx, c.host, got)
		}
	}
	if policy("").Matches(mail.Domain{}) {
		t.Error("no name matches something")
	}
	if policy("a.test", "b.test").Matches(mail.MustDomain("c.test")) || !policy("a.test", "*.b.test").Matches(mail.MustDomain("x.b.test")) {
		t.Error("one of several")
	}
}

// Matching does not depend on how pattern and host are spelled, and a wildcard is one label (STYLE: laws worth a test).
func TestMatchingIsTheSameInEverySpelling(t *testing.T) {
	const seed = 8461
	r := rand.New(rand.NewPCG(seed, seed))
	labels := []string{"mx", "bücher", "a-b", "x1", "straße", "例え"}
	for range 300 {
		var name []string
		for range 1 + r.IntN(4) {
			name = append(name, labels[r.IntN(len(labels))])
		}
		host := strings.Join(append(name, "test"), ".")
		wild := "*." + strings.Join(append(slices.Clone(name[1:]), "test"), ".")
		for _, spell := range []func(string) string{strings.ToUpper, func(s string) string { return strings.ReplaceAll(s, ".", "\u3002") + "." },
			func(s string) string { return mail.MustDomain(s).String() }} {
			spelled := wild
			if above, _ := strings.CutPrefix(wild, "*."); above != "" {
				spelled = "*." + spell(above)
			}
			p, err := sts.ParsePolicy([]byte("version: STSv1\nmode: enforce\nmax_age: 1\nmx: " + spelled + "\n"))
			if err != nil {
				t.Fatalf("%s: %v", spelled, err)
			}
			if d := mail.MustDomain(spell(host)); !p.Matches(d) || p.Matches(mail.MustDomain("one."+d.String())) {
				t.Errorf("%s against %s", spelled, d)
			}
		}
	}
}

func TestOurOwnPoliciesMustBeRight(t *testing.T) {
	good, err := sts.New(sts.Testing, []string{"GW.example.com.", "*.example.net", "gw.example.com"}, 7*day)
	if want := "version: STSv1\r\nmode: testing\r\nmx: gw.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"; err != nil || good.Text() != want {
		t.Errorf("%q, %v", good.Text(), err)
	}
	other := good
	other.Mode = sts.Enforce
	if a, b := good.Record(), other.Record(); a == b || len(a.ID) != 32 || a != good.Record() {
		t.Errorf("%+v and %+v", a, b)
	}
	for _, c := range []struct {
		mode  sts.Mode
		mx    []string
		age   time.Duration
		fault string
	}{
		{"", []string{"a.test"}, day, `the mode is "", want enforce, testing or none`},
		{"Enforce", []string{"a.test"}, day, `the mode is "Enforce", want enforce, testing or none`},
		{sts.Enforce, nil, day, "the mode is enforce, and no mx says which mail hosts are meant"},
		{sts.Enforce, []string{"a.test", "*"}, day, `mx: "*" would be every host there is, and matches none`},
		{sts.Enforce, []string{"a.test"}, -1, "max_age is -1ns, want 0 to 31557600 whole seconds"},
		{sts.Enforce, []string{"a.test"}, time.Millisecond, "max_age is 1ms, want 0 to 31557600 whole seconds"},
		{sts.Enforce, []string{"a.test"}, sts.MaxAge + 1, "max_age is 8766h0m0.000000001s, want 0 to 31557600 whole seconds"},
	} {
		if _, err := sts.New(c.mode, c.mx, c.age); err == nil || err.Error() != c.fault {
			t.Errorf("%s %v %v: %v, want %s", c.mode, c.mx, c.age, err, c.fault)
		}
	}
	if _, err := sts.New(sts.None, nil, 0); err != nil {
		t.Error(err)
	}
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("mx%d.clinic.test", i))
	}
	if _, err := sts.New(sts.Enforce, many, day); err == nil || err.Error() != "the policy would be larger than 65536 bytes" {
		t.Error(err)
	}
}

// plain holds that a sentence may be shown anywhere.
func plain(t *testing.T, text string) {
	t.Helper()
	if len(text) > 400 || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0x202e }) {
		t.Fatalf("a sentence that is not plain: %q", text)
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, c := range usable {
		f.Add([]byte(c.body))
	}
	for _, c := range unusable {
		if len(c.body) < 1000 {
			f.Add([]byte(c.body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := sts.ParsePolicy(body)
		for _, odd := range p.Oddities {
			plain(t, odd)
		}
		if err != nil {
			plain(t, err.Error())
			if !reflect.DeepEqual(p, sts.Policy{}) {
				t.Fatalf("a policy beside %v", err)
			}
			return
		}
		p.Oddities = nil
		if len(p.Text()) > sts.MaxBody {
			return
		}
		if again, err := sts.ParsePolicy([]byte(p.Text())); err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q: %+v, %v", p.Text(), again, err)
		}
		if _, err := sts.New(p.Mode, p.MX, p.MaxAge); err != nil {
			t.Fatalf("what was read could not be written: %v", err)
		}
		for _, pattern := range p.MX {
			if host, err := mail.ParseDomain(strings.Replace(pattern, "*", "x", 1)); err == nil && !p.Matches(host) {
				t.Fatalf("%s does not match its own %s", pattern, host)
			}
		}
	})
}

func ExamplePolicy_Text() {
	p, err := sts.ParsePolicy([]byte("version: STSv1\nmode: enforce\nmx: mx.clinic.test\nnote: by Anna\nmax_age: 604800"))
	fmt.Println(err, p.Matches(mail.MustDomain("mx.clinic.test")), p.Oddities)
	// Output: <nil> true [line 4: "note" is no key of MTA-STS and is passed over]
}
