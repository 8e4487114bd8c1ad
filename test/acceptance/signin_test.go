package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/testkit/provider"
	"postern/test/harness"
)

const consolePassword = "console-password of 7 words"

// consoleWorld is a gateway with a console at a loopback address, and its first administrator, anna, who is signed in.
func consoleWorld(t *testing.T, settings ...string) (*world, *visitor) {
	t.Helper()
	w := newWorld(t)
	w.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(t))
	for i := 0; i < len(settings); i += 2 {
		w.Settings[settings[i]] = settings[i+1]
	}
	w.Start("")
	anna := visit(t, w)
	anna.accepts(w.Postern("accounts", "first"), "anna")
	return w, anna
}

var setupLink = regexp.MustCompile(`/setup#(\S+)`)

// accepts sets the password of a link.
func (v *visitor) accepts(said, name string) {
	v.t.Helper()
	link := setupLink.FindStringSubmatch(said)
	if link == nil {
		v.t.Fatalf("there is no link in %q", said)
	}
	if page := v.posts("/setup", "key", link[1], "name", name, "password", consolePassword, "again", consolePassword); !strings.Contains(page, "Sign out") {
		v.t.Fatalf("%s is not signed in after the link:\n%s", name, page)
	}
}

// at makes the visitor come from another address.
func (v *visitor) at(addr string) *visitor {
	v.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
		return d.DialContext(ctx, network, to)
	}}
	v.t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t: v.t, base: v.base, http: &http.Client{Jar: jar, Transport: transport}}
}

// tries signs in and returns the status.
func (v *visitor) tries(name, password string) int {
	v.t.Helper()
	res, err := v.http.PostForm(v.base+"/sign-in", url.Values{"name": {name}, "password": {password}})
	if err != nil {
		v.t.Error(err)
		return 0
	}
	res.Body.Close()
	if strings.HasSuffix(res.Request.URL.Path, "/sign-in") {
		return res.StatusCode
	}
	return http.StatusOK
}

