package acceptance

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
)

// TestAPreviewIsTheGatewaysJudgement asks what rules would have meant for mail that went without any: the verdict of
// now over what was shown then. What nobody examined is neither good nor bad.
func TestAPreviewIsTheGatewaysJudgement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("good.test", w.Good("mx.good.test"))
	w.Domain("old.test", w.Expired("mx.old.test"))
	w.Domain("plain.test", partner.Behaviour{})
	w.Start("")
	for _, domain := range []string{"good.test", "old.test", "plain.test"} {
		w.Send("anna@home.test", "before there was a rule", "x@"+domain)
		w.Await("x@"+domain, harness.In("delivered"))
	}
	other := filepath.Join(w.Dir, "other.pem")
	if err := os.WriteFile(other, pki.New(time.Now(), "Another").RootPEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	pin := `"pins": ["sha256:` + strings.Repeat("ab", 32) + `"]`
	for _, c := range []struct{ what, domain, settings, outcome, reason string }{
		{"nobody asked whether the certificate is revoked", "good.test", ``, "unknown", ""},
		{"names of mail hosts that a rule remembers", "good.test", `"revocation": "off"`, "as-now", ""},
		{"names of mail hosts that DNS proves", "good.test", `"mx": "proven", "revocation": "off"`, "waits", "mx-unproven"},
		{"the domain's own name", "good.test", `"mx": "proven", "revocation": "off", "names": "domain"`, "as-now", ""},
		{"a pin of nobody", "good.test", `"mx": "any", "revocation": "off", ` + pin, "waits", "pin-mismatch"},
		{"a pin of the root, which no server sends", "good.test", `"mx": "any", "revocation": "off", "pins": ["` + spki(w.CA.Root()) + `"]`, "as-now", ""},
		{"another trust", "good.test", `"mx": "any", "revocation": "off", "trust": "` + filepath.Join(w.Dir, "ca.pem") + `"`, "as-now", ""},
		{"a trust that does not hold the root", "good.test", `"mx": "any", "revocation": "off", "trust": "` + other + `"`, "waits", "cert-untrusted"},
		{"a staple", "good.test", `"mx": "any", "revocation": "require"`, "unknown", ""},
		{"a name the certificate does not have", "good.test", `"mx": "any", "revocation": "off", "names": ["mx.else.test"]`, "waits", "cert-name-mismatch"},
		{"no TLS", "plain.test", ``, "waits", "starttls-not-offered"},
		{"no TLS, and to be rejected", "plain.test", `"without_tls": "reject"`, "returned", "starttls-not-offered"},
		{"an expired certificate", "old.test", `"mx": "any", "revocation": "off"`, "waits", "cert-expired"},
	} {
		body := `{"name": "x", "action": "force-tls", "match": {"recipient": ["` + c.domain + `"]}, "force_tls": {` + c.settings + `}}`
		var answer struct {
			Rows []struct{ To, Outcome, Reason string }
		}
		if text := w.post("/api/v1/previews", body); json.Unmarshal([]byte(text), &answer) != nil || len(answer.Rows) != 1 {
			t.Errorf("%s: %s", c.what, text)
			continue
		}
		if row := answer.Rows[0]; row.To != "x@"+c.domain || row.Outcome != c.outcome || row.Reason != c.reason {
			t.Errorf("%s: %+v, want %s %s", c.what, row, c.outcome, c.reason)
		}
	}
}

// spki is the pin of a certificate.
func spki(c *x509.Certificate) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(c.RawSubjectPublicKeyInfo))
}

// post asks the API at the control socket.
func (w *world) post(path, body string) string {
	w.T.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(w.Dir, "data", "postern.sock"))
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: harness.Patience}
	r, err := client.Post("http://postern"+path, "application/json", strings.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		w.T.Fatal(err)
	}
	return string(text)
}
