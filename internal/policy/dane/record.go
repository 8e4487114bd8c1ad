package dane

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"postern/internal/dns"
	"postern/internal/mail"
)

// The bounds on the records of one host. What is past them cannot be used: it proves nothing, and the rest still
// demands a match. In the field a host has two to twelve records, of which at most one or two are not digests.
const (
	MaxRecords = 100   // records that are used
	MaxAnchors = 8     // among them, anchors that are no digests (2 0 0, 2 1 0)
	MaxData    = 16384 // octets of one record
)

// The numbers of a record (RFC 6698 §2.1) by the names people give them.
const (
	pkixTA, pkixEE, daneTA, daneEE = 0, 1, 2, 3
	cert, spki                     = 0, 1
	full, sha2x256, sha2x512       = 0, 1, 2
)

// Set is the records of a host, parted by Sort. The zero value has none.
type Set struct {
	Usable   []dns.TLSA
	Unusable []Unusable
}

// Unusable is a record that cannot be used, and why, in a part of a sentence that quotes no octet of it.
type Unusable struct {
	Record dns.TLSA
	Why    string
}

// Sort parts the records that can be used (RFC 6698 §4.1, RFC 7672 §3.1) from those that cannot. Equal records count
// once. The order of the answer is always the same, whatever the order given: usage 3 first, then by the other fields.
// The octets are those given, which Sort does not change. It is safe for concurrent use.
func Sort(records []dns.TLSA) Set {
	records = slices.Clone(records)
	slices.SortFunc(records, compare)
	records = slices.CompactFunc(records, func(a, b dns.TLSA) bool { return compare(a, b) == 0 })
	var set Set
	anchors := 0
	for _, r := range records {
		why := unusable(r)
		anchor := r.Usage == daneTA && r.Matching == full
		switch {
		case why != "":
		case len(set.Usable) == MaxRecords:
			why = fmt.Sprintf("more than %d records of one host are not looked at", MaxRecords)
		case anchor && anchors == MaxAnchors:
			why = fmt.Sprintf("more than %d anchors that are no digests are not looked at", MaxAnchors)
		}
		if why != "" {
			set.Unusable = append(set.Unusable, Unusable{r, why})
			continue
		}
		set.Usable = append(set.Usable, r)
		if anchor {
			anchors++
		}
	}
	return set
}

// Name is the name under which the records of a host's port stand, without the final dot (RFC 6698 §3).
func Name(host mail.Domain, port uint16) string { return fmt.Sprintf("_%d._tcp.%s", port, host) }

// compare orders records. What is most exact comes first, and of several that match the first is told.
func compare(a, b dns.TLSA) int {
	return cmp.Or(cmp.Compare(b.Usage, a.Usage), cmp.Compare(b.Selector, a.Selector),
		cmp.Compare(b.Matching, a.Matching), bytes.Compare(a.Data, b.Data))
}

// unusable says why r cannot be used, "" where it can.
func unusable(r dns.TLSA) string {
	switch {
	case r.Usage == pkixTA || r.Usage == pkixEE:
		return fmt.Sprintf("usage %d is not for mail servers (RFC 7672 §3.1.3)", r.Usage)
	case r.Usage > daneEE:
		return fmt.Sprintf("usage %d is not known", r.Usage)
	case r.Selector > spki:
		return fmt.Sprintf("selector %d is not known", r.Selector)
	case r.Matching > sha2x512:
		return fmt.Sprintf("matching type %d is not known", r.Matching)
	case r.Matching == sha2x256 && len(r.Data) != sha256.Size:
		return fmt.Sprintf("a SHA-256 digest has %d octets, and this one has %d", sha256.Size, len(r.Data))
	case r.Matching == sha2x512 && len(r.Data) != sha512.Size:
		return fmt.Sprintf("a SHA-512 digest has %d octets, and this one has %d", sha512.Size, len(r.Data))
	case r.Matching == full && len(r.Data) > MaxData:
		return fmt.Sprintf("it has %d octets, and more than %d are not looked at", len(r.Data), MaxData)
	case r.Matching == full:
		return malformed(r)
	}
	return ""
}

