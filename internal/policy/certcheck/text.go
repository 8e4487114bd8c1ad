package certcheck

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postern/internal/mail"
)

// maxListed is how many names a sentence quotes before it counts the rest.
const maxListed = 5

// printable makes hostile text fit for one line: control, invisible and direction-changing characters and broken UTF-8
// become escapes, and what is longer than max octets is cut.
func printable(s string, max int) string {
	cut := len(s) > max
	if cut {
		s = s[:max]
	}
	quoted := strconv.QuoteToGraphic(s)
	s = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	if cut {
		s += "..."
	}
	return s
}

func subject(c *x509.Certificate) string { return distinguished(c.Subject.String()) }
func issuer(c *x509.Certificate) string  { return distinguished(c.Issuer.String()) }

func distinguished(name string) string {
	if name == "" {
		return "(no name)"
	}
	return printable(name, 200)
}

// list joins names that are printable already, at most maxListed of them; none stands for an empty list.
func list(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return mail.AtMost(names, maxListed, ", ")
}

// presented returns the DNS names of c, printable, at most limit of them.
func presented(c *x509.Certificate, limit int) []string {
	var out []string
	for _, name := range c.DNSNames[:min(len(c.DNSNames), limit)] {
		out = append(out, printable(name, 255))
	}
	return out
}

// keyName says kind and size of the public key, "RSA 2048".
func keyName(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	if c.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm {
		return "unknown"
	}
	return c.PublicKeyAlgorithm.String()
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
