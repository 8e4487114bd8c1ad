package dane_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy/dane"
)

func digest(i int) dns.TLSA {
	data := make([]byte, 32)
	data[0], data[1] = byte(i>>8), byte(i)
	return dns.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: data}
}

func TestRecordsPastTheBoundsProveNothing(t *testing.T) {
	m := &maker{t: t}
	root := m.issuer(node{}, "Root", nil, nil)
	leaf := m.leaf(root, nil, nil)
	in := dane.Input{Chain: nodes(leaf, root), Names: []mail.Domain{host}, Now: now}
	for i := range 1300 { // as many as a DNS message holds
		in.Records = append(in.Records, digest(i))
	}
	set := dane.Sort(in.Records)
	if len(set.Usable) != dane.MaxRecords || len(set.Unusable) != 1300-dane.MaxRecords {
		t.Errorf("%d usable, %d not", len(set.Usable), len(set.Unusable))
	}
	in.Records = append(in.Records, rec(root.Certificate, "2 0 1")) // it matches, and stands behind all of usage 3
	d := dane.Examine(in)
	checkFit(t, d)
	if told(d) != "dane-mismatch" || !strings.Contains(d.Shortfalls[0].Text, "1201 more cannot be used") {
		t.Errorf("%+v", d)
	}
	in.Records = in.Records[1300-dane.MaxRecords+1:]
	if got := told(dane.Examine(in)); got != "dane-ta 2 0 1" {
		t.Errorf("a hundred records: %s", got)
	}

	in.Records = nil
	for range dane.MaxAnchors {
		in.Records = append(in.Records, rec(m.issuer(node{}, "Other", nil, nil).Certificate, "2 0 0"))
	}
	if set := dane.Sort(append(in.Records, rec(root.Certificate, "2 0 0"))); len(set.Usable) != dane.MaxAnchors {
		t.Errorf("%d whole anchors", len(set.Usable))
	}
	if set := dane.Sort(append(in.Records, rec(root.Certificate, "2 0 1"))); len(set.Usable) != dane.MaxAnchors+1 {
		t.Errorf("%d records where one is a digest", len(set.Usable))
	}

	large := m.leaf(root, nil, func(c *x509.Certificate) {
		for i := range 1000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host-number-%d.partner.test", i))
		}
	})
	r := dns.TLSA{Usage: 3, Selector: 0, Matching: 0, Data: large.Raw}
	if set := dane.Sort([]dns.TLSA{r}); len(large.Raw) <= dane.MaxData || len(set.Unusable) != 1 {
		t.Errorf("a record of %d octets: %v", len(large.Raw), set)
	}
	if _, err := dane.Of(large.Certificate, 3, 0, 0); err == nil {
		t.Error("a record is published that nobody would use")
	}
}

// costlyKey is the RSA key that costs most to compute with among those that certcheck allows.
func costlyKey(t *testing.T) *rsa.PublicKey {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 8190))
	if err != nil {
		t.Fatal(err)
	}
	return &rsa.PublicKey{N: n.SetBit(n, 8191, 1).SetBit(n, 0, 1), E: 1<<31 - 1}
}

func TestHostileChainsCostLittle(t *testing.T) {
	m := &maker{t: t}
	root := m.issuer(node{}, "Root", nil, nil)
	leaf := m.leaf(root, nil, nil)
	with := func(name string, key *rsa.PublicKey) *x509.Certificate { // a CA with this key, signed by the root
		template := &x509.Certificate{SerialNumber: big.NewInt(9), NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true}
		template.Subject.CommonName = name
		der, err := x509.CreateCertificate(rand.Reader, template, root.Certificate, key, root.key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		c.RawIssuer = c.RawSubject // so that each may have issued each
		c.SignatureAlgorithm = x509.SHA256WithRSA
		return c
	}
	forged := *leaf.Certificate
	forged.SignatureAlgorithm = x509.SHA256WithRSA
	huge := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16383), E: 65537}
	huge.N.SetBit(huge.N, 0, 1)
	var costly, large certs
	var records, hugeRecords []dns.TLSA
	for range 15 {
		costly = append(costly, with("big", costlyKey(t)))
		forged.RawIssuer = costly[0].RawSubject
	}
	for i := range dane.MaxAnchors {
		numbers := "2 0 0"
		if i%2 == 0 {
			numbers = "2 1 0"
		}
		records = append(records, rec(with("big", costlyKey(t)), numbers))
	}
	for _, c := range costly {
		records = append(records, rec(c, "2 1 1"), rec(c, "2 0 1"))
	}
	bigAnchor := with("big", huge)
	hugeRecords = append(hugeRecords, rec(bigAnchor, "2 0 0"), rec(bigAnchor, "2 1 0"))
	var stairs certs // each large key is a step taken by name alone, and from each a way to an anchor is looked for
	var stairsRecords []dns.TLSA
	names := certs{with("big", huge), with("bigger", huge)}
	for i := range 15 {
		key := costlyKey(t)
		if i < 8 {
			key = &rsa.PublicKey{N: new(big.Int).SetBit(huge.N, i+1, 1), E: 65537}
		}
		c := with("big", key)
		c.RawSubject, c.RawIssuer = names[i%2].RawSubject, names[(i+1)%2].RawSubject
		stairs = append(stairs, c)
	}
	for range dane.MaxAnchors {
		stairsRecords = append(stairsRecords, rec(with("big", costlyKey(t)), "2 1 0"))
	}
	for range 20 {
		large = append(large, leaf.Certificate)
	}
	for _, c := range []struct {
		name    string
		chain   certs
		records []dns.TLSA
		want    string
	}{
		{"costly keys", append(certs{&forged}, costly...), records, "dane-mismatch"},
		{"costly keys and large ones in turn", append(certs{&forged}, stairs...), stairsRecords, "dane-mismatch"},
		{"a key of 16,384 bits, sent", certs{&forged, bigAnchor}, hugeRecords, "cert-weak"},
		{"a key of 16,384 bits, not sent", certs{&forged}, hugeRecords, "cert-weak"},
		{"too many certificates, usage 2", append(large, root.Certificate), recs(root, "2 0 1"), "dane-mismatch"},
		{"too many certificates, usage 3", large, recs(leaf, "3 1 1"), "dane-ee 3 1 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := cpuTime(t)
			d := dane.Examine(dane.Input{Chain: c.chain, Records: c.records, Names: []mail.Domain{host}, Now: now})
			took := cpuTime(t) - start
			checkFit(t, d)
			if got := told(d); got != c.want {
				t.Errorf("got %s, want %s: %v", got, c.want, d.Shortfalls)
			}
			if took > 2*time.Second {
				t.Errorf("took %s", took)
			}
			t.Logf("%s: %v", took, d.Shortfalls)
		})
	}
}

