package acceptance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/test/harness"
)

// mark is in the name of everything that belongs to the other tenant.
const mark = "zebra"

// TestATenantIsToldNothingOfAnother: two tenants, the words of one in its domains, servers, rules, files, messages,
// accounts. An administrator of the other follows every link of the console and asks every operation of the API, and
// finds none of them; his own things are all there, and a check of the server that his mail goes to works.
func TestATenantIsToldNothingOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(t))
	w.Partner("mail.apple.test", w.Good("mail.apple.test"))
	w.Partner("mail.zebra.test", w.Good("mail.zebra.test"))
	w.Own("apple.test", "mail.apple.test", "ca.pem")
	w.Own("zebra.test", "mail.zebra.test", "ca.pem")
	w.Domain("partner.test", w.Expired("mx.partner.test"))
	w.Domain("zebrapartner.test", w.Good("mx.zebrapartner.test"))
	w.Start("")
	rules := ""
	for _, who := range []string{"apple", mark} {
		prefix := map[string]string{"apple": "", mark: mark}[who]
		rules += fmt.Sprintf("[[rule]]\nname = \"%s-rule\"\naction = \"force-tls\"\n[rule.match]\nsender = [\"%s.test\"]\nrecipient = [\"*%spartner.test\"]\n", who, who, prefix)
	}
	w.Apply(rules)
	w.Send("a@apple.test", "hello", "p@partner.test")
	w.Send("z@zebra.test", "zebra", "p@zebrapartner.test")
	w.Send("z@zebra.test", "zebra", "z@zebra.test")
	w.Send("someone@elsewhere.test", "both", "boss@apple.test", "boss@zebra.test")
	w.Await("p@partner.test", harness.Waits("cert-expired"))
	w.Await("p@zebrapartner.test", harness.In("delivered", "queued"))
	w.Await("boss@apple.test", harness.In("delivered"))
	w.Await("boss@zebra.test", harness.In("delivered"))
	theirs := w.Await("z@zebra.test", harness.In("delivered")).Message

	enter := func(name string, more ...string) *visitor {
		t.Helper()
		link := strings.TrimSpace(w.Postern(append([]string{"accounts", "invite", name, "--new"}, more...)...))
		_, key, _ := strings.Cut(link, "#")
		v := visit(t, w)
		if page := v.posts("/setup", "key", key, "password", "a long sentence of mine", "again", "a long sentence of mine"); !strings.Contains(page, "Sign out") {
			t.Fatalf("%s cannot sign in: %.500s", name, page)
		}
		return v
	}
	enter("zebra-admin", "--role", "administrator")
	nina := enter("nina", "--role", "administrator", "--domain", "apple.test")
	seen := nina.follows("/")
	for _, own := range []string{"p@partner.test", "mx.partner.test", "boss@apple.test", "apple-rule"} {
		if !strings.Contains(seen, own) {
			t.Errorf("the console does not show %s to whom it belongs", own)
		}
	}
	for target, works := range map[string]bool{"partner.test": true, "apple.test": true, "zebra.test": false, "zebrapartner.test": false, "penny.test": false} {
		page := nina.posts("/check", "target", target)
		if worked := strings.Contains(page, "force-tls"); worked != works || target != "zebra.test" && target != "zebrapartner.test" && strings.Contains(page, mark) || strings.Contains(page, "mx.zebra") || strings.Contains(page, "mail.zebra") {
			t.Errorf("a check of %s: it works is %v, want %v", target, worked, works)
		}
	}
	if code, _ := nina.looksAt("/trace/" + theirs); code != http.StatusNotFound {
		t.Errorf("the other's message is answered with %d", code)
	}

	may := []string{"name", "program", "days", "3"}
	token := regexp.MustCompile(`postern_[A-Za-z0-9_-]+`)
	key := token.FindString(nina.postsAll("/profile/tokens", append(may, "scope", "status:read", "scope", "trace:read", "scope", "rules:read", "scope", "peers:read", "scope", "audit:read", "scope", "check:run")))
	if key == "" {
		t.Fatal("no token was made")
	}
	var spec struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(w.Get("/api/v1/openapi.json", 200)), &spec); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for path, methods := range spec.Paths {
		if methods["get"] == nil || strings.HasSuffix(path, "/events") {
			continue
		}
		path = strings.NewReplacer("{id}", theirs, "{name}", "apple-rule", "{number}", "1").Replace(path)
		for _, more := range []string{"", "?kind=rule", "?kind=domain", "?domain=zebrapartner.test", "?limit=500"} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", nina.base+"/api/v1"+path+more, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+key)
			if code, text := nina.reads((&http.Client{}).Do(r)); strings.Contains(text, mark) {
				t.Errorf("%s%s tells of the other tenant (%d): %.2000s", path, more, code, text)
			} else if code == http.StatusOK {
				asked++
			}
		}
	}
	if asked < 10 {
		t.Errorf("only %d operations answered", asked)
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		if text := w.Get(path, 200); strings.Contains(text, mark) {
			t.Errorf("%s tells of the other tenant", path)
		}
	}
}

// follows reads a page and every page that it leads to, and returns their text. The other tenant's word stands in none.
func (v *visitor) follows(path string) string {
	v.t.Helper()
	links, read, all := regexp.MustCompile(`(?:href|action)="(/[^"]*)"`), []string{path}, ""
	for i := 0; i < len(read) && i < 200; i++ {
		code, text := v.looksAt(read[i])
		if code >= 500 {
			v.t.Errorf("%s: %d", read[i], code)
		}
		if at := strings.Index(strings.ToLower(text), mark); at >= 0 {
			v.t.Errorf("%s tells of the other tenant: …%s…", read[i], text[max(0, at-200):min(len(text), at+100)])
		}
		all += text
		for _, link := range links.FindAllStringSubmatch(text, -1) {
			to := strings.ReplaceAll(link[1], "&amp;", "&")
			if !slices.Contains(read, to) && !strings.HasPrefix(to, "/static") && to != "/sign-out" {
				read = append(read, to)
			}
		}
	}
	return all
}

func (v *visitor) looksAt(path string) (int, string) {
	v.t.Helper()
	return v.reads(v.http.Get(v.base + path))
}

func (v *visitor) reads(res *http.Response, err error) (int, string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// postsAll fills in a form in which a field may stand more than once.
func (v *visitor) postsAll(path string, fields []string) string {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	_, text := v.reads(v.http.PostForm(v.base+path, form))
	return text
}
