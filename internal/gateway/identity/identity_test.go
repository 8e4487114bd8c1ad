package identity_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/identity"
	"postern/internal/lab/pki"
)

func write(t *testing.T, dir, name string, c *pki.Certificate) identity.File {
	t.Helper()
	f := identity.File{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key")}
	if err := os.WriteFile(f.Cert, c.CertPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Key, c.KeyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func hello(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.X25519},
		SupportedPoints: []uint8{0}}
}

func nameOf(t *testing.T, c *identity.Certificates, asked string) string {
	t.Helper()
	cert, err := c.Get(hello(asked))
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.DNSNames[0]
}

func TestTheNameAskedForChoosesTheCertificate(t *testing.T) {
	ca, dir := pki.New(time.Now(), "CA"), t.TempDir()
	a := write(t, dir, "a", ca.Issue(pki.Options{Names: []string{"a.test"}}))
	b := write(t, dir, "b", ca.Issue(pki.Options{Names: []string{"b.test"}}))
	certs, err := identity.Load([]identity.File{a, b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{"a.test": "a.test", "b.test": "b.test", "": "a.test", "unknown.test": "a.test"} {
		if got := nameOf(t, certs, asked); got != want {
			t.Errorf("asked for %q the client gets %q, want %q", asked, got, want)
		}
	}
}

func TestAChangedFileIsReadAgainAndABrokenOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, dir := pki.New(time.Now(), "CA"), t.TempDir()
		f := write(t, dir, "x", ca.Issue(pki.Options{Names: []string{"old.test"}}))
		var notices []identity.Notice
		certs, err := identity.Load([]identity.File{f}, func(n identity.Notice) { notices = append(notices, n) })
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "x", ca.Issue(pki.Options{Names: []string{"renewed.test"}}))
		time.Sleep(2 * time.Second)
		if got := nameOf(t, certs, ""); got != "renewed.test" {
			t.Errorf("after the renewal the client gets %q", got)
		}
		if err := os.WriteFile(f.Cert, []byte("cut off"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := nameOf(t, certs, ""); got != "renewed.test" {
			t.Errorf("with a broken file the client gets %q", got)
		}
		if len(notices) != 2 || notices[0].Err != nil || notices[1].Err == nil {
			t.Errorf("notices: %+v", notices)
		}
	})
}

// A renewal may keep the time, the size, the name and the place of its files. What is asked for is read at once.
func TestTheContentDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, dir := pki.New(time.Now(), "CA"), t.TempDir()
		put := func(name string) identity.File {
			c := *ca.Issue(pki.Options{Names: []string{name}})
			for _, pem := range []*[]byte{&c.CertPEM, &c.KeyPEM} {
				*pem = append(bytes.Repeat([]byte("\n"), 4096-len(*pem)), *pem...)
			}
			f := write(t, dir, "x", &c)
			for _, file := range []string{f.Cert, f.Key} {
				if err := os.Chtimes(file, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
					t.Fatal(err)
				}
			}
			return f
		}
		certs, err := identity.Load([]identity.File{put("old.test")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		put("second.test")
		time.Sleep(2 * time.Second)
		if got := nameOf(t, certs, ""); got != "second.test" {
			t.Errorf("after a renewal the client gets %q", got)
		}
		put("third.test")
		if certs.Reread(); nameOf(t, certs, "") != "third.test" {
			t.Errorf("when it was asked for the client gets %q", nameOf(t, certs, ""))
		}
	})
}

// A file may become readable without changing its size or time: its rights were repaired, file descriptors are free
// again.
func TestAFileThatCouldNotBeReadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, dir := pki.New(time.Now(), "CA"), t.TempDir()
		f := write(t, dir, "x", ca.Issue(pki.Options{Names: []string{"old.test"}}))
		var notices []identity.Notice
		certs, err := identity.Load([]identity.File{f}, func(n identity.Notice) { notices = append(notices, n) })
		if err != nil {
			t.Fatal(err)
		}
		renewed := ca.Issue(pki.Options{Names: []string{"renewed.test"}})
		write(t, dir, "x", renewed)
		for _, content := range [][]byte{bytes.Repeat([]byte("x"), len(renewed.CertPEM)), renewed.CertPEM} {
			if err := errors.Join(os.WriteFile(f.Cert, content, 0o600), os.Chtimes(f.Cert, time.Now(), time.Unix(1e9, 0))); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				time.Sleep(2 * time.Second)
				nameOf(t, certs, "")
			}
		}
		if got := nameOf(t, certs, ""); got != "renewed.test" {
			t.Errorf("after the repair the client gets %q", got)
		}
		if len(notices) != 2 || notices[0].Err == nil || notices[1].Err != nil {
			t.Errorf("notices: %+v, want one of the fault and one of the repair", notices)
		}
	})
}

