package certpem

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func lines(text []byte) int { return bytes.Count(text, []byte("\n")) }

func armour(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

func TestWhatPeoplePutIntoFilesIsRead(t *testing.T) {
	a, b := pki.New(now, "A").RootPEM(), pki.New(now, "B").RootPEM()
	der, _ := pem.Decode(a)
	long := "-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString(der.Bytes) + "\n-----END CERTIFICATE-----"
	for what, c := range map[string]struct {
		text string
		want int
	}{
		"one":            {string(a), 1},
		"two":            {string(a) + string(b), 2},
		"twice the same": {string(a) + string(a), 2},
		"CRLF":           {strings.ReplaceAll(string(a)+string(b), "\n", "\r\n"), 2},
		"a BOM":          {"\ufeff" + string(a), 1},
		"words between":  {"Bag Attributes\n  friendlyName: A\n" + string(a) + "\n# and B - the END of it, BEGIN of nothing\nsubject=CN = B\n" + string(b) + "bye", 2},
		"blanks":         {strings.ReplaceAll(string(a), "\n", "  \t\n"), 1},
		"indented":       {"  " + strings.ReplaceAll(strings.TrimSpace(string(a)), "\n", "\n  "), 1},
		"no last break":  {strings.TrimSpace(string(a)), 1},
		"one long line":  {long, 1},
		"an old label":   {string(armour(oldLabel, der.Bytes)), 1},
		"an empty line":  {strings.Replace(string(a), "-----\n", "-----\n\n", 1), 1},
		"a fingerprint":  {strings.Repeat("ab", 32) + "\n" + string(a), 1},
	} {
		if certs, err := Trusted([]byte(c.text)); err != nil || len(certs) != c.want {
			t.Errorf("%s: %d certificates, %v", what, len(certs), err)
		}
		if certs, err := Chain([]byte(c.text)); err != nil || len(certs) != c.want {
			t.Errorf("%s as a chain: %d certificates, %v", what, len(certs), err)
		}
	}
}

func TestWhatLooksLikeACertificateAndCannotBeReadIsNamedByItsLine(t *testing.T) {
	a, b := pki.New(now, "A").RootPEM(), pki.New(now, "B").RootPEM()
	der, _ := pem.Decode(a)
	second := lines(a) + 1 // where what follows a begins
	at := func(line int, what string) string { return fmt.Sprintf("line %d: %s", line, what) }
	body := strings.SplitN(string(b), "\n", 3)
	for what, c := range map[string]struct{ text, want string }{
		"cut off":            {string(a) + string(b[:len(b)/2]), at(second, "the block that begins here is cut off")},
		"cut off before b":   {string(a[:len(a)/2]) + "\n" + string(b), at(1, "the block that begins here is cut off")},
		"a foreign letter":   {string(a) + body[0] + "\n" + "!" + body[1][1:] + "\n" + body[2], at(second+1, "is no base64")},
		"a lost letter":      {string(a) + body[0] + "\n" + body[1][1:] + "\n" + body[2], at(second, "the certificate that begins here")},
		"a changed letter":   {string(a) + body[0] + "\n" + "A" + body[1][1:] + "\n" + body[2], at(second, "the certificate that begins here cannot be read")},
		"an empty block":     {string(a) + "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", at(second, "the certificate that begins here is damaged")},
		"headers":            {string(a) + body[0] + "\nProc-Type: 4,ENCRYPTED\n\n" + body[1] + "\n" + body[2], at(second+1, "is no base64")},
		"joined marks":       {strings.TrimSpace(string(a)) + string(b), at(second-1, "is no whole BEGIN or END line")},
		"four dashes":        {string(a) + strings.ReplaceAll(string(b), "-----", "----"), at(second, "is no whole BEGIN or END line")},
		"long dashes":        {string(a) + strings.ReplaceAll(string(b), "-----", "\u2014"), at(second, "is no whole BEGIN or END line")},
		"small letters":      {string(a) + strings.ReplaceAll(string(b), "BEGIN CERTIFICATE", "begin certificate"), at(second, "is no whole BEGIN or END line")},
		"an end alone":       {string(a) + "-----END CERTIFICATE-----\n", at(second, "ends a block that has no beginning")},
		"another end":        {strings.Replace(string(a), "END CERTIFICATE", "END X509 CRL", 1), at(1, "the block that begins here is cut off")},
		"no marks":           {string(a) + "\n" + body[1] + "\n", at(second+1, "looks like a certificate without its BEGIN line")},
		"of OpenSSL":         {string(a) + string(armour("TRUSTED CERTIFICATE", append(slices.Clone(der.Bytes), 0x30, 0))), at(second, "a TRUSTED CERTIFICATE")},
		"a bundle":           {string(armour("PKCS7", der.Bytes)), at(1, "a PKCS7 bundle")},
		"a list":             {string(a) + string(armour("X509 CRL", der.Bytes)), at(second, "has a \"X509 CRL\" where")},
		"after a BOM":        {"\ufeff" + string(a) + string(b[:100]), at(second, "the block that begins here is cut off")},
		"with CRLF":          {strings.ReplaceAll(string(a)+string(b[:100]), "\n", "\r\n"), at(second, "the block that begins here is cut off")},
		"DER":                {string(der.Bytes), "line 1: it is a certificate in DER form"},
		"cut DER":            {string(der.Bytes[:100]), "line 1: it is in a binary form"},
		"UTF-16":             {"\xff\xfe-\x00-\x00", "line 1: it is written in UTF-16"},
		"empty":              {"", ErrNone.Error()},
		"words":              {"there is nothing here", ErrNone.Error()},
		"a mark of no label": {"-----BEGIN -----\n", at(1, "is no whole BEGIN")},
	} {
		for kind, read := range map[string]func() (int, error){
			"trusted": func() (int, error) { certs, err := Trusted([]byte(c.text)); return len(certs), err },
			"chain":   func() (int, error) { certs, err := Chain([]byte(c.text)); return len(certs), err },
		} {
			if n, err := read(); err == nil || !strings.HasPrefix(err.Error(), c.want) || n != 0 {
				t.Errorf("%s, %s: %d certificates, %v; want %s", what, kind, n, err, c.want)
			}
		}
	}
}

func TestAKeyMayStandWithItsChainAndNotWithWhatIsTrusted(t *testing.T) {
	leaf := pki.New(now, "A").Issue(pki.Options{Names: []string{"a.test"}})
	text := slices.Concat(armour("EC PARAMETERS", []byte{1}), leaf.KeyPEM, leaf.CertPEM)
	certs, err := Chain(text)
	if err != nil || !certs[0].Equal(leaf.Leaf) {
		t.Errorf("as a chain: %v", err)
	}
	var e *Error
	if _, err := Trusted(slices.Concat(leaf.CertPEM, leaf.KeyPEM)); !errors.As(err, &e) || e.Line != lines(leaf.CertPEM)+1 ||
		!strings.Contains(e.What, "private key") {
		t.Errorf("as what is trusted: %v", err)
	}
	if again, err := Chain(Encode(certs)); err != nil || len(again) != len(certs) || !again[0].Equal(certs[0]) {
		t.Errorf("written and read again: %v", err)
	}
}

func TestWhatASystemTrustsAndWeDoNotKnowIsLeftOutAndSaid(t *testing.T) {
	a := pki.New(now, "A").RootPEM()
	odd := armour(label, []byte{0x30, 0x03, 0x02, 0x01, 0x05})
	certs, left, err := Understood(slices.Concat(odd, a))
	if err != nil || len(certs) != 1 || len(left) != 1 || left[0].Line != 1 {
		t.Errorf("%d certificates, left %v, %v", len(certs), left, err)
	}
	if _, _, err := Understood(odd); !errors.Is(err, ErrNone) {
		t.Errorf("nothing understood: %v", err)
	}
	if _, _, err := Understood(a[:100]); err == nil {
		t.Error("a damaged file of the system is read")
	}
}
