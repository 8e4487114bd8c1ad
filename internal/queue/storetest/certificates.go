package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/history/certstore"
)

// RunCertificates runs the tests of a book of certificates. again opens the same data anew, as for RunAccounts.
func RunCertificates(t *testing.T, open func(t *testing.T) (book certstore.Book, again func() certstore.Book)) {
	b, again := open(t)
	k := &suite{T: t, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	one := func(digest string, day int) certstore.Certificate {
		return certstore.Certificate{SHA256: digest, DER: []byte("der of " + digest), Seen: k.now.AddDate(0, 0, day)}
	}
	found := func(digests ...string) string {
		t.Helper()
		list, err := b.Certificates(t.Context(), digests)
		k.no(err)
		var out []string
		for _, c := range list {
			out = append(out, c.SHA256+"="+string(c.DER)+" "+c.Seen.Format(time.DateOnly))
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	k.same("nothing", found("a", "b"), "")
	k.same("nobody asks", found(), "")
	k.no(b.PutCertificates(t.Context(), []certstore.Certificate{one("a", 0), one("b", 0), one("c", 0)}))
	k.no(b.PutCertificates(t.Context(), []certstore.Certificate{one("a", 3), one("b", -3)}))
	k.same("newest day", found("a", "b", "x"), "a=der of a 2026-11-29, b=der of b 2026-11-26")
	b = again()
	k.no(b.ForgetCertificates(t.Context(), k.now.AddDate(0, 0, 1)))
	k.same("old ones gone", found("a", "b", "c"), "a=der of a 2026-11-29")
}
