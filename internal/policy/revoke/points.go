package revoke

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// point is a distribution point that can be used: one address, and every name by which the list may call itself.
type point struct {
	url   string
	names [][]byte // general names, as encoded
}

// points reads the certificate's CRL distribution points (RFC 5280 §4.2.1.13), and says what is there that cannot be
// used. The library would give the addresses alone, and take a list of some reasons or of another issuer for a whole
// one.
func (q *question) points() (out []point, notes []string) {
	value := extension(q.cert, 2, 5, 29, 31)
	if value == nil {
		return nil, nil
	}
	var list cryptobyte.String
	input := cryptobyte.String(value)
	if !input.ReadASN1(&list, casn1.SEQUENCE) || !input.Empty() {
		return nil, []string{"its CRL distribution points cannot be read"}
	}
	for !list.Empty() && len(out) < maxAddresses {
		var dp cryptobyte.String
		if !list.ReadASN1(&dp, casn1.SEQUENCE) {
			return out, append(notes, "its CRL distribution points cannot be read")
		}
		names, note := readPoint(dp, q.issuer.RawSubject)
		if note != "" {
			notes = append(notes, note)
			continue
		}
		usable := false
		for _, n := range names {
			if url, ok := address(n); ok && len(out) < maxAddresses {
				out, usable = append(out, point{url, names}), true
			}
		}
		if !usable {
			notes = append(notes, "a CRL distribution point has no HTTP address")
		}
	}
	return out, notes
}

// Tags of the fields of distribution points: [0] and [2] constructed, [1] primitive.
const (
	context0 = casn1.Tag(0xa0)
	context1 = casn1.Tag(0x81)
	context2 = casn1.Tag(0xa2)
)

// readPoint returns the names of one distribution point, or why it cannot be used.
func readPoint(dp cryptobyte.String, issuer []byte) (names [][]byte, note string) {
	const broken = "a CRL distribution point cannot be read"
	var name, reasons, crlIssuer cryptobyte.String
	var hasName, hasReasons, hasIssuer bool
	if !dp.ReadOptionalASN1(&name, &hasName, context0) || !dp.ReadOptionalASN1(&reasons, &hasReasons, context1) ||
		!dp.ReadOptionalASN1(&crlIssuer, &hasIssuer, context2) || !dp.Empty() {
		return nil, broken
	}
	switch {
	case hasReasons:
		return nil, "a CRL distribution point covers only some reasons, which is not enough"
	case hasIssuer && !isName(crlIssuer, issuer):
		return nil, "its CRL is an indirect one, of another issuer, which this release does not use"
	case !hasName:
		return nil, "a CRL distribution point has no address"
	}
	names, ok := fullName(name)
	if !ok {
		return nil, "a CRL distribution point has no full name"
	}
	return names, ""
}

// fullName reads the general names of a DistributionPointName; false if it has another form.
func fullName(name cryptobyte.String) (names [][]byte, ok bool) {
	var full cryptobyte.String
	if !name.ReadASN1(&full, context0) || !name.Empty() {
		return nil, false
	}
	for !full.Empty() {
		var element cryptobyte.String
		var tag casn1.Tag
		if !full.ReadAnyASN1Element(&element, &tag) || len(names) >= 32 {
			return nil, false
		}
		names = append(names, element)
	}
	return names, true
}

// address returns the address in a general name that is an HTTP URI.
func address(generalName []byte) (string, bool) {
	element := cryptobyte.String(generalName)
	var uri cryptobyte.String
	if !element.ReadASN1(&uri, casn1.Tag(6).ContextSpecific()) || !isHTTP(string(uri)) || len(uri) > 1024 {
		return "", false
	}
	return string(uri), true
}

// isName reports whether the general names are the one directory name.
func isName(names cryptobyte.String, directory []byte) bool {
	var inner cryptobyte.String
	return names.ReadASN1(&inner, casn1.Tag(4).ContextSpecific().Constructed()) && names.Empty() &&
		bytes.Equal(inner, directory)
}
