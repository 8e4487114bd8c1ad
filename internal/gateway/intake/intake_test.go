package intake_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/inforce"
	"postern/internal/gateway/intake"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

func TestAClientCertificateIsVerifiedWithoutLookingAtItsUsage(t *testing.T) {
	now := time.Now()
	ca := pki.New(now, "Ours")
	pool := ca.Pool()
	verify := intake.VerifyClient(func() *x509.CertPool { return pool })
	names := []string{"client.test"}
	for _, tc := range []struct {
		name string
		cert *pki.Certificate
		want bool
	}{
		{"ordinary", ca.Issue(pki.Options{Names: names}), true},
		{"serverAuth only", ca.Issue(pki.Options{Names: names, EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), true},
		{"no usage at all", ca.Issue(pki.Options{Names: names, EKU: []x509.ExtKeyUsage{}}), true},
		{"expired", ca.Issue(pki.Options{Names: names, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}), false},
		{"not yet valid", ca.Issue(pki.Options{Names: names, NotBefore: now.Add(time.Hour)}), false},
		{"another CA", pki.New(now, "Theirs").Issue(pki.Options{Names: names}), false},
		{"self-signed", ca.Issue(pki.Options{Names: names, SelfSigned: true}), false},
		{"intermediate missing", ca.Issue(pki.Options{Names: names, OmitIntermediates: true}), false},
		{"RSA 1024", ca.Issue(pki.Options{Names: names, Key: pki.RSA1024}), false},
	} {
		var chain []*x509.Certificate
		for _, der := range tc.cert.TLS.Certificate {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			chain = append(chain, c)
		}
		if got := verify(chain); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	if verify(nil) {
		t.Error("no certificate was verified")
	}
	pool = nil
	if c := ca.Issue(pki.Options{Names: names}); verify([]*x509.Certificate{c.TLS.Leaf}) {
		t.Error("verified without roots")
	}
}

func TestAnIntakeWithoutItsRoomsIsRefused(t *testing.T) {
	ok := intake.Config{
		Hostname: mail.MustDomain("gw.test"), Store: memstore.New(),
		InForce: func() *inforce.View { return nil },
	}
	for name, change := range map[string]func(*intake.Config){
		"hostname": func(c *intake.Config) { c.Hostname = mail.Domain{} },
		"store":    func(c *intake.Config) { c.Store = nil },
		"in force": func(c *intake.Config) { c.InForce = nil },
	} {
		cfg := ok
		change(&cfg)
		if _, err := intake.New(cfg); err == nil {
			t.Errorf("without %s", name)
		}
	}
	if _, err := intake.New(ok); err != nil {
		t.Error(err)
	}
}

// TestContentIsStoredByteForByte sends odd content in odd pieces and compares what is stored behind the stamp.
func TestContentIsStoredByteForByte(t *testing.T) {
	for i, content := range []string{
		"", "\r\n", "\r\n\r\n", "body without header\r\n", "A: 1\r\n\r\nbody\r\n.\r\n..\r\n", "A: 1\r\n b\r\n\tc\r\nno colon\r\n: x\r\n\r\n",
		"A: \xff\xfe\r\n\r\n\xff\r\n", ".\r\n", "A: 1\r\n\r\n" + strings.Repeat(strings.Repeat("long ", 4000)+"\r\n", 5),
		strings.Repeat("A: 1\r\n", 3000) + "\r\n" + strings.Repeat("x\r\n", 30000),
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "", "")
			nc := w.dial("198.51.100.7")
			io.WriteString(nc, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
			wire := strings.ReplaceAll("\r\n"+content, "\r\n.", "\r\n..")[2:] + ".\r\nQUIT\r\n"
			for len(wire) > 0 {
				n := min(len(wire), 1+i*1001)
				io.WriteString(nc, wire[:n])
				wire = wire[n:]
				synctest.Wait()
			}
			io.ReadAll(nc)
			nc.Close()
			w.close()
			if got := stored(t, w); !strings.HasPrefix(got, "Received: ") || !strings.HasSuffix(got, "+0000\r\n"+content) {
				t.Errorf("content %.60q: stored %.300q", content, got)
			}
		})
	}
}

func stored(t *testing.T, w *world) string {
	for r, err := range w.store.List(context.Background(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := w.store.Open(context.Background(), r.Message.ID)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(body)
		header, rest, _ := strings.Cut(string(b), "\r\n\r\n")
		if want := len(header) + 4; rest != "" && r.Message.HeaderSize != want {
			t.Errorf("HeaderSize is %d, want %d", r.Message.HeaderSize, want)
		}
		return string(b)
	}
	return fmt.Sprint("nothing; ", w.events)
}
