// Package provider is an OpenID Connect provider for tests: it signs in whoever comes, as the person the test names.
package provider

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Provider is a provider at URL. Its fields may be changed between logins.
type Provider struct {
	URL    string
	Client string // the only one it knows

	mu     sync.Mutex
	Claims map[string]any             // of the person
	Twist  func(token map[string]any) // spoils tokens; may be nil
	Refuse string                     // an error code instead of signing in; "" for none
	key    *rsa.PrivateKey
	codes  map[string]code
	Asked  url.Values // the newest question
}

type code struct{ nonce, challenge, redirect string }

// New starts a provider that ends with the test.
func New(t testing.TB, client string) *Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Client: client, key: key, codes: map[string]code{}, Claims: map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.describe)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /login", p.login)
	mux.HandleFunc("POST /token", p.token)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Be makes the next login that of a person.
func (p *Provider) Be(claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Claims = claims
}

func say(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the reader may have gone
}

func (p *Provider) describe(w http.ResponseWriter, _ *http.Request) {
	say(w, map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/login",
		"token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"}})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	say(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
		"n": encode(p.key.N.Bytes()), "e": "AQAB"}}})
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// login signs in at once and sends the browser back.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	p.Asked = q
	back := url.Values{"state": {q.Get("state")}}
	if p.Refuse != "" {
		back.Set("error", p.Refuse)
	} else {
		id := rand.Text()
		p.codes[id] = code{q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
		back.Set("code", id)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || c.challenge != encode(sum[:]) || c.redirect != r.FormValue("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		say(w, map[string]any{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	token := map[string]any{"iss": p.URL, "aud": p.Client, "sub": "1", "iat": now.Unix(),
		"exp": now.Add(time.Minute).Unix(), "nonce": c.nonce, "auth_time": now.Unix()}
	for key, v := range p.Claims {
		token[key] = v
	}
	if p.Twist != nil {
		p.Twist(token)
	}
	say(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.sign(token)})
}

func (p *Provider) sign(token map[string]any) string {
	head, _ := json.Marshal(map[string]string{"alg": "RS256", "kid": "1"})
	body, _ := json.Marshal(token)
	text := encode(head) + "." + encode(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // a key that was just made
	}
	return text + "." + encode(signature)
}
