package dane_test

import (
	"strings"
	"testing"

	"postern/internal/dns"
	"postern/internal/policy/dane"
)

func TestFormatAndOf(t *testing.T) {
	m := &maker{t: t}
	leaf := m.leaf(node{}, nil, nil)
	for _, numbers := range []string{"2 0 0", "2 0 1", "2 0 2", "2 1 0", "2 1 1", "2 1 2", "3 0 0", "3 0 1", "3 0 2", "3 1 0", "3 1 1", "3 1 2"} {
		r := rec(leaf.Certificate, numbers)
		if text := dane.Format(r); !strings.HasPrefix(text, numbers+" ") || len(text) != len("3 1 1 ")+2*len(r.Data) || strings.ToLower(text) != text {
			t.Errorf("%s is written %s", numbers, text)
		}
		if set := dane.Sort([]dns.TLSA{r}); len(set.Usable) != 1 {
			t.Errorf("%s is published and cannot be used: %v", numbers, set.Unusable)
		}
		r.Data[0] ^= 1
		if again := rec(leaf.Certificate, numbers); again.Data[0] == r.Data[0] {
			t.Errorf("%s: a record shares the octets of the certificate", numbers)
		}
	}
	if got := dane.Format(dns.TLSA{Usage: 255, Selector: 7, Matching: 9, Data: []byte{0xab, 0x01}}); got != "255 7 9 ab01" {
		t.Error(got)
	}
	for _, n := range [][3]uint8{{0, 1, 1}, {1, 1, 1}, {4, 1, 1}, {3, 2, 1}, {3, 1, 3}} {
		if r, err := dane.Of(leaf.Certificate, n[0], n[1], n[2]); err == nil || len(r.Data) > 0 {
			t.Errorf("%v is published", n)
		}
	}
	if _, err := dane.Of(nil, 3, 1, 1); err == nil {
		t.Error("a record of no certificate")
	}
}

func TestSortHasOneOrderAndOneOfEach(t *testing.T) {
	m := &maker{t: t}
	c := m.leaf(node{}, nil, nil).Certificate
	a, b, sha512, anchor := rec(c, "3 1 1"), rec(c, "3 0 1"), rec(c, "3 1 2"), rec(c, "2 1 1")
	bad := cut(a, 3)
	set := dane.Sort([]dns.TLSA{anchor, bad, a, b, sha512, a, bad, anchor})
	var got []string
	for _, r := range set.Usable {
		got = append(got, dane.Format(r)[:5])
	}
	if strings.Join(got, ", ") != "3 1 2, 3 1 1, 3 0 1, 2 1 1" || len(set.Unusable) != 1 || len(set.Unusable[0].Record.Data) != 3 {
		t.Errorf("%v, %v", got, set.Unusable)
	}
	if got := dane.Sort(nil); got.Usable != nil || got.Unusable != nil {
		t.Errorf("of nothing: %v", got)
	}
}

func TestTextsNameTheMistake(t *testing.T) {
	m := &maker{t: t}
	root := m.issuer(node{}, "Root", nil, nil)
	leaf := m.leaf(root, nil, nil)
	own, issuer := rec(leaf.Certificate, "3 1 1"), rec(root.Certificate, "2 1 1")
	in := situation{chain: nodes(leaf, root)}
	for _, c := range []struct {
		records []dns.TLSA
		want    []string
	}{
		{[]dns.TLSA{spoilt(own)}, []string{dane.Format(own), dane.Format(spoilt(own))}},
		{[]dns.TLSA{spoilt(issuer)}, []string{"server has " + dane.Format(issuer), "must be among the certificates the server sends"}},
		{[]dns.TLSA{set(own, 3, 0, 1)}, []string{"should be published as 3 1 1"}},
		{[]dns.TLSA{set(own, 2, 1, 1)}, []string{"should be published as 3 1 1"}},
		{[]dns.TLSA{set(issuer, 3, 1, 1)}, []string{"should be published as 2 1 1"}},
		{[]dns.TLSA{own, spoilt(rec(leaf.Certificate, "3 1 2"))}, []string{dane.Format(own) + " does match", "RFC 7671 §9"}},
		{[]dns.TLSA{spoilt(own), cut(own, 20)}, []string{"1 more cannot be used (a SHA-256 digest has 32 octets, and this one has 20)"}},
		{[]dns.TLSA{cut(own, 20)}, []string{"none of the TLSA records can be used", "this one has 20"}},
		{nil, []string{"there are no TLSA records"}},
	} {
		in.records = c.records
		d := dane.Examine(in.input())
		for _, want := range c.want {
			if len(d.Shortfalls) != 1 || !strings.Contains(d.Shortfalls[0].Text, want) {
				t.Errorf("%q is not in %v", want, d.Shortfalls)
			}
		}
	}
}
