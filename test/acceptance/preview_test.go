package acceptance

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// TestAPreviewSaysNotKnownOfWhatWasNotExamined asks what rules would have meant for mail that went without any: what the
// verdict would have looked at then and nobody did is neither good nor bad.
func TestAPreviewSaysNotKnownOfWhatWasNotExamined(t *testing.T) {
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
	pin := `"pins": ["sha256:` + strings.Repeat("ab", 32) + `"]`
	for _, c := range []struct{ what, domain, settings, outcome, reason string }{
		{"names of mail hosts that a rule remembers", "good.test", ``, "unknown", ""},
		{"names of mail hosts that DNS proves", "good.test", `"mx": "proven", "revocation": "off"`, "unknown", ""},
		{"a pin", "good.test", `"mx": "any", "revocation": "off", ` + pin, "unknown", ""},
		{"another trust", "good.test", `"mx": "any", "revocation": "off", "trust": "` + filepath.Join(w.Dir, "ca.pem") + `"`, "unknown", ""},
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
