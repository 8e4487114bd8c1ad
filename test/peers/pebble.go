package peers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

// pebbleVersion is the release of Let's Encrypt's CA for tests. It is built by `go install` as a module of its own, so
// that nothing of it is in go.mod.
const pebbleVersion = "v2.10.3"

// pebbleProgram builds it once and keeps it in the user's cache.
var pebbleProgram = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "postern-test", "pebble-"+pebbleVersion)
	path := filepath.Join(dir, "pebble")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	build := exec.Command("go", "install", "github.com/letsencrypt/pebble/v2/cmd/pebble@"+pebbleVersion)
	build.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// Pebble is a CA that speaks ACME: Let's Encrypt's own for tests. It refuses nonces at random and reuses
// authorizations, as real ones do.
type Pebble struct {
	*Process
	// Directory is where clients begin.
	Directory string
	manage    string
	client    *http.Client
}

// PebbleOptions say how it is to be.
type PebbleOptions struct {
	// CA issues the certificate of its web server.
	CA *pki.CA
	// Resolver is whom it asks for the addresses of names, "address:port".
	Resolver string
	// Port is where it listens, 0 for a free one; HTTPPort and TLSPort are where it comes to names.
	Port, HTTPPort, TLSPort int
	// Life is that of its certificates.
	Life time.Duration
	// Accounts are those that it knows, key id to secret in base64url; it wants one of them then.
	Accounts map[string]string
}

// StartPebble starts one until the end of the test.
func StartPebble(t testing.TB, o PebbleOptions) *Pebble {
	t.Helper()
	program, err := pebbleProgram()
	if err != nil {
		unavailable(t, "pebble cannot be built: "+err.Error())
	}
	if o.Port == 0 {
		o.Port = FreePort(t, "127.0.0.1")
	}
	manage := FreePort(t, "127.0.0.1")
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := o.CA.Issue(pki.Options{Names: []string{"ca.test"}})
	conf, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress":           fmt.Sprintf("127.0.0.1:%d", o.Port),
		"managementListenAddress": fmt.Sprintf("127.0.0.1:%d", manage),
		"certificate":             file("ca.pem", own.CertPEM), "privateKey": file("ca.key", own.KeyPEM),
		"httpPort": o.HTTPPort, "tlsPort": o.TLSPort, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"externalAccountBindingRequired": len(o.Accounts) > 0, "externalAccountMACKeys": o.Accounts,
		"profiles": map[string]any{"default": map[string]any{"description": "for tests",
			"validityPeriod": int(o.Life.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=5")
	p := &Pebble{Directory: fmt.Sprintf("https://ca.test:%d/dir", o.Port),
		manage: fmt.Sprintf("https://127.0.0.1:%d", manage),
		client: &http.Client{Timeout: 5 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: o.CA.Pool(), ServerName: "ca.test"}}},
		Process: launch(t, "pebble", "", nil, env, program, "-config", file("pebble.json", conf), "-dnsserver",
			o.Resolver)}
	for end := time.Now().Add(startTime); ; time.Sleep(50 * time.Millisecond) {
		if _, err := p.get("/roots/0"); err == nil {
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("pebble does not answer:\n%s", p.Log())
		}
	}
}

func (p *Pebble) get(path string) ([]byte, error) {
	r, err := p.client.Get(p.manage + path)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, r.Status)
	}
	return io.ReadAll(r.Body)
}

// Root is what its certificates lead to.
func (p *Pebble) Root(t testing.TB) (pem []byte, pool *x509.CertPool) {
	t.Helper()
	pem, err := p.get("/roots/0")
	pool = x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("pebble's root: %v", err)
	}
	return pem, pool
}
