package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/testkit/provider"
	"postern/internal/operator/access"
	"postern/internal/operator/oidc"
)

// withProvider makes the console's browser one of a console that knows a provider.
func withProvider(t *testing.T, claim string) (*browser, *provider.Provider) {
	t.Helper()
	b := newConsole(t)
	p := provider.New(t, "postern")
	h, err := New(Config{Service: b.s, Accounts: b.a, OIDC: oidc.New(oidc.Config{Issuer: p.URL, ClientID: "postern", Claim: claim}), OIDCButton: "With the clinic's account"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	b.at = server.URL
	b.anew()
	return b, p
}

func TestAnAccountElsewhereSignsIn(t *testing.T) {
	b, p := withProvider(t, "email")
	b.setUp()
	if _, _, err := b.a.Invite(t.Context(), access.Root("root"), "ada@clinic.test", access.Auditor, access.Scope{All: true}); err != nil {
		t.Fatal(err)
	}
	b.anew()
	b.get("/sign-in").has(b, 200, "With the clinic's account")
	p.Be(map[string]any{"email": "Ada@clinic.test", "email_verified": true})
	b.get("/oidc/start?next=/audit").has(b, 200, "Audit trail", "sign-in by oidc", "auditor")
	if p.Asked.Get("code_challenge_method") != "S256" || p.Asked.Get("nonce") == "" || p.Asked.Get("redirect_uri") != b.at+"/oidc/callback" {
		t.Errorf("it was asked %v", p.Asked)
	}
	b.get("/oidc/start?again=1&next=/rules").has(b, 200, "Rules")
	if p.Asked.Get("prompt") != "login" || p.Asked.Get("max_age") != "0" {
		t.Errorf("to prove again it was asked %v", p.Asked)
	}
	b.get("/oidc/start?next=https://evil.test/").has(b, 200, "gw.example.com") // nobody is led away
}

func TestWhoIsProvenElsewhereNeedsAnAccountHere(t *testing.T) {
	b, p := withProvider(t, "email")
	b.setUp()
	b.anew()
	for what, claims := range map[string]map[string]any{
		"no account":      {"email": "stranger@else.test", "email_verified": true},
		"not verified":    {"email": "anna", "email_verified": false},
		"nothing said":    {"email": "anna"},
		"no such claim":   {},
		"not a text":      {"email": 7, "email_verified": true},
		"an empty one":    {"email": "", "email_verified": true},
		"verified a text": {"email": "anna", "email_verified": "true"},
	} {
		p.Be(claims)
		if got := b.get("/oidc/start"); got.code != 401 || !strings.Contains(got.text, "Sign in") {
			t.Errorf("%s: %d", what, got.code)
		}
	}
	p.Be(map[string]any{"email": "anna", "email_verified": true})
	b.get("/oidc/start").has(b, 200, "administrator")
}

func TestAnswersThatAreNotForUsAreRefused(t *testing.T) {
	b, p := withProvider(t, "sub")
	b.setUp()
	for what, twist := range map[string]func(map[string]any){
		"another client":   func(c map[string]any) { c["aud"] = "else" },
		"another issuer":   func(c map[string]any) { c["iss"] = "https://evil.test" },
		"another question": func(c map[string]any) { c["nonce"] = "x" },
		"long ago":         func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() },
	} {
		b.anew()
		p.Twist = func(c map[string]any) { c["sub"] = "anna"; twist(c) }
		if got := b.get("/oidc/start"); got.code != 401 || !strings.Contains(got.text, "did not sign you in") {
			t.Errorf("%s: %d", what, got.code)
		}
		b.get("/").has(b, 200, "Sign in")
	}
	p.Twist, p.Refuse = nil, "access_denied"
	b.get("/oidc/start").has(b, 401, "access_denied")
	p.Refuse = ""
}

// A provider that has a session of its own sends the browser back without asking anybody: that opens the console, and
// is no fresh proof, neither at sign-in nor when one is asked for.
func TestAnOldProofElsewhereIsNoFreshOne(t *testing.T) {
	b, p := withProvider(t, "sub")
	b.setUp()
	now := time.Now()
	for what, c := range map[string]struct {
		authTime any // nil for none
		fresh    bool
	}{
		"just now":              {now.Unix(), true},
		"a clock a little fast": {now.Add(30 * time.Second).Unix(), true},
		"an hour ago":           {now.Add(-time.Hour).Unix(), false},
		"eleven minutes ago":    {now.Add(-11 * time.Minute).Unix(), false},
		"nothing said":          {nil, false},
		"in an hour":            {now.Add(time.Hour).Unix(), false},
		"a text":                {strconv.FormatInt(now.Unix(), 10), false},
		"zero":                  {0, false},
	} {
		p.Twist = func(token map[string]any) {
			token["sub"], token["auth_time"] = "anna", c.authTime
			if c.authTime == nil {
				delete(token, "auth_time")
			}
		}
		b.anew()
		b.get("/oidc/start").has(b, 200, "administrator")
		got := b.post("/profile/tokens", "name", "x", "scope", "trace:read", "days", "1")
		if asked := strings.HasPrefix(got.path, "/prove"); asked == c.fresh {
			t.Errorf("%s: a token was asked for and led to %s", what, got.path)
		}
		if got := b.get("/oidc/start?again=1&next=/rules"); (got.code == 200) != c.fresh || !c.fresh && !strings.Contains(got.text, "just now") {
			t.Errorf("%s: to prove again was answered %d at %s", what, got.code, got.path)
		}
	}
	p.Twist = func(token map[string]any) { token["sub"], token["auth_time"] = "anna", now.Add(-5*time.Minute).Unix() }
	b.anew()
	b.get("/oidc/start").has(b, 200, "administrator")
	b.get("/oidc/start?again=1&next=/rules").has(b, 401, "just now") // recent, but of before the question
}

// A sign-in that a thief began in his own browser is worth nothing in another, and none is finished twice.
func TestASignInElsewhereBelongsToItsBrowser(t *testing.T) {
	b, p := withProvider(t, "sub")
	b.setUp()
	p.Be(map[string]any{"sub": "anna"})
	b.anew()
	thief := b.http
	thief.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.Contains(r.URL.Path, "/oidc/callback") {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, err := thief.Get(b.at + "/oidc/start")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	callback, err := url.Parse(res.Header.Get("Location"))
	if err != nil || !strings.Contains(callback.Path, "callback") {
		t.Fatalf("led to %v, %v", callback, err)
	}
	path := callback.RequestURI()
	b.anew()
	b.get(path).has(b, 401, "not begun in this browser")
	b.http = thief
	b.get(path).has(b, 401, "not begun in this browser") // it was taken by the try before
	b.get("/oidc/callback").has(b, 401)
	b.get("/oidc/callback?state=x&code=y").has(b, 401)
}

func TestAProviderThatIsGoneIsToldAndDoesNoHarm(t *testing.T) {
	b := newConsole(t)
	h, err := New(Config{Service: b.s, Accounts: b.a, OIDC: oidc.New(oidc.Config{Issuer: "http://127.0.0.1:1", ClientID: "x", Claim: "sub"}), OIDCButton: "Elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	b.at = server.URL
	b.anew()
	b.setUp()
	b.anew()
	b.get("/oidc/start").has(b, 401, "cannot be asked")
	b.post("/sign-in", "name", "anna", "password", password).has(b, 200)
}
