package revoke

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// crl is a revocation list whose signature holds. It is never changed.
type crl struct {
	size       int64
	this, next time.Time
	entries    cryptobyte.String // the revoked certificates, as encoded
	scope      scope
}

// scope says which certificates a list speaks of (RFC 5280 §5.2.5).
type scope struct {
	names            [][]byte // the distribution points it is for; nil: any
	users, cas       bool     // only these
	some, attributes bool     // only some reasons, only attribute certificates
	indirect, delta  bool
	unread           string // what stands in it that is not understood, "" for nothing
}

// readCRL reads a list and proves that issuer signed it. It does not look at the time, and not at the scope. The
// library would make an object of each entry, many times the size of the list; so the entries are taken out before it
// reads the rest, and walked as they are.
func readCRL(der []byte, issuer *x509.Certificate) (*crl, error) {
	tbs, skeleton, entries, err := takeApart(der)
	if err != nil {
		return nil, err
	}
	head, err := x509.ParseRevocationList(skeleton)
	if err != nil {
		return nil, errNoCRL
	}
	switch {
	case !bytes.Equal(head.RawIssuer, issuer.RawSubject):
		return nil, errors.New("the CRL is of another issuer, " + said(head.Issuer.String()))
	case issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return nil, errors.New("the issuer's certificate may not sign CRLs")
	case weak(head.SignatureAlgorithm):
		return nil, fmt.Errorf("the CRL is signed with %s, which can be forged or is not known",
			head.SignatureAlgorithm)
	}
	if err := issuer.CheckSignature(head.SignatureAlgorithm, tbs, head.Signature); err != nil {
		return nil, errors.New("the CRL's signature is not the issuer's")
	}
	list := &crl{size: int64(len(der)), this: head.ThisUpdate, next: head.NextUpdate, entries: entries}
	for _, e := range head.Extensions {
		list.scope.read(e.Id.String(), e.Critical, e.Value)
	}
	if _, err := list.find(nil); err != nil {
		return nil, err
	}
	return list, nil
}

var errNoCRL = errors.New("what came is no CRL")

// maxBeside bounds what a list has beside its entries, which is copied.
const maxBeside = 256 << 10

// takeApart returns the signed part of a list, the list without its entries, and the entries.
func takeApart(der []byte) (tbs, skeleton []byte, entries cryptobyte.String, err error) {
	input := cryptobyte.String(der)
	var outer, signed, rest cryptobyte.String
	if !input.ReadASN1(&outer, casn1.SEQUENCE) || !input.Empty() {
		return nil, nil, nil, errNoCRL
	}
	if !outer.ReadASN1Element(&signed, casn1.SEQUENCE) {
		return nil, nil, nil, errNoCRL
	}
	rest = outer
	fields := signed
	var inside cryptobyte.String
	if !fields.ReadASN1(&inside, casn1.SEQUENCE) {
		return nil, nil, nil, errNoCRL
	}
	if len(rest) > maxBeside {
		return nil, nil, nil, errNoCRL
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { entries, err = copyFields(b, inside) })
		b.AddBytes(rest)
	})
	if err != nil {
		return nil, nil, nil, err
	}
	skeleton, err = b.Bytes()
	return signed, skeleton, entries, err
}

// copyFields copies the fields of a TBSCertList but the revoked certificates, which stand after the dates.
func copyFields(b *cryptobyte.Builder, fields cryptobyte.String) (entries cryptobyte.String, err error) {
	dates, copied := false, 0
	for !fields.Empty() {
		var element cryptobyte.String
		var tag casn1.Tag
		if !fields.ReadAnyASN1Element(&element, &tag) {
			return nil, errNoCRL
		}
		if dates && tag == casn1.SEQUENCE {
			if entries != nil || !element.ReadASN1(&entries, casn1.SEQUENCE) {
				return nil, errNoCRL
			}
			continue
		}
		dates = dates || tag == casn1.UTCTime || tag == casn1.GeneralizedTime
		if copied += len(element); copied > maxBeside {
			return nil, errNoCRL
		}
		b.AddBytes(element)
	}
	return entries, nil
}

// read takes note of one extension of a list.
func (s *scope) read(id string, critical bool, value []byte) {
	switch id {
	case "2.5.29.35": // authority key: nothing to judge
	case "2.5.29.27":
		s.delta = true
	case "2.5.29.28":
		if !s.readPoint(value) {
			s.unread = "its issuing distribution point cannot be read"
		}
	default:
		if critical {
			s.unread = "it has a critical extension that is not understood (" + id + ")"
		}
	}
}

