package certorder

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"postern/internal/queue/memstore"
)

// The example of RFC 9773 §4.1.
func TestACertificateIsNamedForRenewal(t *testing.T) {
	keyID := []byte{0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1, 0xB3, 0x7B, 0x84, 0x7B, 0xA0, 0xAE, 0x2C, 0xDE, 0x01, 0xC8, 0xD4}
	got, err := certificateID(&x509.Certificate{AuthorityKeyId: keyID, SerialNumber: big.NewInt(0x87654321)})
	if err != nil || got != "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := certificateID(&x509.Certificate{SerialNumber: big.NewInt(1)}); !errors.Is(err, errNoWindow) {
		t.Errorf("without the issuer's key id: %v", err)
	}
}

// at is a CA that is asked at a server.
func at(t *testing.T, answer http.HandlerFunc) *directory {
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	return newDirectory(&Config{Directory: server.URL + "/dir", HTTP: server.Client(), Challenges: []string{HTTP01}, Email: "admin@home.test"}, newBook(memstore.New()))
}

func TestTheWindowIsReadAndNonsenseIsNot(t *testing.T) {
	leaf := &x509.Certificate{AuthorityKeyId: []byte{1}, SerialNumber: big.NewInt(2)}
	const good = `{"suggestedWindow":{"start":"2027-01-02T04:00:00Z","end":"2027-01-03T04:00:00Z"}}`
	for _, c := range []struct {
		what, info, retry string
		status            int
		good              bool
		again             time.Duration
	}{
		{"a window", good, "21600", 200, true, 6 * time.Hour},
		{"a window for a minute", good, "60", 200, true, time.Hour},
		{"a window for a month", good, "2592000", 200, true, day},
		{"a window, no word when to ask again", good, "", 200, true, 6 * time.Hour},
		{"a window, and nonsense", good, "soon", 200, true, 6 * time.Hour},
		{"the end before the start", `{"suggestedWindow":{"start":"2027-01-03T04:00:00Z","end":"2027-01-02T04:00:00Z"}}`, "", 200, false, 6 * time.Hour},
		{"no window", `{}`, "", 200, false, 6 * time.Hour},
		{"no JSON", `<html>`, "", 200, false, time.Hour},
		{"endless", `{"suggestedWindow":"` + strings.Repeat("x", mostAnswer), "", 200, false, time.Hour},
		{"an error", good, "", 500, false, time.Hour},
		{"an unknown certificate", good, "", 404, false, time.Hour},
	} {
		a := at(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/dir" {
				_ = json.NewEncoder(w).Encode(map[string]string{"renewalInfo": "https://" + r.Host + "/info"})
				return
			}
			if r.URL.Path != "/info/AQ.Ag" {
				t.Errorf("asked %s", r.URL)
			}
			if c.retry != "" {
				w.Header().Set("Retry-After", c.retry)
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.info)
		})
		w, again, err := a.Window(t.Context(), leaf)
		if (err == nil) != c.good || again != c.again || c.good == w.start.IsZero() {
			t.Errorf("%s: %v, again in %v, %v", c.what, w, again, err)
		}
	}
	a := at(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"newNonce":"x"}`) })
	if _, again, err := a.Window(t.Context(), leaf); !errors.Is(err, errNoWindow) || again != day {
		t.Errorf("a CA without windows: %v, %v", again, err)
	}
}

// Answers of CAs in the field: what is limited, what is down, what is forbidden.
func TestWhatTheCASaysIsKept(t *testing.T) {
	for _, c := range []struct {
		what, path, body string
		status           int
		retry            string
		text             string
		wait             time.Duration
	}{
		{"too many accounts", "/account", `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many registrations\u0007 from this address"}`, 429, "7200",
			`no account: too many registrations\x07 from this address (rateLimited)`, 2 * time.Hour},
		{"a CA that is being mended", "/dir", "down for maintenance", 503, "3600", "the CA gives no account: ", time.Hour},
		{"an account that must be bound", "/account", `{"type":"urn:ietf:params:acme:error:externalAccountRequired","detail":"binding wanted"}`, 403, "", "binding wanted (externalAccountRequired)", 0},
		{"an address it does not like", "/account", `{"type":"urn:ietf:params:acme:error:invalidContact","detail":"no MX"}`, 400, "", "no MX (invalidContact)", 0},
		{"no directory", "/dir", "<html>hotel wifi", 200, "", "no account", 0},
	} {
		asked := 0
		a := at(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Replay-Nonce", "nonce")
			if r.URL.Path == c.path {
				asked++
				if c.retry != "" {
					w.Header().Set("Retry-After", c.retry)
				}
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
				return
			}
			base := "https://" + r.Host
			_ = json.NewEncoder(w).Encode(map[string]any{"newNonce": base + "/nonce", "newAccount": base + "/account", "newOrder": base + "/order"})
		})
		key, err := newKey()
		if err != nil {
			t.Fatal(err)
		}
		signer, err := readKey(key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Order(t.Context(), []string{"gw.home.test"}, signer, 0)
		f, ok := errors.AsType[*fault](err)
		if !ok || !strings.Contains(f.text, c.text) || f.wait < c.wait-time.Minute || f.wait > c.wait || asked > 1 {
			t.Errorf("%s: %v, wait %v, asked %d times", c.what, err, f.wait, asked)
		}
	}
}

func TestANameThatTheCAForbidsIsKnownByIt(t *testing.T) {
	f := failed("the CA does not take the order", &acme.Error{StatusCode: 403, ProblemType: "urn:ietf:params:acme:error:rejectedIdentifier", Detail: "policy",
		Subproblems: []acme.Subproblem{{Type: "x", Detail: "forbidden", Identifier: &acme.AuthzID{Type: "dns", Value: "mta-sts.example.test"}}}})
	if !slices.Equal(f.names, []string{"mta-sts.example.test"}) || !strings.Contains(f.text, "mta-sts.example.test: forbidden") {
		t.Errorf("%+v", f)
	}
	f = failed("asking", &url.Error{Op: "Get", URL: "https://ca.test", Err: errors.New("connection refused\r\n")})
	if len(f.names) > 0 || f.wait != 0 || strings.ContainsAny(f.text, "\r\n") {
		t.Errorf("%+v", f)
	}
}