// brings sends a form with a file.
func (v *visitor) brings(path, file string, fields ...string) string {
	v.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		if err := form.WriteField(fields[i], fields[i+1]); err != nil {
			v.t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("upload", "rules.toml")
	if err == nil {
		_, err = part.Write([]byte(file))
	}
	if err = errors.Join(err, form.Close()); err != nil {
		v.t.Fatal(err)
	}
	res, err := v.http.Post(v.base+path, form.FormDataContentType(), &body)
	if err != nil {
		v.t.Fatal(err)
	}
	return readAll(v.t, res)
}

// gets reads a page.
func (v *visitor) gets(path string) (code int, at, text string) {
	v.t.Helper()
	res, err := v.http.Get(v.base + path)
	if err != nil {
		v.t.Fatal(err)
	}
	return res.StatusCode, res.Request.URL.Path, readAll(v.t, res)
}

// makesToken makes a token with scopes and returns its secret.
func (v *visitor) makesToken(scopes ...string) string {
	v.t.Helper()
	res, err := v.http.PostForm(v.base+"/profile/tokens", url.Values{"name": {"program"}, "days": {"3"}, "scope": scopes})
	if err != nil {
		v.t.Fatal(err)
	}
	key := regexp.MustCompile(`postern_[A-Za-z0-9_-]+`).FindString(readAll(v.t, res))
	if key == "" {
		v.t.Fatal("no token was made")
	}
	return key
}

// asks asks the API with a token.
func (v *visitor) asks(word, key, path string) int {
	v.t.Helper()
	r, err := http.NewRequest("GET", v.base+"/api/v1"+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Authorization", word+" "+key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// TestGuessesAtOnceAndStrangers: guesses at once are not examined beyond what may fail, at one name, at many, and with
// a session; strangers at the same address do not keep a signed-in administrator from proving again, nor one who is
// known from signing in.
func TestGuessesAtOnceAndStrangers(t *testing.T) {
	t.Parallel()
	_, anna := consoleWorld(t)
	stranger := anna.at("127.0.0.1")
	burst := func(v *visitor, name func(i int) string) (examined int) {
		var all sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		begun := time.Now()
		for i := range 40 {
			all.Go(func() {
				code := v.tries(name(i), "wrong wrong wrong")
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
		all.Wait()
		// One more is let in each time that the wait, which doubles from a second, is over on a slow machine.
		if most := 5 + bits.Len(uint(time.Since(begun)/time.Second)); codes[401] > most || codes[200] > 0 {
			t.Errorf("of 40 guesses at once %v, want 401 for at most %d", codes, most)
		}
		return codes[401]
	}
	if n := burst(stranger, func(i int) string { return "guest" + strconv.Itoa(i) }); n < 5 {
		t.Errorf("%d guesses were examined", n)
	}
	burst(anna.at("127.0.0.2"), func(int) string { return "anna" })
	if page := anna.posts("/prove", "password", consolePassword, "next", "/rules"); !strings.Contains(page, "<h1>Rules</h1>") {
		t.Errorf("a signed-in administrator cannot prove again:\n%s", page)
	}
	if code := anna.at("127.0.0.1").tries("anna", consolePassword); code != 200 {
		t.Errorf("from where she is known she hears %d", code)
	}
	if code := anna.at("127.0.0.2").tries("anna", consolePassword); code != 429 {
		t.Errorf("from where the guesses came she hears %d", code)
	}
}

// TestAFreshProofElsewhere: a sign-in by a session at the provider is no proof for what is dangerous; one that the
// provider says was made now is.
func TestAFreshProofElsewhere(t *testing.T) {
	t.Parallel()
	p := provider.New(t, "postern")
	w, anna := consoleWorld(t, "oidc.issuer", strconv.Quote(p.URL), "oidc.client_id", `"postern"`, "oidc.claim", `"sub"`)
	provenAt := func(at time.Time) {
		p.Be(map[string]any{"sub": "anna", "auth_time": at.Unix()})
	}
	visitor := anna.at("127.0.0.1")
	provenAt(time.Now().Add(-time.Hour))
	if code, at, _ := visitor.gets("/oidc/start?next=/rules"); code != 200 || at != "/rules" {
		t.Fatalf("signing in: %d at %s", code, at)
	}
	dangerous := func() string { return visitor.posts("/accounts", "name", "ben", "role", "auditor") }
	page := dangerous()
	kept := regexp.MustCompile(`name="next" value="(/again/[A-Z0-9]+)"`).FindStringSubmatch(page)
	if !strings.Contains(page, "Prove again who you are") || kept == nil {
		t.Fatalf("an old proof is enough, or what was filled in is lost:\n%s", page)
	}
	if code, at, _ := visitor.gets("/oidc/start?again=1&next=/accounts"); code != 401 {
		t.Errorf("an old proof is taken for a fresh one: %d at %s", code, at)
	}
	if p.Asked.Get("max_age") != "0" {
		t.Errorf("the provider was asked %v", p.Asked)
	}
	provenAt(time.Now())
	if code, at, page := visitor.gets("/oidc/start?again=1&next=" + kept[1]); code != 200 || at != kept[1] || !strings.Contains(page, "<td data-name=\"Value\" class=\"wrap\">ben</td>") {
		t.Errorf("a fresh proof: %d at %s\n%s", code, at, page)
	}
	if page := visitor.posts(kept[1]); !strings.Contains(page, "Link for ben") {
		t.Errorf("a fresh proof is not enough:\n%s", page)
	}
	// The same by a password: a file that is brought is put in force with the proof.
	provenAt(time.Now().Add(-time.Hour))
	if code, at, _ := visitor.gets("/oidc/start?next=/rules"); code != 200 || at != "/rules" {
		t.Fatalf("signing in: %d at %s", code, at)
	}
	kept = regexp.MustCompile(`name="next" value="(/again/[A-Z0-9]+)"`).FindStringSubmatch(visitor.brings("/rules/file", harness.Force("clinic", `"clinic.test"`), "revision", "0", "do", "save"))
	if kept == nil {
		t.Fatal("the file is lost")
	}
	if page := visitor.posts("/prove", "password", consolePassword, "next", kept[1]); !strings.Contains(page, "revision 1 is in force") {
		t.Errorf("after the proof:\n%s", page)
	}
	if !strings.Contains(w.Postern("accounts", "list"), "ben") || !strings.Contains(w.Postern("rules", "list"), "clinic") {
		t.Error("ben or the rule is not there")
	}
}

// TestAResetEndsTokens: a password set by a link ends the account's tokens; an administrator sees all tokens and ends
// one; a new account is made only where that is said, and may least.
func TestAResetEndsTokens(t *testing.T) {
	t.Parallel()
	w, anna := consoleWorld(t)
	if unknown := w.Run("", "accounts", "invite", "oIga"); unknown.Code != 1 || !strings.Contains(unknown.Stderr, "--new") || strings.Contains(w.Postern("accounts", "list"), "oIga") {
		t.Errorf("a misspelt name: %+v", unknown)
	}
	olga := visit(t, w)
	olga.accepts(w.Postern("accounts", "invite", "olga", "--new"), "olga")
	if list := w.Postern("accounts", "list", "--json"); !strings.Contains(list, `"name":"olga","role":"auditor"`) {
		t.Errorf("the accounts:\n%s", list)
	}
	stolen, kept := olga.makesToken("trace:read"), anna.makesToken("status:read")
	for _, word := range []string{"Bearer", "bearer", "BEARER"} {
		if code := olga.asks(word, stolen, "/deliveries"); code != 200 {
			t.Errorf("the token after the word %s: %d", word, code)
		}
	}
	list := w.Postern("accounts", "tokens")
	if !strings.Contains(list, "of olga: program\n  may trace:read") || strings.Count(list, "used last never") != 1 {
		t.Errorf("the tokens:\n%s", list)
	}
	if _, _, page := anna.gets("/accounts"); !strings.Contains(page, "trace:read") || !strings.Contains(page, "can become anybody") {
		t.Errorf("the page of accounts does not show the tokens:\n%s", page)
	}
	visit(t, w).accepts(w.Postern("accounts", "invite", "olga"), "olga")
	if code := olga.asks("Bearer", stolen, "/deliveries"); code != 401 {
		t.Errorf("after the reset the token hears %d", code)
	}
	if code := olga.asks("Bearer", kept, "/status"); code != 200 {
		t.Errorf("somebody else's token hears %d", code)
	}
	id, _, _ := strings.Cut(w.Postern("accounts", "tokens"), " ")
	w.Postern("accounts", "revoke", id)
	if code := olga.asks("Bearer", kept, "/status"); code != 401 {
		t.Errorf("a revoked token hears %d", code)
	}
	last := anna.makesToken("status:read")
	anna.posts("/profile/password", "old", consolePassword, "next", consolePassword+"!", "again", consolePassword+"!", "tokens", "end")
	if code := olga.asks("Bearer", last, "/status"); code != 401 {
		t.Errorf("a token that was to end with the password hears %d", code)
	}
}

// TestTheConsoleIsCalledByItsName: a request for another host than the listener's is answered nothing, at no path; a
// link names what can be opened.
func TestTheConsoleIsCalledByItsName(t *testing.T) {
	t.Parallel()
	w, anna := consoleWorld(t, "admin.url", `"https://console.home.test:8025"`)
	if link := w.Postern("accounts", "invite", "ben", "--new"); !strings.HasPrefix(link, "https://console.home.test:8025/setup#") {
		t.Errorf("the link is %q", link)
	}
	for host, want := range map[string]int{"": 200, "localhost": 200, "console.home.test:8025": 200, "evil.test": 421, "evil.test:8025": 421} {
		for _, path := range []string{"/sign-in", "/metrics", "/api/v1/openapi.json"} {
			r, err := http.NewRequest("GET", anna.base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if res.Body.Close(); res.StatusCode != want {
				t.Errorf("%s at %q: %d, want %d", path, host, res.StatusCode, want)
			}
		}
	}
	stranger := anna.at("127.0.0.4")
	for range 20 {
		res, err := stranger.http.PostForm(stranger.base+"/sign-in", url.Values{"name": {"anna"}, "password": {"wrong wrong wrong"}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == 429 && res.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	res, err := http.Head(anna.base + "/sign-out")
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
		t.Errorf("a wrong method: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}
