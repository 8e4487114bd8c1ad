package roots

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/policy"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// trusts reports whether pool vouches for a certificate of ca.
func trusts(pool *x509.CertPool, ca *pki.CA) bool {
	cert := ca.Issue(pki.Options{Names: []string{"mx.test"}, Intermediates: []pki.Intermediate{}})
	_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now})
	return err == nil
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAFileOfRootsIsTrusted(t *testing.T) {
	dir := t.TempDir()
	a, b, c := pki.New(now, "A"), pki.New(now, "B"), pki.New(now, "C")
	write(t, filepath.Join(dir, "public.pem"), slices.Concat([]byte("# two roots\n"), a.RootPEM(), b.RootPEM()))
	write(t, filepath.Join(dir, "own.pem"), c.RootPEM())
	s, err := New(Config{Public: "public.pem", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	pools, err := s.Pools(policy.PublicTrust, "own.pem", filepath.Join(dir, "own.pem"))
	if err != nil || len(pools) != 3 {
		t.Fatal(len(pools), err)
	}
	public, own := pools[policy.PublicTrust], pools["own.pem"]
	if !trusts(public, a) || !trusts(public, b) || trusts(public, c) {
		t.Error("the public roots are not A and B")
	}
	if trusts(own, a) || !trusts(own, c) {
		t.Error("the own roots are not C")
	}
}

// odd is an intact block that holds no certificate we understand.
var odd = []byte("-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n")

func TestWhatCannotBeReadAtFirstIsAnErrorAndNeverAnEmptyPool(t *testing.T) {
	dir := t.TempDir()
	good := pki.New(now, "A").RootPEM()
	write(t, filepath.Join(dir, "empty.pem"), nil)
	write(t, filepath.Join(dir, "text.pem"), []byte("these are not certificates"))
	write(t, filepath.Join(dir, "cut.pem"), slices.Concat(good, good[:len(good)/2]))
	write(t, filepath.Join(dir, "key.pem"), pki.New(now, "A").Issue(pki.Options{Names: []string{"a.test"}}).KeyPEM)
	write(t, filepath.Join(dir, "good.pem"), good)
	write(t, filepath.Join(dir, "odd.pem"), slices.Concat(good, odd))
	write(t, filepath.Join(dir, "both.pem"), slices.Concat(good, pki.New(now, "A").Issue(pki.Options{Names: []string{"a.test"}}).KeyPEM))
	for _, name := range []string{"missing.pem", "empty.pem", "text.pem", "cut.pem", "key.pem", "odd.pem", "both.pem", "."} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Public: name, Dir: dir})
			var e *Error
			if !errors.As(err, &e) || e.Hint == "" || e.Trust != policy.PublicTrust {
				t.Errorf("as public roots: %v", err)
			}
			s, err := New(Config{Public: "good.pem", Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			pools, err := s.Pools(name, policy.PublicTrust)
			if !errors.As(err, &e) || e.Trust != name || !strings.Contains(err.Error(), name) {
				t.Errorf("as private roots: %v", err)
			}
			if _, there := pools[name]; there || pools[policy.PublicTrust] == nil {
				t.Errorf("pools: %v", pools)
			}
		})
	}
}

func TestAChangedFileIsReadAnewAndABrokenOneKeepsTheLastGood(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "own.pem")
	a, b := pki.New(now, "A"), pki.New(now, "B")
	synctest.Test(t, func(t *testing.T) {
		var told []Notice
		write(t, filepath.Join(dir, "public.pem"), a.RootPEM())
		write(t, file, a.RootPEM())
		s, err := New(Config{Public: "public.pem", Dir: dir, Notice: func(n Notice) { told = append(told, n) }})
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, wantA, wantB bool) {
			t.Helper()
			pools, err := s.Pools("own.pem")
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if gotA, gotB := trusts(pools["own.pem"], a), trusts(pools["own.pem"], b); gotA != wantA || gotB != wantB {
				t.Errorf("%s: trusts A %v, B %v", what, gotA, gotB)
			}
		}
		check("at first", true, false)
		replace := func(content []byte) {
			write(t, file+".new", content)
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
		replace(b.RootPEM())
		check("within the second", true, false)
		time.Sleep(time.Second)
		check("a second later", false, true)
		if len(told) != 1 || told[0].Err != nil || told[0].Certificates != 1 || told[0].File != file {
			t.Errorf("told: %+v", told)
		}

		for _, broken := range []func(){
			func() { replace([]byte("nothing")) },
			func() { replace(b.RootPEM()[:100]) },
			func() { _ = os.Remove(file) },
		} {
			broken()
			told = nil
			for range 3 {
				time.Sleep(time.Second)
				check("while it is broken", false, true)
			}
			if len(told) != 1 || told[0].Err == nil || told[0].Certificates != 1 {
				t.Errorf("told: %+v", told)
			}
		}
		told = nil
		replace(slices.Concat(a.RootPEM(), b.RootPEM()))
		time.Sleep(time.Second)
		check("when it is good again", true, true)
		if len(told) != 1 || told[0].Err != nil || told[0].Certificates != 2 {
			t.Errorf("told: %+v", told)
		}
	})
}