// malformed asks whether the octets of a record that is no digest are what its selector says.
func malformed(r dns.TLSA) string {
	if r.Selector == cert {
		if _, err := x509.ParseCertificate(r.Data); err != nil {
			return "its octets are no certificate"
		}
		return ""
	}
	key, err := x509.ParsePKIXPublicKey(r.Data)
	switch {
	case err != nil:
		return "its octets are no public key of a kind that is known"
	case r.Usage == daneTA && algorithm(key) == x509.UnknownPublicKeyAlgorithm:
		return "a key of its kind signs no certificates"
	}
	return ""
}

// algorithm is the kind of a key that can sign.
func algorithm(key any) x509.PublicKeyAlgorithm {
	switch key.(type) {
	case *rsa.PublicKey:
		return x509.RSA
	case *ecdsa.PublicKey:
		return x509.ECDSA
	case ed25519.PublicKey:
		return x509.Ed25519
	}
	return x509.UnknownPublicKeyAlgorithm
}

// strongest parts usable records into those that count and those that a stronger digest of the same usage and selector
// puts aside, whatever matches (RFC 7671 §9). What is no digest always counts.
func strongest(usable []dns.TLSA) (counted, aside []dns.TLSA) {
	best := make(map[[2]uint8]uint8)
	for _, r := range usable {
		k := [2]uint8{r.Usage, r.Selector}
		best[k] = max(best[k], r.Matching)
	}
	for _, r := range usable {
		if r.Matching == full || r.Matching == best[[2]uint8{r.Usage, r.Selector}] {
			counted = append(counted, r)
		} else {
			aside = append(aside, r)
		}
	}
	return counted, aside
}

// Format writes a record in presentation form (RFC 6698 §2.2), with all of its octets: "3 1 1 0d6f..." in lower case.
func Format(r dns.TLSA) string {
	return fmt.Sprintf("%d %d %d %s", r.Usage, r.Selector, r.Matching, hex.EncodeToString(r.Data))
}

// brief is Format for sentences: what is longer than any digest is cut.
func brief(r dns.TLSA) string {
	if len(r.Data) <= sha512.Size {
		return Format(r)
	}
	r.Data = r.Data[:sha256.Size]
	return Format(r) + "..."
}

// Of returns the record of a certificate, for publishing: usage 3 for a server's own, 2 for an issuer's, in any form
// that Sort calls usable. Other numbers are an error, and so is a certificate or a key that Sort would not take back.
func Of(c *x509.Certificate, usage, selector, matching uint8) (dns.TLSA, error) {
	r := dns.TLSA{Usage: usage, Selector: selector, Matching: matching}
	if c == nil || len(c.Raw) == 0 {
		return dns.TLSA{}, errors.New("there is no certificate to make a TLSA record of")
	}
	if selector <= spki && matching <= sha2x512 {
		r.Data = octets(c, selector, matching)
	}
	if why := unusable(r); why != "" {
		return dns.TLSA{}, fmt.Errorf("no TLSA record %d %d %d of this certificate: %s", usage, selector, matching, why)
	}
	return r, nil
}

// OfKey returns the record 3 1 1 of a public key, the DER of its SubjectPublicKeyInfo, for publishing before there is a
// certificate for it.
func OfKey(key []byte) dns.TLSA {
	sum := sha256.Sum256(key)
	return dns.TLSA{Usage: daneEE, Selector: spki, Matching: sha2x256, Data: sum[:]}
}

// octets is what a record of c with these numbers carries.
func octets(c *x509.Certificate, selector, matching uint8) []byte {
	data := c.Raw
	if selector == spki {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case sha2x256:
		sum := sha256.Sum256(data)
		return sum[:]
	case sha2x512:
		sum := sha512.Sum512(data)
		return sum[:]
	}
	return slices.Clone(data)
}
