package certpem_test

import (
	"crypto"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/platform/certpem"
)

func TestAPrivateKeyIsReadFromWhateverStandsAroundIt(t *testing.T) {
	c := pki.New(time.Now(), "CA").Issue(pki.Options{Names: []string{"a.test"}})
	for what, text := range map[string]string{
		"alone": string(c.KeyPEM), "after its certificate": string(c.CertPEM) + string(c.KeyPEM),
		"after parameters": "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + string(c.KeyPEM), "after a mark": "\ufeff" + string(c.KeyPEM),
	} {
		key, err := certpem.PrivateKey([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if public, ok := c.TLS.Leaf.PublicKey.(interface{ Equal(x crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
			t.Errorf("%s: another key", what)
		}
	}
	for what, tc := range map[string]struct{ text, want string }{
		"nothing": {"", "holds no private key"}, "a certificate": {string(c.CertPEM), "holds no private key"},
		"an encrypted one": {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "is encrypted"},
		"a damaged one":    {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read"},
	} {
		if _, err := certpem.PrivateKey([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
