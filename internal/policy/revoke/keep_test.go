package revoke_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"postern/internal/lab/pki"
	"postern/internal/policy"
	"postern/internal/policy/revoke"
)

func want(t *testing.T, a policy.RevocationAnswer, status string) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("%s, want %s: %s", a.Status, status, a.Detail)
	}
}

// run runs the background of a checker until the returned function is called.
func run(c *revoke.Checker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = c.Run(ctx) })
	return func() { cancel(); group.Wait() }
}

func TestListsOnDiskSurviveARestart(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		chain := w.listed()
		w.serve(subList, w.ca.CRL(pki.CRL{Revoked: chain[:1]}))
		other := w.listed()
		want(t, w.ask(other, nil), policy.NotRevoked) // for which both lists must have come, as a revoked one need not wait for
		want(t, w.ask(chain, nil), policy.Revoked)
		w.page(subList, http.NotFound)
		w.page(rootList, http.NotFound)
		want(t, w.ask(other, nil), policy.NotRevoked)
		want(t, w.ask(chain, nil), policy.Revoked)
		if n := w.total(); n != 2 {
			t.Errorf("%d requests over four starts, want one for each list", n)
		}
		time.Sleep(8 * 24 * time.Hour) // past nextUpdate
		want(t, w.ask(other, nil), policy.RevocationNotSaid)
		want(t, w.ask(chain, nil), policy.Revoked)
	})
}

func TestATornOrForeignFileIsFetchedAnew(t *testing.T) {
	for name, damage := range map[string]func(content []byte) []byte{
		"cut in the list":   func(c []byte) []byte { return c[:len(c)-9] },
		"cut in the header": func(c []byte) []byte { return c[:40] },
		"a flipped bit":     func(c []byte) []byte { c[len(c)-90] ^= 1; return c },
		"a newer form":      func(c []byte) []byte { return []byte(strings.Replace(string(c), `"form":1`, `"form":2`, 1)) },
		"empty":             func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.serve(subList, w.ca.CRL(pki.CRL{}))
				chain := w.listed()
				want(t, w.ask(chain, nil), policy.NotRevoked)
				files, err := filepath.Glob(filepath.Join(w.dir, "*.crl"))
				if err != nil || len(files) != 2 {
					t.Fatalf("files %v, %v", files, err)
				}
				for _, f := range files {
					content, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(f, damage(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want(t, w.ask(chain, nil), policy.NotRevoked)
				if n := w.count(subList); n != 2 {
					t.Errorf("%d requests, want a second one after the damage", n)
				}
			})
		})
	}
}

func TestAFolderThatCannotBeWrittenIsToldAndDoesNoHarm(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var warned []error
		w.config = func(c *revoke.Config) { c.Warn = func(err error) { warned = append(warned, err) }; c.Fetches = 1 }
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		chain := w.listed()
		c := w.checker()
		defer c.Close()
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		want(t, ask(c, chain, nil), policy.NotRevoked)
		c.Close() // the answer does not wait for the disk
		if len(warned) != 2 {
			t.Errorf("told %v, want one for each list", warned)
		}
	})
}

// Between the arrival of a list and its way to disk somebody else may ask. What ran out must not be seen without the
// list.
func TestAnExpiredListCountsForWhoeverAsksMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		chain, _ := revokedBy(pki.CRL{ThisUpdate: ago(48), NextUpdate: ago(1)})(w)
		var c *revoke.Checker
		var meanwhile policy.RevocationAnswer
		var told atomic.Bool
		w.config = func(cfg *revoke.Config) {
			cfg.Warn = func(error) {
				if told.CompareAndSwap(false, true) {
					meanwhile = ask(c, chain, nil)
				}
			}
		}
		c = w.checker()
		defer c.Close()
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		a := ask(c, chain, nil)
		c.Close() // an answer does not wait for the disk
		if a.Status != policy.Revoked || meanwhile.Status != policy.Revoked {
			t.Errorf("whoever waited hears %s, whoever asked meanwhile %s; want %s", a.Status, meanwhile.Status, policy.Revoked)
		}
	})
}

func TestAListIsFetchedAgainAheadOfItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		start := time.Now()
		life := func() pki.CRL { return pki.CRL{ThisUpdate: time.Now(), NextUpdate: time.Now().Add(8 * time.Hour)} }
		w.serve(subList, w.ca.CRL(life()))
		c := w.checker()
		defer c.Close()
		defer run(c)()
		chain := w.listed()
		want(t, ask(c, chain, nil), policy.NotRevoked)
		time.Sleep(5*time.Hour + 58*time.Minute)
		if n := w.count(subList); n != 1 {
			t.Fatalf("%d requests before three quarters of the list's life", n)
		}
		next := life()
		next.Revoked = chain[:1]
		w.serve(subList, w.ca.CRL(next))
		time.Sleep(5 * time.Minute)
		if n := w.count(subList); n != 2 {
			t.Fatalf("%d requests after three quarters of the list's life, want 2", n)
		}
		a := ask(c, chain, nil)
		want(t, a, policy.Revoked) // nobody waited for the news
		if n := w.count(subList); n != 2 || a.AsOf.Before(start.Add(5*time.Hour)) {
			t.Errorf("%d requests, as of %s", n, a.AsOf)
		}
	})
}

func TestTheLastGoodListCountsUntilItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(subList, w.ca.CRL(pki.CRL{ThisUpdate: time.Now(), NextUpdate: time.Now().Add(8 * time.Hour)}))
		c := w.checker()
		defer c.Close()
		defer run(c)()
		chain := w.listed()
		want(t, ask(c, chain, nil), policy.NotRevoked)
		w.page(subList, http.NotFound)
		time.Sleep(7*time.Hour + 55*time.Minute)
		want(t, ask(c, chain, nil), policy.NotRevoked)
		if n := w.count(subList); n < 5 || n > 40 {
			t.Errorf("%d requests while refreshing failed", n)
		}
		time.Sleep(15 * time.Minute)
		want(t, ask(c, chain, nil), policy.RevocationNotSaid)
		w.serve(subList, w.ca.CRL(pki.CRL{})) // an hour older than the one we had
		time.Sleep(time.Minute)
		if a := ask(c, chain, nil); a.Status != policy.RevocationNotSaid || !strings.Contains(a.Detail, "older") {
			t.Fatalf("%+v", a)
		}
		w.serve(subList, w.ca.CRL(pki.CRL{ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}))
		time.Sleep(time.Minute)
		want(t, ask(c, chain, nil), policy.NotRevoked)
	})
}

func TestAnOlderListNeverReplacesANewerOne(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		chain := w.listed()
		w.serve(subList, w.ca.CRL(pki.CRL{Revoked: chain[:1], ThisUpdate: time.Now(), NextUpdate: time.Now().Add(8 * time.Hour)}))
		c := w.checker()
		defer c.Close()
		defer run(c)()
		want(t, ask(c, chain, nil), policy.Revoked)
		w.serve(subList, w.ca.CRL(pki.CRL{ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(48 * time.Hour)}))
		time.Sleep(6*time.Hour + 10*time.Minute)
		if w.count(subList) < 2 {
			t.Fatal("the older list was never fetched")
		}
		want(t, ask(c, chain, nil), policy.Revoked)
	})
}

