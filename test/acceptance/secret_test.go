package acceptance

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"postern/test/harness"
)

// visitor is somebody with a browser at the console.
type visitor struct {
	t    *testing.T
	base string
	http *http.Client
	seen []string // secrets that were given to it
}

func visit(t *testing.T, w *world) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, base: "http://" + strings.Trim(w.Settings["admin.listen"], `"`), http: &http.Client{Jar: jar}}
}

// posts fills in a form and notes the session it is given.
func (v *visitor) posts(path string, fields ...string) string {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	res, err := v.http.PostForm(v.base+path, form)
	if err != nil {
		v.t.Fatal(err)
	}
	text := readAll(v.t, res)
	at, _ := url.Parse(v.base)
	for _, c := range v.http.Jar.Cookies(at) {
		v.seen = append(v.seen, c.Value)
	}
	return text
}

// readAll reads an answer to its end.
func readAll(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNoCredentialIsEverToldAgain: the first administrator's link, invitations, sessions, tokens and passwords, right,
// wrong and in the wrong field, stand in no log at any level, in no metric and not in the audit trail.
func TestNoCredentialIsEverToldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["admin.listen"], w.Settings["log.level"] = fmt.Sprintf("%q", harness.FreeAddress(t)), `"debug"`
	hash := strings.TrimSpace(w.Run("smtp-password\n", "config", "hash-password").Stdout)
	people := harness.FreeAddress(t)
	w.More = append(w.More, "[[listen]]\nname = \"people\"\nmode = \"submission\"\naddress = \""+people+"\"\n",
		fmt.Sprintf("[[user]]\nname = \"anna\"\npassword_hash = %q\n", hash))
	w.Start("")
	harness.Eventually(t, harness.Patience, "the log of a new gateway names the command for the first administrator", func() bool {
		return strings.Contains(w.Log(), "postern accounts first")
	})

	link := regexp.MustCompile(`^http://\S+/setup#(\S+)\n$`)
	first := link.FindStringSubmatch(w.Postern("accounts", "first"))
	second := link.FindStringSubmatch(w.Postern("accounts", "first"))
	if first == nil || second == nil {
		t.Fatal("there is no link for the first administrator")
	}
	anna := visit(t, w)
	anna.posts("/setup", "key", first[1], "name", "anna", "password", "console-password", "again", "console-password") // ended by the second
	anna.posts("/setup", "key", second[1], "name", "anna", "password", "console-password", "again", "console-password")
	if again := w.Run("", "accounts", "first"); again.Code != 3 || !strings.Contains(again.Stderr, "accounts invite") {
		t.Errorf("a second first administrator: %+v", again)
	}
	invited := link.FindStringSubmatch(w.Postern("accounts", "invite", "ben", "--new"))
	for _, typed := range []string{"anna", "ben", "my-pass-as-name"} {
		visit(t, w).posts("/sign-in", "name", typed, "password", "wrong-password")
	}
	if page := anna.posts("/sign-in", "name", "anna", "password", "console-password"); !strings.Contains(page, "Sign out") {
		t.Error("the first administrator cannot sign in")
	}
	token := regexp.MustCompile(`postern_[A-Za-z0-9_-]+`).FindString(anna.posts("/profile/tokens", "name", "program", "days", "3", "scope", "trace:read"))

	c := harness.Dial(t, people, harness.Stranger)
	c.Wants("220")
	c.Say("EHLO laptop.example", "250")
	c.StartTLS(nil)
	c.Say("EHLO laptop.example", "250")
	c.Say(plain("anna", "smtp-wrong"), "535")
	c.Say(plain("smtp-pass-as-name", "x"), "535")
	c.Say(base64.StdEncoding.EncodeToString([]byte("smtp-password")), "500") // a client that lost its place
	c.Say("AUTH CRAM-MD5 "+base64.StdEncoding.EncodeToString([]byte("smtp-password")), "504")
	c.Say(plain("anna", "smtp-password"), "235")

	w.Write("postern.toml", []byte(w.Config()+"\n[[user]]\nname = \"carl\"\npassword = \"plain-in-the-file\"\n"))
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, harness.Patience, "the broken file is told of", func() bool { return strings.Contains(w.Log(), "stays in force") })
	w.Configure()

	secrets := append(anna.seen, first[1], second[1], invited[1], "console-password", "wrong-password", "my-pass-as-name",
		"/setup#", "smtp-password", "smtp-wrong", "smtp-pass-as-name", "plain-in-the-file", hash)
	if token != "" {
		secrets = append(secrets, token)
	} else {
		t.Error("no token was made")
	}
	if len(anna.seen) == 0 {
		t.Error("no session was made")
	}
	for where, text := range map[string]string{"the log": w.Log(), "the audit trail": w.Postern("audit", "--json"), "the metrics": w.Get("/metrics", 200),
		"the configuration": w.Postern("config", "show")} {
		for _, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
				if strings.Contains(text, form) {
					t.Errorf("%s has %q", where, form)
				}
			}
		}
	}
}