// A file may be written anew and keep its time, its size and its place. What is asked for is read at once.
func TestTheContentDecides(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "public.pem")
	a, b, c := pki.New(now, "A"), pki.New(now, "B"), pki.New(now, "C")
	put := func(ca *pki.CA) {
		pem := ca.RootPEM()
		write(t, file, slices.Concat([]byte(strings.Repeat("\n", 4096-len(pem))), pem))
		if err := os.Chtimes(file, now, now); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		put(a)
		s, err := New(Config{Public: file})
		if err != nil {
			t.Fatal(err)
		}
		in := func(ca *pki.CA) bool {
			pools, err := s.Pools(policy.PublicTrust)
			return err == nil && trusts(pools[policy.PublicTrust], ca)
		}
		put(b)
		if time.Sleep(time.Second); !in(b) || in(a) {
			t.Error("the new content is not in force")
		}
		put(c)
		if s.Reread(); !in(c) || in(b) {
			t.Error("what was asked for was not read")
		}
	})
}

func TestAFileThatAppearsIsUsed(t *testing.T) {
	dir := t.TempDir()
	a := pki.New(now, "A")
	synctest.Test(t, func(t *testing.T) {
		write(t, filepath.Join(dir, "public.pem"), a.RootPEM())
		s, err := New(Config{Public: "public.pem", Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Pools("late.pem"); err == nil {
			t.Fatal("there is no such file")
		}
		write(t, filepath.Join(dir, "late.pem"), a.RootPEM())
		time.Sleep(time.Second)
		if _, err := s.Pools("late.pem"); err != nil {
			t.Error(err)
		}
	})
}

func TestTheBundledSetIsTheMozillaProgramme(t *testing.T) {
	s, err := New(Config{Public: Bundled})
	if err != nil {
		t.Fatal(err)
	}
	if e := s.entries[policy.PublicTrust]; e.set.count < 100 || !e.set.bundled() {
		t.Errorf("%d roots from %q", e.set.count, e.set.file)
	}
	pools, _ := s.Pools(policy.PublicTrust)
	if trusts(pools[policy.PublicTrust], pki.New(now, "A")) {
		t.Error("it trusts anybody")
	}
}

func TestCheckSaysWhatAFileIsNowWhateverIsInForce(t *testing.T) {
	dir := t.TempDir()
	good := pki.New(now, "A").RootPEM()
	file := filepath.Join(dir, "own.pem")
	write(t, file, good)
	s, err := New(Config{Public: file, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check("own.pem"); err != nil {
		t.Errorf("a good file: %v", err)
	}
	write(t, file, slices.Concat(good, good[:50]))
	line := fmt.Sprintf("line %d", strings.Count(string(good), "\n")+1)
	if err := s.Check("own.pem"); err == nil || !strings.Contains(err.Error(), line) || !strings.Contains(err.Error(), file) {
		t.Errorf("%v, want %s of %s", err, line, file)
	}
	if pools, err := s.Pools(policy.PublicTrust); err != nil || pools[policy.PublicTrust] == nil {
		t.Errorf("what was in force is gone: %v", err)
	}
}

func TestWhatTheSystemTrustsAndWeCannotReadIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "system.pem")
	a := pki.New(now, "A")
	write(t, file, slices.Concat(odd, a.RootPEM()))
	t.Setenv("SSL_CERT_FILE", file)
	var told []Notice
	s, err := New(Config{Notice: func(n Notice) { told = append(told, n) }})
	if err != nil || len(told) != 1 || told[0].Err != nil || len(told[0].Left) != 1 || !strings.HasPrefix(told[0].Left[0], "line 1: ") {
		t.Fatalf("told %+v, %v", told, err)
	}
	if pools, err := s.Pools(policy.PublicTrust); err != nil || !trusts(pools[policy.PublicTrust], a) {
		t.Errorf("the others are not trusted: %v", err)
	}
}

func TestTheSystemsRootsAreReadFromItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "system.pem")
	a := pki.New(now, "A")
	write(t, file, a.RootPEM())
	t.Setenv("SSL_CERT_FILE", file)
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	pools, err := s.Pools(policy.PublicTrust)
	if err != nil || !trusts(pools[policy.PublicTrust], a) {
		t.Errorf("not trusted: %v", err)
	}
	write(t, file, []byte("broken"))
	var e *Error
	if _, err := New(Config{}); !errors.As(err, &e) || e.File != file {
		t.Errorf("a broken file: %v", err)
	}
}

func TestPoolsMayBeAskedForFromManyGoroutines(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.pem"), pki.New(now, "A").RootPEM())
	s, err := New(Config{Public: "a.pem", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if pools, err := s.Pools(policy.PublicTrust, "a.pem"); err != nil || len(pools) != 2 {
					t.Error(pools, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAMachineWithoutRootsGetsTheBundledOnesAndIsTold(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", filepath.Join(t.TempDir(), "missing.pem"))
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	var told []Notice
	s, err := New(Config{Notice: func(n Notice) { told = append(told, n) }})
	if err != nil {
		t.Fatal(err)
	}
	if e := s.entries[policy.PublicTrust]; !e.set.bundled() || len(told) != 1 || told[0].Certificates < 100 {
		t.Errorf("from %q, told %+v", e.set.file, told)
	}
}