func TestManyWhoAskCauseOneRequest(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		list := w.ca.CRL(pki.CRL{})
		w.page(subList, func(out http.ResponseWriter, _ *http.Request) {
			time.Sleep(2 * time.Second)
			_, _ = out.Write(list)
		})
		c := w.checker()
		defer c.Close()
		chain := w.listed()
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if a := ask(c, chain, nil); a.Status != policy.NotRevoked {
					t.Errorf("%+v", a)
				}
			})
		}
		group.Wait()
		if n := w.count(subList); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestASlowListIsThereTheNextTime(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		list := w.ca.CRL(pki.CRL{})
		w.page(subList, func(out http.ResponseWriter, _ *http.Request) {
			time.Sleep(30 * time.Second)
			_, _ = out.Write(list)
		})
		c := w.checker()
		defer c.Close()
		chain, start := w.listed(), time.Now()
		want(t, ask(c, chain, nil), policy.RevocationNotSaid)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the question took %s, its time was 10s", took)
		}
		time.Sleep(25 * time.Second)
		want(t, ask(c, chain, nil), policy.NotRevoked)
		if n := w.count(subList); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestAFailureIsNotRepeatedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.checker()
		defer c.Close()
		chain := w.chain(pki.Options{CRLs: []string{subList}, OCSP: []string{ocspHost}})
		for range 3 {
			a := ask(c, chain, nil)
			want(t, a, policy.RevocationNotSaid)
			if !strings.Contains(a.Detail, "404") {
				t.Errorf("the second time it is forgotten why: %s", a.Detail)
			}
			time.Sleep(time.Second)
		}
		if lists, asked := w.count(subList), w.count(ocspHost); lists != 1 || asked != 2 { // GET, then POST
			t.Errorf("%d and %d requests", lists, asked)
		}
		c.Forget() // an administrator says that it is repaired
		want(t, ask(c, chain, nil), policy.RevocationNotSaid)
		if lists, asked := w.count(subList), w.count(ocspHost); lists != 2 || asked != 4 {
			t.Errorf("%d and %d requests after Forget", lists, asked)
		}
		time.Sleep(time.Minute)
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		want(t, ask(c, chain, nil), policy.NotRevoked)
	})
}

func TestAnswersOfRespondersAreKeptUntilTheyRunOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config = func(c *revoke.Config) { c.Dir = "" }
		chain := w.chain(pki.Options{OCSP: []string{ocspHost}})
		w.responder(pki.Answer{Cert: chain[0], NextUpdate: time.Now().Add(2 * time.Hour)})
		c := w.checker()
		defer c.Close()
		for range 3 {
			want(t, ask(c, chain, nil), policy.NotRevoked)
			time.Sleep(30 * time.Minute)
		}
		if n := w.count(ocspHost); n != 1 {
			t.Errorf("%d requests", n)
		}
		w.responder(pki.Answer{Cert: chain[0], Status: ocsp.Revoked})
		time.Sleep(time.Hour)
		want(t, ask(c, chain, nil), policy.Revoked)
	})
}

func TestWhatNobodyAsksForIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.page(subList, func(out http.ResponseWriter, _ *http.Request) {
			_, _ = out.Write(w.ca.CRL(pki.CRL{ThisUpdate: time.Now(), NextUpdate: time.Now().Add(24 * time.Hour)}))
		})
		c := w.checker()
		defer c.Close()
		defer run(c)()
		want(t, ask(c, w.listed(), nil), policy.NotRevoked)
		time.Sleep(10 * 24 * time.Hour)
		if n := w.count(subList); n < 10 {
			t.Errorf("%d requests in ten days for a list of one day", n)
		}
		time.Sleep(5 * 24 * time.Hour)
		n := w.total()
		time.Sleep(10 * 24 * time.Hour)
		if m := w.total(); m != n {
			t.Errorf("%d requests for lists that nobody uses", m-n)
		}
		if files, err := filepath.Glob(filepath.Join(w.dir, "*")); err != nil || len(files) != 0 {
			t.Errorf("left on disk: %v, %v", files, err)
		}
	})
}

