package tlsprobe

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Glimpse is what can be read of a certificate that does not parse. Its texts are the server's and hostile.
type Glimpse struct {
	// Fault is why it does not parse, in the words of crypto/x509.
	Fault string
	// Subject and Issuer are their common names, or what stands in their place; NotAfter is its end, as RFC 3339 has it
	// where it can be understood. Each is "" where nothing can be read.
	Subject, Issuer, NotAfter string
}

// Unreadable returns the place in the chain, counted from 0, of the first certificate that crypto/x509 does not parse,
// and what can be read of it all the same; false where all parse.
func Unreadable(chain [][]byte) (int, Glimpse, bool) {
	for i, der := range chain {
		if _, err := x509.ParseCertificate(der); err != nil {
			g := glimpse(der)
			g.Fault = strings.TrimPrefix(err.Error(), "x509: ")
			return i, g, true
		}
	}
	return 0, Glimpse{}, false
}

// glimpse walks to the fields by their order alone (RFC 5280 §4.1), and judges none.
func glimpse(der []byte) (g Glimpse) {
	var tbs, issuer, validity, subject, end cryptobyte.String
	outer := cryptobyte.String(der)
	var tag casn1.Tag
	if !outer.ReadASN1(&outer, casn1.SEQUENCE) || !outer.ReadASN1(&tbs, casn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(casn1.Tag(0).ContextSpecific().Constructed()) || // version
		!skip(&tbs) || !skip(&tbs) || // serial number, signature
		!tbs.ReadASN1(&issuer, casn1.SEQUENCE) || !tbs.ReadASN1(&validity, casn1.SEQUENCE) {
		return g
	}
	g.Issuer = commonName(issuer)
	if skip(&validity) && validity.ReadAnyASN1(&end, &tag) {
		g.NotAfter = readable(string(end))
	}
	if tbs.ReadASN1(&subject, casn1.SEQUENCE) {
		g.Subject = commonName(subject)
	}
	return g
}

// readable writes a UTCTime or a GeneralizedTime (RFC 5280 §4.1.2.5) in the usual form.
func readable(text string) string {
	for _, layout := range []string{"060102150405Z", "20060102150405Z"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return text
}

func skip(s *cryptobyte.String) bool {
	var out cryptobyte.String
	var tag casn1.Tag
	return s.ReadAnyASN1(&out, &tag)
}

// commonName is the last common name in a name, else the last value of any kind.
func commonName(name cryptobyte.String) string {
	common := asn1.ObjectIdentifier{2, 5, 4, 3}
	found, isCommon := "", false
	for !name.Empty() {
		var set, pair, value cryptobyte.String
		var kind asn1.ObjectIdentifier
		var tag casn1.Tag
		if !name.ReadASN1(&set, casn1.SET) || !set.ReadASN1(&pair, casn1.SEQUENCE) ||
			!pair.ReadASN1ObjectIdentifier(&kind) || !pair.ReadAnyASN1(&value, &tag) {
			break
		}
		if kind.Equal(common) || !isCommon {
			found, isCommon = string(value), isCommon || kind.Equal(common)
		}
	}
	return found
}
