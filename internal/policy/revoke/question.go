package revoke

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"postern/internal/policy"
)

// shortLived is the longest life of a server's certificate that needs no revocation: that of a usual list.
const shortLived = 7*24*time.Hour + time.Minute

// exempt answers for certificates that cannot be revoked.
func (q *question) exempt() (policy.RevocationAnswer, bool) {
	a := policy.RevocationAnswer{Status: policy.NotRevoked, Source: "exempt", AsOf: q.cert.NotBefore,
		Until: q.cert.NotAfter}
	switch {
	case !q.leaf || q.promisesStaple():
		return a, false
	case extension(q.cert, 2, 5, 29, 56) != nil:
		a.Detail = "the issuer says that it gives no revocation information for " + q.name()
		return a, true
	}
	silent := len(q.cert.OCSPServer) == 0 && extension(q.cert, 2, 5, 29, 31) == nil
	if silent && q.cert.NotAfter.Sub(q.cert.NotBefore) <= shortLived {
		a.Detail = q.name() + " lives no more than seven days and names neither CRL nor OCSP"
		return a, true
	}
	return a, false
}

// promisesStaple reports whether the certificate has the TLS feature status_request (RFC 7633). An extension that
// cannot be read promises it.
func (q *question) promisesStaple() bool {
	value := extension(q.cert, 1, 3, 6, 1, 5, 5, 7, 1, 24)
	if !q.leaf || value == nil {
		return false
	}
	const statusRequest, statusRequest2 = 5, 17
	var list cryptobyte.String
	input := cryptobyte.String(value)
	if !input.ReadASN1(&list, casn1.SEQUENCE) {
		return true
	}
	for !list.Empty() {
		var feature int
		if !list.ReadASN1Integer(&feature) || feature == statusRequest || feature == statusRequest2 {
			return true
		}
	}
	return false
}

// name names the certificate in a sentence.
func (q *question) name() string {
	if q.leaf {
		return "the certificate"
	}
	return "the intermediate certificate " + said(q.cert.Subject.String())
}

// responders are the addresses of OCSP responders that can be asked.
func (q *question) responders() []string {
	var out []string
	for _, url := range q.cert.OCSPServer {
		if isHTTP(url) && len(out) < maxAddresses && !slices.Contains(out, url) {
			out = append(out, url)
		}
	}
	return out
}

// extension returns the value of an extension, nil if there is none.
func extension(c *x509.Certificate, id ...int) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier(id)) {
			return append([]byte{}, e.Value...)
		}
	}
	return nil
}

func isHTTP(url string) bool {
	return len(url) > 7 && strings.EqualFold(url[:7], "http://")
}

// reasons collects why nobody knows.
type reasons []string

func (r *reasons) add(who string, err error) {
	if err != nil {
		who += ": " + err.Error()
	}
	if !slices.Contains(*r, who) {
		*r = append(*r, who)
	}
}

func (r *reasons) all(notes []string) {
	for _, n := range notes {
		r.add(n, nil)
	}
}

// String joins at most four reasons.
func (r reasons) String() string {
	return strings.Join(r[:min(len(r), 4)], "; ")
}

// said makes a stranger's text fit for a sentence: one line, no control or invisible characters, bounded.
func said(s string) string {
	cut := len(s) > maxSaid
	if cut {
		s = s[:maxSaid]
	}
	quoted := strconv.QuoteToGraphic(s)
	s = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	if cut {
		s += "..."
	}
	return s
}
