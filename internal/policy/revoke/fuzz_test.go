package revoke

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"postern/internal/lab/pki"
)

// fuzzWorld is a CA with one certificate, and a question about it.
func fuzzWorld() (*pki.CA, *question) {
	now := time.Now()
	ca := pki.New(now, "Fuzz CA")
	chain := ca.Issue(pki.Options{Names: []string{"mx.test"}, CRLs: []string{"http://ca.test/x.crl"}}).Chain
	return ca, &question{cert: chain[0], issuer: chain[1], leaf: true, now: now}
}

func FuzzReadCRL(f *testing.F) {
	ca, q := fuzzWorld()
	for _, o := range []pki.CRL{{}, {Revoked: []*x509.Certificate{q.cert}, Reason: 1}, {Delta: true}, {Indirect: true, Points: []string{"x"}},
		{SomeReasons: true}, {Strangers: 3, CriticalEntry: true}, {Signer: pki.ByStranger}} {
		f.Add(ca.CRL(o))
	}
	f.Add([]byte("-----BEGIN X509 CRL-----\nMA==\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, der []byte) {
		list, err := readCRL(unarmoured(der), q.issuer)
		if err != nil {
			return
		}
		// Whatever is accepted carries the issuer's signature, and the library must read the same from it.
		full, err := x509.ParseRevocationList(unarmoured(der))
		if err != nil || full.CheckSignatureFrom(q.issuer) != nil {
			t.Fatalf("accepted what the library refuses: %v", err)
		}
		for _, e := range full.RevokedCertificateEntries {
			if h, err := list.find(e.SerialNumber); h == nil || err != nil {
				t.Fatalf("%v is listed and not found: %v", e.SerialNumber, err)
			}
		}
	})
}

// What stands before the signature check must not fail on anything.
func FuzzTakeApart(f *testing.F) {
	ca, q := fuzzWorld()
	f.Add(ca.CRL(pki.CRL{Revoked: []*x509.Certificate{q.cert}, Points: []string{"http://x/"}}))
	f.Fuzz(func(t *testing.T, der []byte) {
		_, skeleton, entries, err := takeApart(der)
		if err != nil {
			return
		}
		if len(skeleton) > len(der)+16 {
			t.Fatalf("%d bytes made %d", len(der), len(skeleton))
		}
		_, _ = (&crl{entries: entries}).find(big.NewInt(7))
		var s scope
		s.readPoint(der)
	})
}

func FuzzJudge(f *testing.F) {
	ca, q := fuzzWorld()
	for _, o := range []pki.Answer{{}, {Status: ocsp.Revoked}, {Delegate: pki.Appointed}, {Delegate: pki.Usurper}, {SendIssuer: true}, {Endless: true}} {
		o.Cert = q.cert
		f.Add(ca.Answer(o))
	}
	f.Add(ocsp.TryLaterErrorResponse)
	f.Fuzz(func(t *testing.T, der []byte) {
		v, err := judge(der, q)
		if err == nil && (v.this.After(q.now.Add(skew)) || v.next.Before(q.now.Add(-skew))) {
			t.Fatalf("counts at the wrong time: %+v", v)
		}
	})
}

func FuzzPoints(f *testing.F) {
	_, q := fuzzWorld()
	f.Add(extension(q.cert, 2, 5, 29, 31))
	for _, p := range []pki.Point{{URL: "http://x/", SomeReasons: true}, {URL: "http://x/", CRLIssuer: q.issuer.RawSubject}} {
		f.Add(pki.PointsExtension(p, p).Value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		cert := *q.cert
		cert.Extensions = append([]pkix.Extension{}, pkix.Extension{Id: []int{2, 5, 29, 31}, Value: value})
		ask := *q
		ask.cert = &cert
		out, _ := ask.points()
		if len(out) > maxAddresses {
			t.Fatalf("%d points", len(out))
		}
		for _, p := range out {
			if !isHTTP(p.url) {
				t.Fatalf("%q", p.url)
			}
		}
	})
}
