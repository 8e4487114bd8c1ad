package mail

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, tt := range []struct{ in, wire, canonical string }{
		{"ann@a.test", "ann@a.test", "ann@a.test"},
		{"Ann@A.TEST.", "Ann@a.test", "Ann@a.test"}, // the case of the local part is its owner's
		{"a.b+c=d@a.test", "a.b+c=d@a.test", "a.b+c=d@a.test"},
		{"!#$%&'*/?^_`{|}~-@a.test", "!#$%&'*/?^_`{|}~-@a.test", "!#$%&'*/?^_`{|}~-@a.test"},
		{`"ann"@a.test`, `"ann"@a.test`, "ann@a.test"},
		{`"a\nn"@a.test`, `"a\nn"@a.test`, "ann@a.test"},
		{`"a.b"@a.test`, `"a.b"@a.test`, "a.b@a.test"},
		{`"a..b"@a.test`, `"a..b"@a.test`, "a..b@a.test"}, // mailboxes like these exist without quotes too
		{`".a"@a.test`, `".a"@a.test`, ".a@a.test"},
		{"a..b.@a.test", "a..b.@a.test", "a..b.@a.test"},
		{`"a b"@a.test`, `"a b"@a.test`, `"a b"@a.test`},
		{`"a\ b"@a.test`, `"a\ b"@a.test`, `"a b"@a.test`},
		{`"a@b"@a.test`, `"a@b"@a.test`, `"a@b"@a.test`},
		{`"a\"b"@a.test`, `"a\"b"@a.test`, `"a\"b"@a.test`},
		{`"a\\"@a.test`, `"a\\"@a.test`, `"a\\"@a.test`},
		{`""@a.test`, `""@a.test`, `""@a.test`},
		{"müller@bücher.test", "müller@xn--bcher-kva.test", "müller@xn--bcher-kva.test"},
		{`"müller"@a.test`, `"müller"@a.test`, "müller@a.test"},
		{"a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]"},
		{"a@[ipv6:2001:DB8::1]", "a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"},
		{long + "@a.test", long + "@a.test", long + "@a.test"},
		{long + long + "@a.test", long + long + "@a.test", long + long + "@a.test"},
		{`"` + long + `"@a.test`, `"` + long + `"@a.test`, long + "@a.test"},
		{"a@-a.b-.test", "a@-a.b-.test", "a@-a.b-.test"},
	} {
		a, err := ParseAddress(tt.in)
		if err != nil || a.String() != tt.wire || a.Canonical() != tt.canonical {
			t.Errorf("%s: wire %s, canonical %s, %v", tt.in, a.String(), a.Canonical(), err)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, in := range []string{
		"", "a", "@a.test", "a@", "a@@a.test", "a@b@a.test", "a b@a.test", " a@a.test", "a@a.test ",
		"<a@a.test>", "a@a test", "a\r\n@a.test", "a\x00b@a.test", "a,b@a.test", "(c)a@a.test", "@x.test:a@a.test", `"a@a.test`, `"a"b@a.test`,
		`"a"`, `"a\`, "\"a\r\nb\"@a.test", "\"a\x7f\"@a.test", "\"a\\\x01\"@a.test", `"a\ü"@a.test`, "a\xff@a.test", `"`, "a@-.test", "a@-a-.test",
		"a@" + strings.Repeat("a.", 127) + "aa",
	} {
		a, err := ParseAddress(in)
		if err == nil || !errors.Is(err, ErrAddress) || !(a == Address{}) {
			t.Errorf("%.40q gives %s, %v", in, a, err)
		}
	}
	if _, err := ParseAddress("a@a..test"); !errors.Is(err, ErrDomain) {
		t.Errorf("a bad domain: %v", err)
	}
}

func TestAddressWithoutDomainOrWithoutAnything(t *testing.T) {
	if a := (Address{}); !a.IsNull() || a.String() != "" || a.Canonical() != "" || !a.IsASCII() {
		t.Error("the zero address is not the null reverse-path")
	}
	a := Address{Local: "Postmaster"}
	if a.IsNull() || a.String() != "Postmaster" || a.Canonical() != "Postmaster" {
		t.Errorf("%q, %q", a.String(), a.Canonical())
	}
	if a := (Address{Local: `"x"`}); a.Canonical() != "x" {
		t.Errorf("%q", a.Canonical())
	}
}

func TestIsASCII(t *testing.T) {
	for in, want := range map[string]bool{"a@bücher.test": true, "ü@a.test": false, `"ü"@a.test`: false} {
		if got := MustAddress(in).IsASCII(); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestAddressAsJSON(t *testing.T) {
	for _, a := range []Address{{}, {Local: "postmaster"}, MustAddress("a@b.test"), MustAddress(`"a @\"b"@b.test`), MustAddress("ü@[192.0.2.1]")} {
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		back := MustAddress("left@over.test")
		if err := json.Unmarshal(b, &back); err != nil || back != a {
			t.Errorf("%s came back as %q, %v", b, back, err)
		}
	}
	for _, bad := range []string{`"a b"`, `"a@"`, `"@b"`, `"a@b c"`, `"a\nb"`} {
		a := MustAddress("old@a.test")
		if err := json.Unmarshal([]byte(bad), &a); err == nil || a.String() != "old@a.test" {
			t.Errorf("%s: %v, left %q", bad, err, a)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a@b.test", `"a \"b"@b.test`, "ü@ü.test", `"\a\b"@[IPv6:::1]`, `""@x`, "a.b.c@d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Fatalf("%q is printed %q, which gives %+v, %v", s, a, again, err)
		}
		if strings.ContainsAny(a.String(), "\r\n\x00") {
			t.Fatalf("%q has control characters", a)
		}
		canonical := a.Canonical()
		c, err := ParseAddress(canonical)
		if err != nil && len(a.Local) < 60 { // quoting may need octets that a long local part has not left
			t.Fatalf("canonical %q of %q: %v", canonical, s, err)
		}
		if err == nil && c.Canonical() != canonical {
			t.Fatalf("canonical %q has canonical %q", canonical, c.Canonical())
		}
	})
}

func TestNotifyWants(t *testing.T) {
	for _, tt := range []struct {
		n                       Notify
		success, failure, delay bool
	}{
		{0, false, true, true},
		{NotifyNever, false, false, false},
		{NotifyNever | NotifyFailure, false, false, false},
		{NotifySuccess, true, false, false},
		{NotifyFailure, false, true, false},
		{NotifyDelay, false, false, true},
		{NotifySuccess | NotifyFailure | NotifyDelay, true, true, true},
	} {
		if s, f, d := tt.n.Wants(NotifySuccess), tt.n.Wants(NotifyFailure), tt.n.Wants(NotifyDelay); s != tt.success || f != tt.failure || d != tt.delay {
			t.Errorf("%b: %v %v %v", tt.n, s, f, d)
		}
	}
}

func TestEnvelopeKeepsItsStoredForm(t *testing.T) {
	e := Envelope{From: MustAddress("a@b.test"), Body: Body8BitMIME, UTF8: true, Ret: ReturnHeaders, EnvID: "x+2By"}
	r := Recipient{Address: MustAddress(`"d r"@clinic.test`), ORCPT: "rfc822;dr@clinic.test", Notify: NotifySuccess | NotifyDelay}
	b, err := json.Marshal([]any{e, r, Envelope{}, Recipient{}})
	const want = `[{"from":"a@b.test","body":"8BITMIME","utf8":true,"ret":"HDRS","envid":"x+2By"},` +
		`{"address":"\"d r\"@clinic.test","orcpt":"rfc822;dr@clinic.test","notify":10},{"from":""},{"address":""}]`
	if err != nil || string(b) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, b, want)
	}
}

func ExampleAddress_Canonical() {
	for _, s := range []string{`"dr\.no"@Clinic.TEST.`, "dr.no@clinic。test", `"dr no"@clinic.test`} {
		fmt.Println(MustAddress(s).Canonical())
	}
	// Output:
	// dr.no@clinic.test
	// dr.no@clinic.test
	// "dr no"@clinic.test
}
