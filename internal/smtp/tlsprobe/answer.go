package tlsprobe

import (
	"errors"
	"fmt"
	"io"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
)

// Answer is what a server said in the clear to a Hello, as far as it came. Nothing of it is verified.
type Answer struct {
	// Chosen says that a ServerHello came; Version and Suite are what it chose.
	Chosen  bool
	Version uint16
	Suite   Suite
	// Chain is the certificates as sent, DER, leaf first.
	Chain [][]byte
	// PrimeBits is the size of the group of a finite-field key exchange, Curve the named one of an elliptic one; 0
	// where there is none.
	PrimeBits int
	Curve     uint16
	// ClientCertificate says that the server asks for one.
	ClientCertificate bool
	// Done says that the server said everything it has to say before the client's turn.
	Done bool
	// Alert is the number of the alert that ended it (RFC 5246 §7.2), Alerted says that there was one.
	Alert   byte
	Alerted bool
	// Text is the beginning of what came where that was no TLS at all; hostile octets.
	Text []byte
}

// Types of records and messages (RFC 5246 §6.2.1, §7.4).
const (
	recordAlert     = 21
	recordHandshake = 22

	messageHelloRequest       = 0
	messageClientHello        = 1
	messageServerHello        = 2
	messageCertificate        = 11
	messageServerKeyExchange  = 12
	messageCertificateRequest = 13
	messageServerHelloDone    = 14
)

// The bounds of what is read. A chain of twenty large certificates fits; a record is at most 16 KiB and what encryption
// adds (RFC 5246 §6.2.3).
const (
	maxAnswer       = 128 << 10 // octets altogether
	maxRecord       = 16<<10 + 2048
	maxCertificates = 32
	maxText         = 400
)

// Errors of Read; others are those of the reader.
var (
	ErrNotTLS  = errors.New("what came is not TLS")
	ErrTooLong = errors.New("the answer is too long")
	ErrBroken  = errors.New("the answer breaks the grammar of TLS")
)

// Read reads the answer to a Hello, until the server waits for the client, breaks off with an alert, or r ends. The
// Answer is never nil and holds what came before the error. It reads at most maxAnswer octets and ends with r's error,
// so the caller bounds the time.
func Read(r io.Reader) (*Answer, error) {
	a := &Answer{}
	p := &reading{answer: a, r: &io.LimitedReader{R: r, N: maxAnswer}}
	for !a.Done && !a.Alerted {
		if err := p.record(); err != nil {
			return a, err
		}
	}
	return a, nil
}

// reading takes records apart; a handshake message may span several, and one may hold several.
type reading struct {
	answer  *Answer
	r       *io.LimitedReader
	records int
	pending []byte // of messages not yet complete
}

func (p *reading) record() error {
	head := make([]byte, 5)
	n, err := io.ReadFull(p.r, head)
	if p.records == 0 && n > 0 && (err != nil || !isRecord(head)) {
		return p.notTLS(head[:n])
	}
	if err != nil {
		return p.ended(err)
	}
	if !isRecord(head) {
		return ErrBroken
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(p.r, body); err != nil {
		return p.ended(err)
	}
	p.records++
	if head[0] == recordAlert {
		return p.alert(body)
	}
	p.pending = append(p.pending, body...)
	return p.messages()
}

// isRecord reports whether an alert or a handshake record begins so.
func isRecord(head []byte) bool {
	length := int(head[3])<<8 | int(head[4])
	return head[1] == 3 && (head[0] == recordAlert || head[0] == recordHandshake) && length > 0 && length <= maxRecord
}

// ended tells the end of what may be read from the end of what there is.
func (p *reading) ended(err error) error {
	if p.r.N == 0 {
		return ErrTooLong
	}
	return err
}

// notTLS keeps the first line of what came instead, where it is text.
func (p *reading) notTLS(text []byte) error {
	for one := make([]byte, 1); looksLikeText(text) && len(text) < maxText && text[len(text)-1] != '\n'; {
		if _, err := io.ReadFull(p.r, one); err != nil {
			break
		}
		text = append(text, one[0])
	}
	if looksLikeText(text[:min(len(text), 5)]) {
		p.answer.Text = text
	}
	return ErrNotTLS
}

func looksLikeText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\r' && c != '\n' && c != '\t' || c > '~' {
			return false
		}
	}
	return len(b) > 0
}

