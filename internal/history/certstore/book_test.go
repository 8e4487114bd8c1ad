package certstore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/history/certstore"
	"postern/internal/lab/testkit/stores"
	"postern/internal/platform/records"
)

func TestBook(t *testing.T) { stores.Each(t, testBook) }

func testBook(t *testing.T, s records.Store, again func() records.Store) {
	b := certstore.NewBook(s)
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	no := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	same := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	one := func(digest string, day int) certstore.Certificate {
		return certstore.Certificate{SHA256: digest, DER: []byte("der of " + digest), Seen: now.AddDate(0, 0, day)}
	}
	found := func(digests ...string) string {
		t.Helper()
		list, err := b.Certificates(t.Context(), digests)
		no(err)
		var out []string
		for _, c := range list {
			out = append(out, c.SHA256+"="+string(c.DER)+" "+c.Seen.Format(time.DateOnly))
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	same("nothing", found("a", "b"), "")
	same("nobody asks", found(), "")
	no(b.PutCertificates(t.Context(), []certstore.Certificate{one("a", 0), one("b", 0), one("c", 0)}))
	no(b.PutCertificates(t.Context(), []certstore.Certificate{one("a", 3), one("b", -3)}))
	same("newest day", found("a", "b", "x"), "a=der of a 2026-11-29, b=der of b 2026-11-26")
	b = certstore.NewBook(again())
	no(b.ForgetCertificates(t.Context(), now.AddDate(0, 0, 1)))
	same("old ones gone", found("a", "b", "c"), "a=der of a 2026-11-29")
}
