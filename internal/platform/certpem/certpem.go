// Package certpem reads files of certificates: what is trusted, and chains.
//
// The law: every place that reads certificates reads them here, so that all agree, and nothing that looks like a
// certificate is passed over. What cannot be read is an error with its line: a block that is cut off, damaged or of
// another form, a mark that is not written as RFC 7468 §3 wants it, base64 without marks, a certificate in DER. An
// error never comes with a part of the certificates, for half of a file would be trusted or sent without a word.
//
// Text outside of blocks is people's and is passed over (RFC 7468 §5.2), as are a byte order mark, blanks at the ends
// of lines and the two ways to end a line. A certificate that stands in the file twice is no fault. In a file of what
// is trusted nothing but certificates may stand: a private key there is about to be shown to everybody. A chain may
// stand in one file with its key.
package certpem

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNone means a text without a certificate, and without anything that looks like one.
var ErrNone = errors.New("it holds no certificate in PEM form")

// Error is what cannot be read, and where.
type Error struct {
	Line int // from 1
	What string
}

// Error names the line.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }

// Trusted reads certificates that are trusted, in their order; there is at least one. Errors are *Error or ErrNone.
func Trusted(text []byte) ([]*x509.Certificate, error) {
	certs, faults, err := read(text, false)
	if err == nil && len(faults) > 0 {
		err = faults[0]
	}
	return some(certs, err)
}

// Understood is Trusted for a file that others keep, as an operating system does: intact certificates of a kind that
// crypto/x509 does not know are left out and listed. That can only trust less.
func Understood(text []byte) (certs []*x509.Certificate, left []*Error, err error) {
	certs, left, err = read(text, false)
	certs, err = some(certs, err)
	return certs, left, err
}

// Chain reads a chain, the leaf first, beside which its key and parameters may stand. Errors are those of Trusted.
func Chain(text []byte) ([]*x509.Certificate, error) {
	certs, faults, err := read(text, true)
	if err == nil && len(faults) > 0 {
		err = faults[0]
	}
	return some(certs, err)
}

// Encode writes certificates as Chain reads them.
func Encode(certs []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: label, Bytes: c.Raw}) // a buffer takes everything
	}
	return out.Bytes()
}

func some(certs []*x509.Certificate, err error) ([]*x509.Certificate, error) {
	switch {
	case err != nil:
		return nil, err
	case len(certs) == 0:
		return nil, ErrNone
	}
	return certs, nil
}

// label is that of a certificate; oldLabel is the one of very old programs (RFC 7468 §5.1).
const label, oldLabel = "CERTIFICATE", "X509 CERTIFICATE"

// read finds the certificates of a text, and faults of intact blocks.
func read(text []byte, withKey bool) (certs []*x509.Certificate, faults []*Error, err error) {
	if err := otherForm(text); err != nil {
		return nil, nil, err
	}
	s := scanner{lines: strings.Split(string(bytes.TrimPrefix(text, []byte("\ufeff"))), "\n")}
	for {
		b, err := s.next()
		if b == nil || err != nil {
			return certs, faults, err
		}
		if b.label != label && b.label != oldLabel {
			if withKey && besides(b.label) {
				continue
			}
			return nil, nil, &Error{b.line, misplaced(b.label)}
		}
		der, fault := b.decode()
		if fault != nil {
			return nil, nil, fault
		}
		cert, unknown := x509.ParseCertificate(der)
		if unknown != nil {
			text := "the certificate that begins here cannot be read: " + unknown.Error()
			faults = append(faults, &Error{b.line, text})
			continue
		}
		certs = append(certs, cert)
	}
}

// otherForm recognizes certificates that are no text, and text that is no ASCII.
func otherForm(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return &Error{1, "it is written in UTF-16; save it as plain text (UTF-8)"}
	case len(text) > 4 && text[0] == 0x30 && text[1] >= 0x80: // a long SEQUENCE of DER
		if _, err := x509.ParseCertificates(text); err == nil {
			return &Error{1, "it is a certificate in DER form, not PEM; `openssl x509 -inform der -in FILE` turns " +
				"it into PEM"}
		}
		return &Error{1, "it is in a binary form, not PEM"}
	}
	return nil
}

