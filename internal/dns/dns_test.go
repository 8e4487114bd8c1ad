package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"postern/internal/mail"
)

func TestAddressesErrSaysWhyThereIsNone(t *testing.T) {
	ip := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	fault := func(k Kind) error { return &Error{Kind: k, Name: mail.MustDomain("a.test"), Type: "A"} }
	for _, c := range []struct {
		name   string
		v4, v6 Family
		want   Kind
	}{
		{"both empty", Family{}, Family{}, 0},
		{"one has addresses, the other failed", Family{Addrs: ip}, Family{Err: fault(ServFail)}, 0},
		{"one empty, the other failed", Family{}, Family{Err: fault(Timeout)}, Timeout},
		{"one does not exist, the other failed", Family{Err: fault(NXDomain)}, Family{Err: fault(Bogus)}, Bogus},
		{"neither exists", Family{Err: fault(NXDomain)}, Family{Err: fault(NXDomain)}, NXDomain},
		{"the servers contradict themselves", Family{Err: fault(NXDomain)}, Family{}, 0},
	} {
		if got := KindOf(Addresses{c.v4, c.v6}.Err()); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAllListsBothFamilies(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	got := Addresses{V4: Family{Addrs: []netip.Addr{v4}}, V6: Family{Addrs: []netip.Addr{v6}}}.All()
	if len(got) != 2 || got[0] != v6 || got[1] != v4 {
		t.Fatalf("All = %v", got)
	}
}

func TestErrorIsASentenceAndOnlyNXDomainIsFinal(t *testing.T) {
	for k := NXDomain; k <= Malformed; k++ {
		e := &Error{Kind: k, Name: mail.MustDomain("a.test"), Type: "MX", Server: "192.0.2.53:53", Err: errors.New("hostile")}
		if e.Temporary() != (k != NXDomain) {
			t.Errorf("%v: Temporary = %v", k, e.Temporary())
		}
		if k.String() == Kind(0).String() {
			t.Errorf("kind %d has no text", k)
		}
		if KindOf(fmt.Errorf("wrapped: %w", e)) != k {
			t.Errorf("%v is lost when wrapped", k)
		}
	}
	e := &Error{Kind: ServFail, Name: mail.MustDomain("a.test"), Type: "MX", Server: "192.0.2.53:53"}
	if got, want := e.Error(), "DNS MX of a.test: the DNS servers could not find out (SERVFAIL) (asked 192.0.2.53:53)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if KindOf(errors.New("something else")) != ServFail {
		t.Error("an unknown error must count as temporary")
	}
}

func TestOnlyTheRootIsANullMX(t *testing.T) {
	for text, want := range map[string]bool{".": true, "": false, "mx.test": false, `a\.b.test`: false} {
		if (MX{Text: text}).Null() != want {
			t.Errorf("%q: Null = %v", text, !want)
		}
	}
}
