package partner

import (
	"bytes"
	"io"
	"net"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Clear is a server whose TLS cannot be had from crypto/tls: it answers a ClientHello with what it chose, in the clear,
// up to where it would wait for the client, and never finishes a handshake.
type Clear struct {
	// Version is the only one it speaks, as on the wire: 0x0300 is SSL 3.0. Suite is the only cipher suite.
	Version, Suite uint16
	// Strict refuses a client that offers something newer too, instead of choosing the older.
	Strict bool
	// Chain is the certificates sent, DER, leaf first.
	Chain [][]byte
	// Parameters is the key exchange: a prime's size in bits for finite fields (which is not prime here), or a named
	// curve. Neither sends no such message.
	PrimeBits int
	Curve     uint16
	// AsksClient asks for a client certificate.
	AsksClient bool
}

// Alerts (RFC 5246 §7.2).
const (
	handshakeFailure = 40
	protocolVersion  = 70
)

// Upgrade is for Behaviour.Upgrade: it answers one ClientHello and waits for the client to give up.
func (c *Clear) Upgrade(raw net.Conn) (net.Conn, error) {
	record := make([]byte, 5)
	if _, err := io.ReadFull(raw, record); err != nil {
		return nil, err
	}
	record = append(record, make([]byte, int(record[3])<<8|int(record[4]))...)
	if _, err := io.ReadFull(raw, record[5:]); err != nil {
		return nil, err
	}
	if _, err := raw.Write(c.answer(record)); err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, raw)
	return nil, io.EOF
}

// answer is what the server says to a ClientHello, given with its record header.
func (c *Clear) answer(record []byte) []byte {
	version, suites, ok := readHello(record)
	switch {
	case !ok, version < c.Version, c.Strict && version > c.Version:
		return c.alert(protocolVersion)
	case !slices.Contains(suites, c.Suite):
		return c.alert(handshakeFailure)
	}
	var b cryptobyte.Builder
	message(&b, 2, func(b *cryptobyte.Builder) {
		b.AddUint16(c.Version)
		b.AddBytes(bytes.Repeat([]byte{7}, 32))
		b.AddUint8(0)
		b.AddUint16(c.Suite)
		b.AddUint8(0)
	})
	if len(c.Chain) > 0 {
		message(&b, 11, func(b *cryptobyte.Builder) {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, der := range c.Chain {
					b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
				}
			})
		})
	}
	switch {
	case c.PrimeBits > 0:
		message(&b, 12, func(b *cryptobyte.Builder) {
			prime := bytes.Repeat([]byte{0xff}, c.PrimeBits/8)
			for _, part := range [][]byte{prime, {2}, prime[1:], {1, 2, 3}} {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(part) })
			}
		})
	case c.Curve > 0:
		message(&b, 12, func(b *cryptobyte.Builder) {
			b.AddUint8(3)
			b.AddUint16(c.Curve)
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 65)) })
		})
	}
	if c.AsksClient {
		message(&b, 13, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 1, 0, 0}) })
	}
	message(&b, 14, func(*cryptobyte.Builder) {})
	return c.records(22, b.BytesOrPanic())
}

func message(b *cryptobyte.Builder, kind uint8, body cryptobyte.BuilderContinuation) {
	b.AddUint8(kind)
	b.AddUint24LengthPrefixed(body)
}

func (c *Clear) alert(number byte) []byte { return c.records(21, []byte{2, number}) }

// records cuts text into records of at most 2^14 octets.
func (c *Clear) records(kind uint8, text []byte) []byte {
	var b cryptobyte.Builder
	for part := range slices.Chunk(text, 1<<14) {
		b.AddUint8(kind)
		b.AddUint16(c.Version)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(part) })
	}
	return b.BytesOrPanic()
}

// readHello reads the highest version and the suites of a ClientHello.
func readHello(record []byte) (version uint16, suites []uint16, ok bool) {
	s := cryptobyte.String(record)
	var kind uint8
	var hello, session, list cryptobyte.String
	if !s.Skip(5) || !s.ReadUint8(&kind) || kind != 1 || !s.ReadUint24LengthPrefixed(&hello) ||
		!hello.ReadUint16(&version) ||
		!hello.Skip(32) || !hello.ReadUint8LengthPrefixed(&session) || !hello.ReadUint16LengthPrefixed(&list) {
		return 0, nil, false
	}
	for !list.Empty() {
		var suite uint16
		if !list.ReadUint16(&suite) {
			return 0, nil, false
		}
		suites = append(suites, suite)
	}
	return version, suites, true
}