// besides reports whether a block may stand beside a chain: keys, and parameters of key exchange.
func besides(label string) bool {
	return strings.HasSuffix(label, "PRIVATE KEY") || strings.HasSuffix(label, "PARAMETERS")
}

func misplaced(label string) string {
	switch {
	case label == "TRUSTED CERTIFICATE":
		return "a TRUSTED CERTIFICATE, which only OpenSSL reads; `openssl x509 -in FILE` turns it into a CERTIFICATE"
	case label == "PKCS7" || label == "CMS":
		return "a " + label + " bundle; `openssl pkcs7 -print_certs -in FILE` turns it into certificates"
	case strings.HasSuffix(label, "PRIVATE KEY"):
		return "a private key stands where only certificates belong; take it out of this file"
	}
	return fmt.Sprintf("has a %.40q where only certificates belong", label)
}

// scanner walks over lines.
type scanner struct {
	lines []string
	at    int // the next line, from 0
}

// block is what stands between two marks.
type block struct {
	label string
	line  int // of its first mark, from 1
	body  []string
}

// next returns the next block, nil at the end.
func (s *scanner) next() (*block, error) {
	var b *block
	for ; s.at < len(s.lines); s.at++ {
		line := strings.TrimSpace(s.lines[s.at])
		verb, name, is := mark(line)
		switch {
		case is && verb == "":
			return nil, &Error{s.at + 1, "is no whole BEGIN or END line, which stands alone on its line and has " +
				"five dashes on both sides"}
		case is && verb == "BEGIN" && b == nil:
			b = &block{label: name, line: s.at + 1}
		case is && verb == "END" && b == nil:
			return nil, &Error{s.at + 1, "ends a block that has no beginning"}
		case is && verb == "END" && name == b.label:
			s.at++
			return b, nil
		case is:
			return nil, &Error{b.line, "the block that begins here is cut off"}
		case b != nil:
			b.body = append(b.body, line)
		case bare(line):
			return nil, &Error{s.at + 1, "looks like a certificate without its BEGIN line"}
		}
	}
	if b != nil {
		return nil, &Error{b.line, "the block that begins here is cut off"}
	}
	return nil, nil
}

// mark reads the line before or after a block. A line that looks like one and is none has an empty verb.
func mark(line string) (verb, label string, is bool) {
	inner := strings.ToUpper(strings.TrimLeft(line, "-\u2010\u2011\u2012\u2013\u2014\u2015 "))
	starts := len(inner) < len(line) && (strings.HasPrefix(inner, "BEGIN ") || strings.HasPrefix(inner, "END "))
	if !starts && !strings.Contains(line, "-----BEGIN ") && !strings.Contains(line, "-----END ") {
		return "", "", false
	}
	whole, ok := strings.CutPrefix(line, "-----")
	whole, closed := strings.CutSuffix(whole, "-----")
	verb, label, _ = strings.Cut(whole, " ")
	if !ok || !closed || verb != "BEGIN" && verb != "END" || label == "" || strings.Contains(label, "-----") {
		return "", "", true
	}
	return verb, label, true
}

// bare reports whether a line outside of blocks is the first of a certificate in base64.
func bare(line string) bool {
	return len(line) >= 48 && strings.HasPrefix(line, "MII") && !slices.ContainsFunc([]byte(line), notBase64)
}

func notBase64(c byte) bool {
	return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '/' && c != '='
}

// decode returns the content of a block.
func (b *block) decode() ([]byte, *Error) {
	for i, line := range b.body {
		if slices.ContainsFunc([]byte(line), func(c byte) bool { return notBase64(c) && c != ' ' && c != '\t' }) {
			return nil, &Error{b.line + 1 + i, "is no base64; the certificate around it is damaged"}
		}
	}
	text := strings.Join(strings.Fields(strings.Join(b.body, " ")), "")
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(der) == 0 {
		return nil, &Error{b.line, "the certificate that begins here is damaged: it is no whole base64"}
	}
	return der, nil
}
