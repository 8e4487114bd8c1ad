package certcheck_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
)

// limboFile holds the C2SP/x509-limbo vectors, kept beside the repository and not in it. The tables of this package
// cover every fault with certificates of our own, so that nothing rests on the vectors alone.
const limboFile = "../../../../shared/data/x509-limbo.json"

type limboCase struct {
	ID             string
	ValidationKind string                       `json:"validation_kind"`
	Trusted        []string                     `json:"trusted_certs"`
	Intermediates  []string                     `json:"untrusted_intermediates"`
	Peer           string                       `json:"peer_certificate"`
	ValidationTime time.Time                    `json:"validation_time"` // null: about when the vectors were made
	ExpectedResult string                       `json:"expected_result"`
	ExpectedPeer   struct{ Kind, Value string } `json:"expected_peer_name"`
}

// Why we pass what the vectors want to fail. None of these lets a peer prove what is not so.
const (
	byRevocation = "revocation is looked up by another room"
	depth        = "there is no setting for the depth of a chain"
	formality    = "a formality for CAs: the form of an extension or a serial number proves nothing and disproves nothing"
	webOnly      = "a rule for public web CAs that private CAs of mail servers need not keep"
	anchor       = "a trusted root is trusted by name and key, whatever its form"
	commonName   = "the common name does not count, right or wrong"
	underscore   = "mail hosts with an underscore in their name exist"
	leadingDot   = "a constraint with a leading dot is understood by everybody as what is below"
)

// Why we refuse what the vectors want to pass.
const (
	ipName      = "mail hosts have names; IP addresses do not count"
	constraint  = "constraints on other kinds of names than DNS names are not understood, and so refused"
	selfIssued  = "crypto/x509 makes no exception for self-issued certificates, which nobody has"
	mayNotSign  = "the key usage of the leaf lacks digitalSignature, with which it signs the handshake"
	unnamedPeer = "without an expected name nothing is proven"
)

func TestLimbo(t *testing.T) {
	differ := map[string]string{
		"crl::revoked-certificate-with-crl":                         byRevocation,
		"crl::crlnumber-missing":                                    byRevocation,
		"crl::crlnumber-critical":                                   byRevocation,
		"crl::issuer-missing-crlsign":                               byRevocation,
		"pathlen::max-chain-depth-0-exhausted":                      depth,
		"pathlen::max-chain-depth-1-exhausted":                      depth,
		"rfc5280::aki::leaf-missing-aki":                            formality,
		"rfc5280::aki::intermediate-missing-aki":                    formality,
		"rfc5280::aki::cross-signed-root-missing-aki":               formality,
		"rfc5280::nc::permitted-dns-match-noncritical":              formality,
		"rfc5280::pc::ica-noncritical-pc":                           formality,
		"rfc5280::san::noncritical-with-empty-subject":              formality,
		"webpki::san::san-critical-with-nonempty-subject":           formality,
		"rfc5280::serial::too-long":                                 formality,
		"rfc5280::serial::zero":                                     formality,
		"rfc5280::ski::intermediate-missing-ski":                    formality,
		"rfc5280::ca-empty-subject":                                 formality,
		"rfc5280::nc::invalid-dnsname-leading-period":               leadingDot,
		"rfc5280::san::underscore-dns":                              underscore,
		"rfc5280::ski::root-missing-ski":                            anchor,
		"rfc5280::root-non-critical-basic-constraints":              anchor,
		"rfc5280::root-inconsistent-ca-extensions":                  anchor,
		"webpki::aki::root-with-aki-missing-keyidentifier":          anchor,
		"webpki::aki::root-with-aki-authoritycertissuer":            anchor,
		"webpki::aki::root-with-aki-authoritycertserialnumber":      anchor,
		"webpki::aki::root-with-aki-all-fields":                     anchor,
		"webpki::aki::root-with-aki-ski-mismatch":                   anchor,
		"webpki::eku::root-has-eku":                                 anchor,
		"webpki::forbidden-rsa-not-divisible-by-8-in-root":          anchor,
		"webpki::cn::punycode-not-in-san":                           commonName,
		"webpki::cn::utf8-vs-punycode-mismatch":                     commonName,
		"webpki::cn::not-in-san":                                    commonName,
		"webpki::cn::case-mismatch":                                 commonName,
		"webpki::eku::ee-anyeku":                                    webOnly,
		"webpki::eku::ee-critical-eku":                              webOnly,
		"webpki::eku::ee-without-eku":                               webOnly,
		"webpki::san::public-suffix-private-namespace-wildcard-san": webOnly,
		"webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf":      webOnly,
		"webpki::ee-basicconstraints-ca":                            webOnly,

		"pathlen::validation-ignores-pathlen-in-leaf": mayNotSign,
		"rfc5280::ca-as-leaf":                         mayNotSign,
		"pathlen::self-issued-certs-pathlen":          selfIssued,
		"rfc5280::nc::permitted-self-issued":          selfIssued,
		"rfc5280::nc::permitted-ipv4-match":           ipName,
		"rfc5280::nc::permitted-ipv6-match":           ipName,
		"webpki::san::exact-localhost-ip-san":         ipName,
		"rfc5280::nc::permitted-dn-match":             unnamedPeer,
		"rfc5280::nc::nc-forbids-othername-noop":      constraint,
	}
	for _, c := range readLimbo(t) {
		t.Run(c.ID, func(t *testing.T) {
			if c.ValidationKind != "SERVER" {
				t.Skip("about a client's certificate")
			}
			start := cpuTime(t)
			got, why := limbo(t, c), differ[c.ID]
			if took := cpuTime(t) - start; took > 2*time.Second {
				t.Errorf("took %s", took)
			}
			same := (got == "") == (c.ExpectedResult == "SUCCESS")
			switch {
			case !same && why == "":
				t.Errorf("want %s, got %q", c.ExpectedResult, got)
			case same && why != "":
				t.Errorf("agrees, but is listed as different: %s", why)
			}
		})
	}
}

func readLimbo(t *testing.T) []limboCase {
	t.Helper()
	text, err := os.ReadFile(limboFile)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the x509-limbo vectors are not at " + limboFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Testcases []limboCase }
	if err := json.Unmarshal(text, &all); err != nil || len(all.Testcases) < 150 {
		t.Fatalf("%d cases, %v", len(all.Testcases), err)
	}
	return all.Testcases
}

// limbo examines a case and returns the reasons. A certificate that does not parse fails the handshake already; a root
// that does not parse is not in the pool.
func limbo(t *testing.T, c limboCase) string {
	in := certcheck.Input{Now: c.ValidationTime}
	if in.Now.IsZero() {
		in.Now = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	}
	for _, text := range append([]string{c.Peer}, c.Intermediates...) {
		cert, err := parsePEM(text)
		if err != nil {
			return "tls-handshake"
		}
		in.Chain = append(in.Chain, cert)
	}
	pool := x509.NewCertPool()
	for _, text := range c.Trusted {
		if cert, err := parsePEM(text); err == nil {
			pool.AddCert(cert)
		}
	}
	in.Roots = map[string]*x509.CertPool{policy.PublicTrust: pool}
	if c.ExpectedPeer.Kind == "DNS" {
		d, err := mail.ParseDomain(c.ExpectedPeer.Value)
		if err != nil {
			t.Fatal(err)
		}
		in.Host = d
	}
	return reasons(t, in)
}

func parsePEM(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(strings.TrimSpace(text)))
	if block == nil {
		return nil, errors.New("not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
