package tlsprobe

import (
	"fmt"
	"slices"
	"strings"
)

// Suite is the number of a cipher suite (IANA, "TLS Cipher Suites").
type Suite uint16

// Exchange is how a suite agrees on a key.
type Exchange string

// The key exchanges.
const (
	RSA       Exchange = "RSA"       // the client encrypts a secret to the certificate's key
	ECDHE     Exchange = "ECDHE"     // elliptic curves, signed by the certificate's key
	DHE       Exchange = "DHE"       // finite fields, signed by the certificate's key
	Fixed     Exchange = "fixed DH"  // the certificate's key is itself a Diffie-Hellman key
	Anonymous Exchange = "anonymous" // no certificate at all
	Unknown   Exchange = "unknown"   // of a kind that is not offered here
)

// String is the suite's name in IANA's spelling.
func (s Suite) String() string {
	if i, ok := find(s); ok {
		return "TLS_" + table[i].name
	}
	return fmt.Sprintf("0x%04x", uint16(s))
}

// Exchange says how the suite agrees on a key.
func (s Suite) Exchange() Exchange {
	i, ok := find(s)
	if !ok {
		return Unknown
	}
	kind, _, _ := strings.Cut(strings.Replace(table[i].name, "_EXPORT", "", 1), "_WITH_")
	switch kind {
	case "RSA":
		return RSA
	case "ECDHE_ECDSA", "ECDHE_RSA":
		return ECDHE
	case "DHE_RSA", "DHE_DSS":
		return DHE
	case "DH_anon", "ECDH_anon":
		return Anonymous
	case "DH_RSA", "DH_DSS", "ECDH_RSA", "ECDH_ECDSA":
		return Fixed
	}
	return Unknown
}

func (s Suite) elliptic() bool { return strings.HasPrefix(s.String(), "TLS_EC") }

// Broken reports whether the suite protects nothing that deserves the word: no encryption, no server that proves
// itself, keys of 40 or 56 bits, RC4.
func (s Suite) Broken() bool {
	name := s.String()
	return slices.ContainsFunc([]string{"_anon_", "_EXPORT_", "_NULL_", "_RC4_", "_DES_", "_RC2_"},
		func(part string) bool { return strings.Contains(name, part) })
}

// Suites lists every suite up to TLS 1.2 that a server with a certificate, or with none, may choose, the order being
// that of preference: what crypto/tls speaks too, then Diffie-Hellman in finite fields, then the rest, and what is
// broken last. spoken says which crypto/tls speaks.
func Suites(spoken func(Suite) bool) []Suite {
	out := make([]Suite, 0, len(table))
	for _, row := range table {
		out = append(out, row.id)
	}
	rank := func(s Suite) int {
		switch {
		case spoken(s):
			return 0
		case s.Broken():
			return 3
		case s.Exchange() == DHE:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b Suite) int { return rank(a) - rank(b) })
	return out
}

// ForSSL3 reports whether the suite is defined for SSL 3.0 (RFC 6101 appendix A.6, and what RFC 3268 added for AES): no
// elliptic curves, no SHA-2, no authenticated modes.
func (s Suite) ForSSL3() bool {
	name := s.String()
	return !s.elliptic() && (strings.HasSuffix(name, "_SHA") || strings.HasSuffix(name, "_MD5"))
}

type row struct {
	id   Suite
	name string // without "TLS_"
}

// find looks a suite up in the table, which is in the order of numbers.
func find(s Suite) (int, bool) {
	return slices.BinarySearchFunc(table, s, func(r row, s Suite) int { return int(r.id) - int(s) })
}

// Bits is the strength of the suite's cipher, 0 where it has none or is unknown. Triple DES counts as 112, as in
// OpenSSL.
func (s Suite) Bits() int {
	name := s.String()
	for _, c := range []struct {
		part string
		bits int
	}{{"_NULL_", 0}, {"_40_", 40}, {"DES40", 40}, {"_3DES_", 112}, {"_DES_", 56}, {"_256_", 256}, {"CHACHA20", 256},
		{"_128_", 128}, {"_IDEA_", 128}, {"_SEED_", 128}} {
		if strings.Contains(name, c.part) {
			return c.bits
		}
	}
	return 0
}
