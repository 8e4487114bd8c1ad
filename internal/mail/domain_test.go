package mail

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseDomainKnowsOneSpelling(t *testing.T) {
	long := strings.Repeat("a", 63)
	for in, want := range map[string]string{
		"example.com":                   "example.com",
		"EXAMPLE.Com":                   "example.com",
		"example.com.":                  "example.com",
		"example.com。":                  "example.com",
		"example。com":                   "example.com",
		"example．com｡":                  "example.com",
		"localhost":                     "localhost",
		"bücher.test":                   "xn--bcher-kva.test",
		"BÜCHER.test":                   "xn--bcher-kva.test",
		"bu\u0308cher.test":             "xn--bcher-kva.test",
		"XN--BCHER-KVA.test":            "xn--bcher-kva.test",
		"faß.test":                      "xn--fa-hia.test",
		"ｅｘａｍｐｌｅ.com":                   "example.com",
		"ex\u00adample.com":             "example.com", // soft hyphen
		"\u212Aim.test":                 "kim.test",    // Kelvin sign
		"_smtp.mx_1.test":               "_smtp.mx_1.test",
		"1.2.3.4":                       "1.2.3.4",
		"a--b.test":                     "a--b.test",
		long + ".test":                  long + ".test",
		strings.Repeat("a.", 126) + "a": strings.Repeat("a.", 126) + "a", // 253 octets
		"[192.0.2.1]":                   "[192.0.2.1]",
		"[IPv6:2001:DB8:0:0::1]":        "[IPv6:2001:db8::1]",
		"[ipv6:2001:db8::1]":            "[IPv6:2001:db8::1]",
		"[IPv6:::ffff:192.0.2.1]":       "[192.0.2.1]",
	} {
		d, err := ParseDomain(in)
		if err != nil || d.String() != want {
			t.Errorf("%q gives %q, %v; want %q", in, d, err, want)
		}
		if again, err := ParseDomain(d.String()); err != nil || again != d {
			t.Errorf("%q is not a fixed point: %q, %v", d, again, err)
		}
	}
}

func TestParseDomainRefuses(t *testing.T) {
	for _, in := range []string{
		"", ".", "。", "..", ".test", "a..test", "a.test..", "-.test", "a.--.test", "a b.test", "a\n.test", "a.test\r\n", "a@b.test",
		"*.test", "a,b.test", "a/b", "xn--.test", "ü..test", "ü-.test", "a⒈test", "a\u2024ü.test", "ü\u200d.test", "\xff.test", "a\x00.test",
		strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 127) + "a", strings.Repeat("ü", 60) + ".test", strings.Repeat("ü", 100_000),
		"[", "[]", "[192.0.2.1", "192.0.2.1]", "[192.0.2]", "[01.2.3.4]", "[192.0.2.1.5]", "[::1]", "[IPv6:192.0.2.1]", "[IPv6:]",
		"[IPv6:fe80::1%eth0]", "[x:y]", "[192.0.2.1] ",
	} {
		d, err := ParseDomain(in)
		if err == nil || !errors.Is(err, ErrDomain) || !d.IsZero() {
			t.Errorf("%.40q gives %q, %v", in, d, err)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("the error about %.40q has %d octets", in, len(err.Error()))
		}
	}
}

func TestDomainLiteral(t *testing.T) {
	for in, want := range map[string]netip.Addr{
		"[192.0.2.1]":        netip.MustParseAddr("192.0.2.1"),
		"[IPv6:2001:db8::1]": netip.MustParseAddr("2001:db8::1"),
		"192.0.2.1":          {},
		"example.com":        {},
	} {
		if ip, ok := MustDomain(in).Literal(); ip != want || ok != want.IsValid() {
			t.Errorf("%q: %v, %v", in, ip, ok)
		}
	}
	if _, ok := (Domain{}).Literal(); ok {
		t.Error("no domain is a literal")
	}
}

func TestDomainBelow(t *testing.T) {
	for _, tt := range []struct {
		d, parent string
		want      bool
	}{
		{"a.b.test", "b.test", true},
		{"a.b.test", "test", true},
		{"b.test", "b.test", false},
		{"ab.test", "b.test", false},
		{"b.test", "a.b.test", false},
	} {
		if got := MustDomain(tt.d).Below(MustDomain(tt.parent)); got != tt.want {
			t.Errorf("%s below %s: %v", tt.d, tt.parent, got)
		}
	}
	if MustDomain("a.test").Below(Domain{}) {
		t.Error("below no domain")
	}
}

func TestDomainUnicode(t *testing.T) {
	for in, want := range map[string]string{"xn--bcher-kva.test": "bücher.test", "a.test": "a.test", "xn--a.test": "xn--a.test", "a_b.test": "a_b.test"} {
		if got := MustDomain(in).Unicode(); got != want {
			t.Errorf("%s is shown as %s", in, got)
		}
	}
}

func TestDomainAsJSON(t *testing.T) {
	type holder struct{ D Domain }
	b, err := json.Marshal(holder{MustDomain("Bücher.test")})
	if err != nil || string(b) != `{"D":"xn--bcher-kva.test"}` {
		t.Errorf("%s, %v", b, err)
	}
	h := holder{MustDomain("old.test")}
	if err := json.Unmarshal([]byte(`{"D":"a b"}`), &h); err == nil || h.D.String() != "old.test" {
		t.Errorf("a bad domain: %v, left %q", err, h.D)
	}
	if err := json.Unmarshal([]byte(`{"D":""}`), &h); err != nil || !h.D.IsZero() {
		t.Errorf("no domain: %v, left %q", err, h.D)
	}
}

func FuzzParseDomain(f *testing.F) {
	for _, s := range []string{"example.com", "Bücher。test.", "xn--bcher-kva.test", "[IPv6:::1]", "[1.2.3.4]", "a_b", "faß.İ", "\u2024", "a.\u00ad.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDomain(s)
		if err != nil {
			return
		}
		name := d.String()
		if name == "" || len(name) > 253 || strings.ToLower(name) != name && !strings.HasPrefix(name, "[IPv6:") || !isASCII(name) || strings.ContainsAny(name, " \r\n\x00@<>") {
			t.Fatalf("%q gives %q", s, name)
		}
		if again, err := ParseDomain(name); err != nil || again != d {
			t.Fatalf("%q gives %q, which gives %q, %v", s, name, again, err)
		}
		if upper, err := ParseDomain(strings.ToUpper(name)); err != nil || upper != d {
			t.Fatalf("%q in upper case gives %q, %v", name, upper, err)
		}
		if shown, err := ParseDomain(d.Unicode()); err != nil || shown != d {
			t.Fatalf("%q is shown as %q, which gives %q, %v", name, d.Unicode(), shown, err)
		}
	})
}
