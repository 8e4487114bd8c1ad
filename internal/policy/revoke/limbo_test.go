package revoke

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"testing"
	"time"
)

// limboFile holds the C2SP/x509-limbo vectors, kept beside the repository and not in it.
const limboFile = "../../../../shared/data/x509-limbo.json"

type limboCase struct {
	ID             string
	Trusted        []string  `json:"trusted_certs"`
	Peer           string    `json:"peer_certificate"`
	ValidationTime time.Time `json:"validation_time"`
	ExpectedResult string    `json:"expected_result"`
	CRLs           []string  `json:"crls"`
}

// TestLimbo holds the vectors that come with lists against our reading of them: success must be "not revoked", failure
// anything else.
func TestLimbo(t *testing.T) {
	differ := map[string]string{
		// A list without a number is what small CAs make with common tools; which list is newer says its date.
		"crl::crlnumber-missing": "the number is not needed for anything here",
	}
	tried := 0
	for _, c := range readLimbo(t) {
		if len(c.CRLs) == 0 {
			continue
		}
		tried++
		t.Run(c.ID, func(t *testing.T) {
			good := c.judge(t)
			if why, known := differ[c.ID]; known != (good != (c.ExpectedResult == "SUCCESS")) {
				t.Errorf("not revoked: %v, expected %s (known difference: %q)", good, c.ExpectedResult, why)
			}
		})
	}
	if tried < 8 {
		t.Errorf("only %d vectors with lists", tried)
	}
}

// judge reports whether one of the lists says, for sure, that the certificate is not revoked.
func (c *limboCase) judge(t *testing.T) (good bool) {
	q := &question{cert: limboCertificate(t, c.Peer), issuer: limboCertificate(t, c.Trusted[0]), leaf: true, now: c.ValidationTime}
	for _, text := range c.CRLs {
		list, err := readCRL(unarmoured([]byte(text)), q.issuer)
		if err == nil {
			err = inForce(list, q.now)
		}
		if err != nil {
			t.Logf("the list does not count: %v", err)
			continue
		}
		v, err := list.judge(q, point{})
		if err != nil || v.revoked {
			t.Logf("revoked %v, %v", v.revoked, err)
			return false
		}
		good = true
	}
	return good
}

func limboCertificate(t *testing.T, text string) *x509.Certificate {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func readLimbo(t *testing.T) []limboCase {
	t.Helper()
	text, err := os.ReadFile(limboFile)
	if err != nil {
		t.Skip("the x509-limbo vectors are not at " + limboFile)
	}
	var file struct{ Testcases []limboCase }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Testcases
}