func TestAMissingFileIsAnErrorAtStart(t *testing.T) {
	if _, err := identity.Load([]identity.File{{Cert: "/nowhere.pem", Key: "/nowhere.key"}}, nil); err == nil {
		t.Error("Load accepted files that do not exist")
	}
}

func TestAKeyThatEveryoneCanReadIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, dir := pki.New(time.Now(), "CA"), t.TempDir()
		f := write(t, dir, "x", ca.Issue(pki.Options{Names: []string{"old.test"}}))
		var told []error
		certs, err := identity.Load([]identity.File{f}, func(n identity.Notice) { told = append(told, n.Err) })
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "x", ca.Issue(pki.Options{Names: []string{"open.test"}}))
		if err := os.Chmod(f.Key, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Load([]identity.File{f}, nil); err == nil {
			t.Error("it is taken at the start")
		}
		time.Sleep(2 * time.Second)
		if got := nameOf(t, certs, ""); got != "old.test" {
			t.Errorf("after a renewal with an open key the client gets %q", got)
		}
		if len(told) != 1 || told[0] == nil {
			t.Errorf("told %v", told)
		}
		if err := os.Chmod(f.Key, 0o640); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := nameOf(t, certs, ""); got != "open.test" {
			t.Errorf("once it is the group's only, the client gets %q", got)
		}
	})
}

// A chain that is read in part would be sent in part, and fail at partners who cannot find the rest.
func TestAChainIsReadWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	leaf := pki.New(time.Now(), "CA").Issue(pki.Options{Names: []string{"mx.test"}})
	f := write(t, dir, "x", leaf)
	whole, err := identity.Read(f)
	if err != nil || len(whole.Certificate) != strings.Count(string(leaf.CertPEM), "-----BEGIN") {
		t.Fatalf("%d certificates, %v", len(whole.Certificate), err)
	}
	lines := strings.Count(string(leaf.CertPEM), "\n")
	damaged := string(leaf.CertPEM) + "-----BEGIN CERTIFICATE-----\nMI?B\n-----END CERTIFICATE-----\n"
	if err := os.WriteFile(f.Cert, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Read(f); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("line %d", lines+2)) {
		t.Errorf("%v, want line %d", err, lines+2)
	}
	if err := os.WriteFile(f.Cert, append(leaf.KeyPEM, leaf.CertPEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Read(f); err != nil {
		t.Errorf("with its key in one file: %v", err)
	}
}

// renewed is a certificate that somebody renews.
type renewed struct{ now *tls.Certificate }

func (r *renewed) Certificate() *tls.Certificate { return r.now }

func TestACertificateWithoutAFileIsChosenByItsName(t *testing.T) {
	ca, dir := pki.New(time.Now(), "CA"), t.TempDir()
	issue := func(name string) *tls.Certificate { c := ca.Issue(pki.Options{Names: []string{name}}).TLS; return &c }
	source := &renewed{issue("gw.test")}
	for what, c := range map[string]struct {
		files []identity.File
		other string
	}{"alone": {nil, "gw.test"}, "beside a file": {[]identity.File{write(t, dir, "a", ca.Issue(pki.Options{Names: []string{"a.test"}}))}, "a.test"}} {
		certs, err := identity.Load(c.files, nil, source)
		if err != nil {
			t.Fatal(err)
		}
		for asked, want := range map[string]string{"gw.test": "gw.test", "": c.other, "unknown.test": c.other} {
			if got := nameOf(t, certs, asked); got != want {
				t.Errorf("%s: asked for %q the client gets %q, want %q", what, asked, got, want)
			}
		}
		if n := len(certs.Leaves()); n != len(c.files)+1 {
			t.Errorf("%s: %d certificates", what, n)
		}
		before := source.now
		source.now = issue("gw.test")
		if got, err := certs.Get(hello("gw.test")); err != nil || !got.Leaf.Equal(source.now.Leaf) || got.Leaf.Equal(before.Leaf) {
			t.Errorf("%s: after a renewal the old one is served (%v)", what, err)
		}
	}
	if _, err := identity.Load(nil, nil); err == nil {
		t.Error("nothing at all is taken")
	}
}