// cpuTime is what this process has used, so that a busy machine does not count.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestTextsAreEscaped(t *testing.T) {
	ca := pki.New(now, "evil\x1b[31m\r\n\u202e CA")
	made := ca.Issue(pki.Options{Names: []string{"a\x00\r\n\x1b.test"}, CN: "x\r\n", SendRoot: true, NotAfter: now.Add(-time.Hour)})
	d := dane.Examine(dane.Input{Chain: made.Chain, Records: []dns.TLSA{rec(ca.Root(), "2 0 1")}, Names: []mail.Domain{host}, Now: now})
	checkFit(t, d)
	if got := told(d); got != "cert-expired cert-name-mismatch" {
		t.Error(got)
	}
}

func FuzzSort(f *testing.F) {
	m := &maker{t: &testing.T{}}
	root := m.issuer(node{}, "Root", nil, nil)
	for _, numbers := range []string{"2 0 0", "3 1 0", "2 1 0", "3 1 1", "3 0 2", "1 1 1"} {
		r := rec(root.Certificate, numbers)
		f.Add(r.Usage, r.Selector, r.Matching, r.Data)
		f.Add(r.Usage, r.Selector, r.Matching, r.Data[:len(r.Data)/2])
	}
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		r := dns.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data}
		set := dane.Sort([]dns.TLSA{r, r})
		if len(set.Usable)+len(set.Unusable) != 1 {
			t.Fatalf("%d usable, %d not", len(set.Usable), len(set.Unusable))
		}
		for _, u := range set.Unusable {
			if u.Why == "" || len(u.Why) > 200 || !slices.Equal(u.Record.Data, data) {
				t.Errorf("%q of %s", u.Why, dane.Format(u.Record))
			}
		}
		if len(set.Usable) == 1 && (usage < 2 || usage > 3 || selector > 1 || matching > 2 || len(data) == 0) {
			t.Errorf("%s cannot be usable", dane.Format(r))
		}
	})
}

func FuzzExamine(f *testing.F) {
	ca := pki.New(now, "Test CA")
	for _, o := range []pki.Options{
		{}, {SelfSigned: true}, {OmitIntermediates: true}, {Intermediates: []pki.Intermediate{{NotCA: true}}}, {CriticalUnknown: true},
	} {
		made := issue(ca, o)
		above := made.Chain[len(made.Chain)-1]
		for _, r := range []dns.TLSA{rec(made.Leaf, "3 1 1"), rec(above, "2 1 1"), rec(ca.Root(), "2 0 0"), rec(ca.Intermediate(), "2 1 0")} {
			f.Add(made.Leaf.Raw, above.Raw, r.Usage, r.Selector, r.Matching, r.Data)
		}
	}
	f.Fuzz(func(t *testing.T, leaf, above []byte, usage, selector, matching uint8, data []byte) {
		r := dns.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data}
		in := dane.Input{Records: []dns.TLSA{r}, Names: []mail.Domain{host}, Now: now}
		for _, der := range [][]byte{leaf, above} {
			if c, err := x509.ParseCertificate(der); err == nil {
				in.Chain = append(in.Chain, c)
			}
		}
		d := dane.Examine(in)
		checkFit(t, d)
		if d.By == "dane-ta" {
			checkTrustAnchor(t, in, r)
		}
		if d.By == "dane-ee" {
			if own, err := dane.Of(in.Chain[0], usage, selector, matching); err != nil || !slices.Equal(own.Data, data) {
				t.Errorf("proven by another's record: %v", err)
			}
		}
	})
}

// checkTrustAnchor asks crypto/x509 once more, with the anchor as the only root. It knows no bare keys.
func checkTrustAnchor(t *testing.T, in dane.Input, r dns.TLSA) {
	t.Helper()
	if r.Selector == 1 && r.Matching == 0 {
		return
	}
	roots, above := x509.NewCertPool(), x509.NewCertPool()
	if c, err := x509.ParseCertificate(r.Data); err == nil && r.Matching == 0 {
		roots.AddCert(c)
	}
	for _, c := range in.Chain[1:] {
		above.AddCert(c)
		if own, err := dane.Of(c, r.Usage, r.Selector, r.Matching); err == nil && slices.Equal(own.Data, r.Data) {
			roots.AddCert(c)
		}
	}
	if _, err := in.Chain[0].Verify(x509.VerifyOptions{DNSName: host.String(), Roots: roots, Intermediates: above, CurrentTime: now}); err != nil {
		t.Errorf("proven here and not in crypto/x509: %v", err)
	}
}
