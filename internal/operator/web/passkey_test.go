package web

import (
	"net/http"
	"strings"
	"testing"

	"postern/internal/operator/access"
)

// What a real authenticator answers is tested in a browser (test/console); here, what nobody answered.
func TestPasskeysRefuseWhatIsNone(t *testing.T) {
	b := newConsole(t)
	named := strings.Replace(b.at, "127.0.0.1", "localhost", 1)
	ask := func(base, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		p := b.read(b.http.Do(r))
		return p.code, p.text
	}
	if code, text := ask(b.at, "/passkey/question", ""); code != 400 || !strings.Contains(text, "not an IP address") {
		t.Errorf("at an address: %d %s", code, text)
	}
	code, text := ask(named, "/passkey/question", "")
	if code != 200 || !strings.Contains(text, `"userVerification":"required"`) || !strings.Contains(text, `"rpId":"localhost"`) {
		t.Errorf("the question: %d %s", code, text)
	}
	for _, answer := range []string{"", "{}", "null", `{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"AA","authenticatorData":"AA","signature":"AA"}}`, strings.Repeat("[", 70_000)} {
		if code, text := ask(named, "/passkey/sign-in", answer); code != 401 && code != 429 || !strings.Contains(text, "problem") {
			t.Errorf("%.20s: %d %s", answer, code, text)
		}
	}
	if code, _ := ask(named, "/passkey/sign-in", "{}"); code != 429 {
		t.Errorf("guessing on: %d", code)
	}
	if p := b.get("/profile"); !strings.Contains(p.text, "Sign in") {
		t.Error("somebody came in")
	}
}

// Another site's page makes no browser begin anything, and nobody makes a passkey for somebody else.
func TestPasskeysBelongToWhoIsSignedIn(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	for _, path := range []string{"/passkey/begin", "/passkey/finish?name=x", "/passkey/prove", "/profile/passkeys"} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.at+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if p := b.read(b.http.Do(r)); p.code != 403 {
			t.Errorf("%s from another site: %d", path, p.code)
		}
	}
	b.become("ada", access.Auditor)
	if p := b.post("/profile/passkeys", "delete", "x"); p.code != 404 {
		t.Errorf("a passkey of nobody: %d", p.code)
	}
	b.anew()
	for _, path := range []string{"/passkey/begin", "/passkey/finish?name=x", "/passkey/prove", "/profile/passkeys"} {
		if p := b.post(path); !strings.Contains(p.text, "Sign in") {
			t.Errorf("%s without a session: %d", path, p.code)
		}
	}
}
