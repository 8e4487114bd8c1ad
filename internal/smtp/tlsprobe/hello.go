package tlsprobe

import "golang.org/x/crypto/cryptobyte"

// The versions that can be offered, as they stand on the wire.
const (
	SSL30 uint16 = 0x0300
	TLS10 uint16 = 0x0301
	TLS11 uint16 = 0x0302
	TLS12 uint16 = 0x0303
)

// VersionName is a version as OpenSSL, and so Postfix, prints it; "" for one that cannot be offered.
func VersionName(v uint16) string {
	return map[uint16]string{SSL30: "SSLv3", TLS10: "TLSv1", TLS11: "TLSv1.1", TLS12: "TLSv1.2"}[v]
}

// Hello is what is offered.
type Hello struct {
	// Version is the highest one; a server may choose a lower.
	Version uint16
	Suites  []Suite
	// Name is the host for SNI (RFC 6066 §3), "" for none.
	Name string
	// Random is 32 octets that nobody can guess; they need not be secret.
	Random [32]byte
}

// scsv stands for secure renegotiation in a list of suites (RFC 5746 §3.3): old servers insist on it, and SSL 3.0 knows
// no extensions.
const scsv = 0x00ff

// Record is the ClientHello in its record, ready to be sent. The extensions are those that a server needs to choose
// freely: every curve and every way to sign. None of the groups of RFC 7919 is named, because a server that knows them
// would then use no other (RFC 7919 §4).
func (h *Hello) Record() []byte {
	var body cryptobyte.Builder
	body.AddUint16(h.Version)
	body.AddBytes(h.Random[:])
	body.AddUint8(0) // no session to resume
	body.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, s := range h.Suites {
			b.AddUint16(uint16(s))
		}
		b.AddUint16(scsv)
	})
	body.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint8(0) }) // no compression
	if h.Version > SSL30 {
		body.AddUint16LengthPrefixed(h.extensions)
	}
	var record cryptobyte.Builder
	record.AddUint8(recordHandshake)
	record.AddUint16(min(h.Version, TLS10)) // servers that are strict about it want the oldest (RFC 5246 appendix E.1)
	record.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(messageClientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(body.BytesOrPanic()) })
	})
	return record.BytesOrPanic()
}

// Extensions (RFC 6066, RFC 8422 §5.1, RFC 5246 §7.4.1.4.1).
const (
	extensionName       = 0
	extensionGroups     = 10
	extensionPoints     = 11
	extensionSignatures = 13
)

func (h *Hello) extensions(b *cryptobyte.Builder) {
	if h.Name != "" {
		extension(b, extensionName, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0) // a host's name
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(h.Name)) })
			})
		})
	}
	extension(b, extensionGroups, list16(curves))
	extension(b, extensionPoints, func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte{0, 1, 2}) })
	})
	if h.Version >= TLS12 {
		extension(b, extensionSignatures, list16(signatures))
	}
}

func extension(b *cryptobyte.Builder, kind uint16, body cryptobyte.BuilderContinuation) {
	b.AddUint16(kind)
	b.AddUint16LengthPrefixed(body)
}

func list16(list []uint16) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, v := range list {
				b.AddUint16(v)
			}
		})
	}
}

// curves are all named ones, those that crypto/tls speaks first.
var curves = []uint16{29, 23, 24, 25, 30, 26, 27, 28, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5,
	4, 3, 2, 1}

// CurveName is IANA's name of a curve; "" for an unknown one.
func CurveName(id uint16) string {
	return map[uint16]string{1: "sect163k1", 2: "sect163r1", 3: "sect163r2", 4: "sect193r1", 5: "sect193r2",
		6: "sect233k1",
		7: "sect233r1", 8: "sect239k1", 9: "sect283k1", 10: "sect283r1", 11: "sect409k1", 12: "sect409r1",
		13: "sect571k1",
		14: "sect571r1", 15: "secp160k1", 16: "secp160r1", 17: "secp160r2", 18: "secp192k1", 19: "secp192r1",
		20: "secp224k1",
		21: "secp224r1", 22: "secp256k1", 23: "P-256", 24: "P-384", 25: "P-521", 26: "brainpoolP256r1",
		27: "brainpoolP384r1", 28: "brainpoolP512r1", 29: "X25519", 30: "X448"}[id]
}

// signatures are all ways to sign a key exchange: ECDSA, RSA-PSS, Ed25519, Ed448, RSA, DSA, from the strong to the
// weak.
var signatures = []uint16{0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0807, 0x0808,
	0x0401, 0x0501, 0x0601, 0x0301, 0x0303, 0x0402, 0x0502, 0x0602, 0x0302, 0x0203, 0x0201, 0x0202, 0x0101}