// readPoint reads an IssuingDistributionPoint.
func (s *scope) readPoint(value []byte) bool {
	var idp, name, some cryptobyte.String
	var named bool
	input := cryptobyte.String(value)
	if !input.ReadASN1(&idp, casn1.SEQUENCE) || !input.Empty() || !idp.ReadOptionalASN1(&name, &named, context0) {
		return false
	}
	if named {
		var ok bool
		if s.names, ok = fullName(name); !ok || len(s.names) == 0 {
			return false
		}
	}
	flag := func(tag uint8, to *bool) bool {
		var content cryptobyte.String
		var present bool
		if !idp.ReadOptionalASN1(&content, &present, casn1.Tag(tag).ContextSpecific()) {
			return false
		}
		*to = present && (len(content) != 1 || content[0] != 0)
		return true
	}
	return flag(1, &s.users) && flag(2, &s.cas) &&
		idp.ReadOptionalASN1(&some, &s.some, casn1.Tag(3).ContextSpecific()) &&
		flag(4, &s.indirect) && flag(5, &s.attributes) && idp.Empty()
}

// covers says why a list cannot speak of a certificate that came by p; nil when it can.
func (s *scope) covers(q *question, p point) error {
	isCA := q.cert.BasicConstraintsValid && q.cert.IsCA
	switch {
	case s.unread != "":
		return errors.New(s.unread)
	case s.delta:
		return errors.New("it is a delta CRL, which this release does not use")
	case s.indirect:
		return errors.New("it is an indirect CRL, which this release does not use")
	case s.some:
		return errors.New("it covers only some reasons")
	case s.attributes, s.users && isCA, s.cas && !isCA:
		return errors.New("it is for certificates of another kind")
	case s.names == nil:
		return nil
	}
	for _, mine := range p.names {
		if slices.ContainsFunc(s.names, func(n []byte) bool { return bytes.Equal(n, mine) }) {
			return nil
		}
	}
	return errors.New("it is for another distribution point")
}

// hit is an entry of a list.
type hit struct {
	at     time.Time
	reason int
}

// find looks for a serial number; nil finds nothing. It fails where any entry cannot be judged (RFC 5280 §5.3).
func (l *crl) find(number *big.Int) (*hit, error) {
	var wanted []byte
	if number != nil {
		wanted = number.Bytes()
	}
	var found *hit
	for rest := l.entries; !rest.Empty(); {
		var entry, serial, at, extensions cryptobyte.String
		var extended bool
		var tag casn1.Tag
		if !rest.ReadASN1(&entry, casn1.SEQUENCE) || !entry.ReadASN1(&serial, casn1.INTEGER) ||
			!entry.ReadAnyASN1Element(&at, &tag) ||
			!entry.ReadOptionalASN1(&extensions, &extended, casn1.SEQUENCE) || !entry.Empty() {
			return nil, errEntry
		}
		reason, err := entryReason(extensions)
		if err != nil {
			return nil, err
		}
		if number != nil && found == nil && bytes.Equal(bytes.TrimLeft(serial, "\x00"), wanted) {
			found = &hit{reason: reason}
			if !readTime(&at, &found.at) {
				return nil, errEntry
			}
		}
	}
	return found, nil
}

var errEntry = errors.New("the CRL has an entry that cannot be read")

func readTime(s *cryptobyte.String, out *time.Time) bool {
	if s.PeekASN1Tag(casn1.UTCTime) {
		return s.ReadASN1UTCTime(out)
	}
	return s.ReadASN1GeneralizedTime(out)
}

// reasonCode is the id-ce-cRLReasons extension, as encoded.
var reasonCode = []byte{0x55, 0x1d, 0x15}

// entryReason reads the extensions of an entry: the reason, and a refusal of critical ones that are not understood.
func entryReason(extensions cryptobyte.String) (reason int, err error) {
	for !extensions.Empty() {
		var e, id, value cryptobyte.String
		var critical bool
		if !extensions.ReadASN1(&e, casn1.SEQUENCE) || !e.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) ||
			e.PeekASN1Tag(casn1.BOOLEAN) && !e.ReadASN1Boolean(&critical) || !e.ReadASN1(&value, casn1.OCTET_STRING) {
			return 0, errEntry
		}
		switch {
		case bytes.Equal(id, reasonCode):
			if !value.ReadASN1Enum(&reason) {
				return 0, errEntry
			}
		case critical:
			return 0, errors.New("the CRL has an entry with a critical extension that is not understood")
		}
	}
	return reason, nil
}

// weak reports whether a signature with the algorithm proves nothing.
func weak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return false
	}
	return true
}
