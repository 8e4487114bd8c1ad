package websession

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/platform/passhash"
	"postern/internal/queue/memstore"
)

func signedIn(t *testing.T) (*accounts.Service, string) {
	t.Helper()
	book := memstore.New()
	s := accounts.New(accounts.Config{Book: accounts.NewBook(book), Ledger: book, Cost: passhash.Cost{KiB: 64, Passes: 1}})
	link, err := s.First(t.Context(), access.Root("root"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := s.Accept(t.Context(), link, "anna", "a long sentence about 7 horses", accounts.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return s, secret
}

func TestWho(t *testing.T) {
	s, secret := signedIn(t)
	for _, secure := range []bool{true, false} {
		d := New(s, secure)
		w := httptest.NewRecorder()
		d.Open(w, secret)
		c := w.Result().Cookies()[0]
		if c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || strings.HasPrefix(c.Name, "__Host-") != secure {
			t.Errorf("the cookie is %v", c)
		}
		r := httptest.NewRequest("GET", "/", nil)
		if _, err := d.Who(r); err == nil {
			t.Error("somebody without a cookie is known")
		}
		r.AddCookie(c)
		if p, err := d.Who(r); err != nil || p.Name != "anna" {
			t.Errorf("%+v, %v", p, err)
		}
		// The plain name does not count over TLS, where any page of a plain host could plant it.
		r = httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: map[bool]string{true: "postern", false: "__Host-postern"}[secure], Value: secret})
		if _, err := d.Who(r); err == nil {
			t.Error("a cookie of the other name counts")
		}
	}
}

func TestGuard(t *testing.T) {
	s, _ := signedIn(t)
	h := New(s, true).Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}), func(*http.Request) int64 { return 10 })
	for name, tt := range map[string]struct {
		method string
		header map[string]string
		body   string
		want   int
	}{
		"own page":           {"POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, "x", 200},
		"another site":       {"POST", map[string]string{"Sec-Fetch-Site": "cross-site"}, "x", 403},
		"a neighbour":        {"POST", map[string]string{"Sec-Fetch-Site": "same-site"}, "x", 403},
		"another origin":     {"POST", map[string]string{"Origin": "https://evil.test"}, "x", 403},
		"own origin":         {"POST", map[string]string{"Origin": "https://gw.test"}, "x", 200},
		"a link from a site": {"GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, "", 200},
		"a program":          {"POST", nil, "x", 200},
		"too much":           {"POST", nil, "01234567890", 413},
	} {
		r := httptest.NewRequest(tt.method, "https://gw.test/x", strings.NewReader(tt.body))
		for k, v := range tt.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.want)
		}
		if tt.want == 200 && (w.Header().Get("Content-Security-Policy") != Policy || w.Header().Get("Strict-Transport-Security") == "") {
			t.Errorf("%s: headers %v", name, w.Header())
		}
	}
}