func TestListsBeyondTheMemoryAreReadFromDisk(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config = func(c *revoke.Config) { c.Memory = 2200 }
		w.serve(subList, w.ca.CRL(pki.CRL{Strangers: 20}))
		c := w.checker()
		defer c.Close()
		for range 3 {
			want(t, ask(c, w.listed(), nil), policy.NotRevoked)
			time.Sleep(time.Minute)
		}
		if n := w.total(); n != 2 {
			t.Errorf("%d requests, want one for each list", n)
		}
	})
}

// However many long lists are asked for at once, over connections that do not say how much comes, in PEM or not, what
// they take in memory stays below the bound: while they are fetched, while they are looked at, and when they come from
// disk.
func TestLongListsAtOnceStayWithinTheMemory(t *testing.T) {
	const memory = 12 << 20
	bubble(t, func(t *testing.T, w *world) {
		w.config = func(c *revoke.Config) { c.Memory = memory }
		der := w.ca.CRL(pki.CRL{Strangers: 60_000})
		armoured := pemCRL(der)
		t.Logf("a list has %d bytes, in PEM %d", len(der), len(armoured))
		var mu sync.Mutex
		base, peak, fetches := heap(), uint64(0), 0
		serve := func(content []byte) http.HandlerFunc {
			return func(out http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				fetches++
				mu.Unlock()
				for rest := content; len(rest) > 0; rest = rest[min(len(rest), 256<<10):] {
					_, _ = out.Write(rest[:min(len(rest), 256<<10)])
					out.(http.Flusher).Flush() // so that no length is told
					time.Sleep(time.Millisecond)
					mu.Lock()
					peak = max(peak, heap())
					mu.Unlock()
				}
			}
		}
		var chains [][]*x509.Certificate
		for i := range 8 {
			address := fmt.Sprintf("http://ca.test/long%d.crl", i)
			w.page(address, serve([][]byte{der, der, der, armoured}[i%4]))
			chains = append(chains, w.chain(pki.Options{CRLs: []string{address}}))
		}
		c := w.checker()
		defer c.Close()
		for range 3 {
			var group sync.WaitGroup
			for _, chain := range chains {
				group.Go(func() { ask(c, chain, nil) })
			}
			group.Wait()
			mu.Lock()
			peak = max(peak, heap())
			mu.Unlock()
			time.Sleep(time.Minute)
		}
		for i, chain := range chains { // one after the other everybody gets an answer
			if a := ask(c, chain, nil); a.Status != policy.NotRevoked {
				t.Errorf("list %d: %s: %s", i, a.Status, a.Detail)
			}
			time.Sleep(time.Minute)
		}
		mu.Lock()
		defer mu.Unlock()
		if grown := peak - base; peak < base || grown > memory+memory/4 {
			t.Errorf("memory grew by %d KiB, the bound is %d KiB", grown>>10, memory>>10)
		}
		t.Logf("%d fetches, memory grew by %d KiB", fetches, (peak-base)>>10)
	})
}

// heap is what is in use after collecting garbage.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestOneChainWithoutARevokedCertificateIsEnough(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		chain := w.listed()
		other := []*x509.Certificate{chain[0], w.ca.Intermediate(), w.ca.Root()}
		lone := w.chain(pki.Options{})
		c := w.checker()
		defer c.Close()
		ctx := context.Background()
		want(t, c.Check(ctx, [][]*x509.Certificate{lone, other}, nil), policy.NotRevoked)
		want(t, c.Check(ctx, nil, nil), policy.RevocationNotSaid)
		want(t, c.Check(ctx, [][]*x509.Certificate{{w.ca.Root()}}, nil), policy.NotRevoked)
	})
}

func TestCloseEndsWhatIsBeingFetched(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.page(subList, drip)
		c := w.checker()
		start := time.Now()
		var group sync.WaitGroup
		group.Go(func() { ask(c, w.listed(), nil) })
		synctest.Wait()
		c.Close()
		group.Wait()
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close took %s", took)
		}
		want(t, ask(c, w.listed(), nil), policy.RevocationNotSaid)
	})
}