// warning is the level of an alert after which the handshake goes on (RFC 5246 §7.2), as after unrecognized_name.
const warning = 1

func (p *reading) alert(body []byte) error {
	if len(body) != 2 {
		return ErrBroken
	}
	const closeNotify = 0
	if body[0] == warning && body[1] != closeNotify {
		if p.records > maxCertificates {
			return ErrTooLong
		}
		return nil
	}
	p.answer.Alert, p.answer.Alerted = body[1], true
	return nil
}

// messages takes every complete message.
func (p *reading) messages() error {
	for len(p.pending) >= 4 && !p.answer.Done {
		kind, length := p.pending[0], int(p.pending[1])<<16|int(p.pending[2])<<8|int(p.pending[3])
		if length > maxAnswer {
			return ErrTooLong
		}
		if len(p.pending) < 4+length {
			return nil
		}
		body := cryptobyte.String(p.pending[4 : 4+length])
		p.pending = p.pending[4+length:]
		if err := p.answer.message(kind, body); err != nil {
			return err
		}
	}
	return nil
}

func (a *Answer) message(kind byte, body cryptobyte.String) error {
	if !a.Chosen && kind != messageServerHello && kind != messageHelloRequest {
		return fmt.Errorf("%w: message %d before the ServerHello", ErrBroken, kind)
	}
	switch kind {
	case messageServerHello:
		return a.hello(body)
	case messageCertificate:
		return a.certificates(body)
	case messageServerKeyExchange:
		a.keyExchange(body)
	case messageCertificateRequest:
		a.ClientCertificate = true
	case messageServerHelloDone:
		a.Done = true
	}
	return nil // others, like CertificateStatus, tell nothing that is needed
}

// hello reads version and suite. What follows them does not matter here.
func (a *Answer) hello(body cryptobyte.String) error {
	var suite uint16
	var session cryptobyte.String
	if a.Chosen || !body.ReadUint16(&a.Version) || !body.Skip(32) || !body.ReadUint8LengthPrefixed(&session) ||
		!body.ReadUint16(&suite) {
		return fmt.Errorf("%w: its ServerHello", ErrBroken)
	}
	a.Suite, a.Chosen = Suite(suite), true
	return nil
}

func (a *Answer) certificates(body cryptobyte.String) error {
	var list cryptobyte.String
	if len(a.Chain) > 0 || !body.ReadUint24LengthPrefixed(&list) || !body.Empty() {
		return fmt.Errorf("%w: its Certificate message", ErrBroken)
	}
	for !list.Empty() {
		var one cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&one) || len(one) == 0 {
			return fmt.Errorf("%w: its Certificate message", ErrBroken)
		}
		if len(a.Chain) == maxCertificates {
			return fmt.Errorf("%w: over %d certificates", ErrTooLong, maxCertificates)
		}
		a.Chain = append(a.Chain, append([]byte(nil), one...))
	}
	return nil
}

// keyExchange reads the parameters, which come first (RFC 5246 §7.4.3, RFC 8422 §5.4). What cannot be read stays zero.
func (a *Answer) keyExchange(body cryptobyte.String) {
	switch a.Suite.Exchange() {
	case DHE, Anonymous:
		if !a.Suite.elliptic() {
			var prime cryptobyte.String
			if body.ReadUint16LengthPrefixed(&prime) {
				a.PrimeBits = new(big.Int).SetBytes(prime).BitLen()
			}
			return
		}
		fallthrough
	case ECDHE:
		const named = 3
		var kind uint8
		var curve uint16
		if body.ReadUint8(&kind) && kind == named && body.ReadUint16(&curve) {
			a.Curve = curve
		}
	}
}
