package web

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"postern/internal/gateway/inforce"
	"postern/internal/history/inbound"
	"postern/internal/history/tlsreports"
	"postern/internal/history/traffic"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/live"
	"postern/internal/operator/mailhosts"
	"postern/internal/operator/reports"
	"postern/internal/operator/waiting"
	"postern/internal/platform/passhash"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

const (
	password = "a long sentence about 7 horses"
	someRule = `# theirs
[[rule]]
name = "clinic"
description = "patient data"
action = "force-tls"
[rule.match]
recipient = ["clinic.test"]
`
)

// browser is somebody at a console.
type browser struct {
	pulse live.Pulse
	*testing.T
	http  *http.Client
	at    string
	store *memstore.Store
	rules *inforce.Keeper
	s     *admin.Service
	a     *accounts.Service
}

func newConsole(t *testing.T, with ...func(*admin.Config)) *browser {
	t.Helper()
	store := backlog.New(t)
	b := &browser{T: t, store: store, rules: backlog.Keeper(t, store)}
	cfg := admin.Config{Store: store, Ledger: store, Rules: b.rules, Peers: backlogPeers{},
		Settings: someSettings, Traffic: traffic.NewBook(store), Pulse: &b.pulse, Certificates: someCertificates, Checker: pretender{}, Reload: func(context.Context) (admin.ReloadResult, error) { return admin.ReloadResult{}, nil },
		Received: &reports.ReceivedReports{Book: tlsreports.NewBook(store, tlsreports.Room{}), Sessions: inbound.NewBook(store)},
		Pins:     mxpins.NewBook(store), MailHosts: func(context.Context, mail.Domain) (mailhosts.MailHosts, error) {
			return mailhosts.MailHosts{Hosts: []mail.Domain{mail.MustDomain("mx.clinic.test"), mail.MustDomain("mx.backup.test"), mail.MustDomain("mx.evil.test")}}, nil
		}, Hostname: "gw.example.com", Version: "test", StartedAt: time.Now()}
	for _, change := range with {
		change(&cfg)
	}
	b.s = admin.New(cfg)
	b.a = accounts.New(accounts.Config{Book: accounts.NewBook(store), Ledger: store, Cost: passhash.Cost{KiB: 64, Passes: 1}})
	h, err := New(Config{Service: b.s, Accounts: b.a})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	b.at = server.URL
	b.anew()
	return b
}

// anew forgets cookies.
func (b *browser) anew() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.http = &http.Client{Jar: jar}
}

// page is what a browser got.
type page struct {
	code int
	path string
	text string
	tree *html.Node
}

func (b *browser) read(res *http.Response, err error) page {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	var text strings.Builder
	if _, err := copyAll(&text, res.Body); err != nil {
		b.Fatal(err)
	}
	p := page{code: res.StatusCode, path: res.Request.URL.RequestURI(), text: text.String()}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		if p.tree, err = html.Parse(strings.NewReader(p.text)); err != nil {
			b.Fatal(err)
		}
	}
	return p
}

func (b *browser) get(path string) page {
	b.Helper()
	return b.read(b.http.Get(b.at + path))
}

func (b *browser) post(path string, fields ...string) page {
	b.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.read(b.http.PostForm(b.at+path, form))
}

// setUp makes the first administrator, who is then signed in.
func (b *browser) setUp() {
	b.Helper()
	link, err := b.a.First(b.Context(), access.Root("root"))
	if err != nil {
		b.Fatal(err)
	}
	p := b.post("/setup", "key", link)
	p.has(b, 200, "You are the first")
	b.post("/setup", "key", link, "name", "anna", "password", password, "again", password).has(b, 200, "gw.example.com")
}

// become signs in as somebody new.
func (b *browser) become(name string, role access.Role, domains ...string) {
	b.Helper()
	scope := access.Scope{All: len(domains) == 0}
	for _, d := range domains {
		scope.Domains = append(scope.Domains, mail.MustDomain(d))
	}
	_, key, err := b.a.Invite(b.Context(), access.Root("root"), name, role, scope)
	if err != nil {
		b.Fatal(err)
	}
	b.anew()
	b.post("/setup", "key", key, "password", password, "again", password).has(b, 200)
}

func (p page) has(b *browser, code int, texts ...string) page {
	b.Helper()
	if p.code != code {
		b.Fatalf("%s: %d, want %d\n%s", p.path, p.code, code, plain(p.tree))
	}
	for _, text := range texts {
		if !strings.Contains(plain(p.tree), text) && !strings.Contains(p.text, text) {
			b.Errorf("%s does not say %q:\n%s", p.path, text, plain(p.tree))
		}
	}
	return p
}

// plain is the text of a page.
func plain(n *html.Node) string {
	if n == nil {
		return ""
	}
	var out strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			out.WriteString(strings.TrimSpace(d.Data) + " ")
		}
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

func TestSetUpAndSignIn(t *testing.T) {
	b := newConsole(t)
	p := b.get("/trace?state=held")
	p.has(b, 200, "Sign in")
	if p.path != "/sign-in?next=%2Ftrace%3Fstate%3Dheld" {
		t.Errorf("sent to %s", p.path)
	}
	b.setUp()
	b.post("/sign-out").has(b, 200, "Sign in")
	b.get("/").has(b, 200, "Sign in")
	b.post("/sign-in", "name", "anna", "password", "wrong wrong wrong").has(b, 401, "do not belong together")
	if p := b.post("/sign-in", "name", "anna", "password", password, "next", "/trace?state=held"); p.path != "/trace?state=held" {
		t.Errorf("after signing in at %s", p.path)
	}
	for _, next := range []string{"//evil.test", "https://evil.test/", `/\evil.test`, "evil", "/%0d%0aX: y"} {
		b.anew()
		p := b.post("/sign-in", "name", "anna", "password", password, "next", next)
		if !strings.HasPrefix(p.path, "/") || p.code == 502 {
			t.Errorf("next %q leads to %s", next, p.path)
		}
	}
	link := "0123456789"
	b.anew()
	b.post("/setup", "key", link).has(b, 401, "was used")
}

func TestEveryPageIsThereForAnAdministrator(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	for _, path := range pages() {
		p := b.get(path)
		p.has(b, 200)
		b.wellMade(p)
	}
}

// pages are all that can be looked at.
func pages() []string {
	return []string{"/", "/trace", "/trace?any=clinic.test", "/trace?any=nobody.test", "/trace?state=waiting&reason=cert-expired&sender=example.com&since=2026-11-01T00:00",
		"/trace/" + string(backlog.Waiting), "/trace/" + string(backlog.Good), "/trace/" + string(backlog.Refused), "/trace/" + string(backlog.Notice), "/trace/" + string(backlog.Waiting) + "/evidence", "/queue",
		"/rules", "/rules/edit", "/rules/edit?name=clinic", "/rules/edit?recipient=other.test", "/rules/file", "/rules/explain",
		"/rules/explain?from=a@example.com&to=dr@clinic.test,x@other.test", "/rules/explain?to=nonsense", "/rules/lists", "/rules/revisions", "/rules/revisions/1", "/destinations", "/destinations/mx.clinic.test",
		"/destinations/clinic.test", "/incoming", "/incoming?show=without", "/check", "/check?target=clinic.test", "/gateway", "/gateway/certificates", "/gateway/nodes", "/headers", "/audit", "/accounts", "/profile", "/prove?next=/rules"}
}

func (b *browser) saveFile(text string) {
	b.Helper()
	if _, err := b.s.For(access.Root("root")).ApplyRules(b.Context(), admin.ApplyRequest{Name: "f", Text: text}); err != nil {
		b.Fatal(err)
	}
}

// wellMade checks what every page must be: one heading of the first order, unique ids, a label for every input, nothing
// inline, links and forms that lead somewhere.
func (b *browser) wellMade(p page) {
	b.Helper()
	ids, labels, headings := map[string]int{}, map[string]bool{}, 0
	for n := range p.tree.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if id := attr(n, "id"); id != "" {
			ids[id]++
		}
		if n.Data == "label" {
			labels[attr(n, "for")] = true
		}
		if n.Data == "h1" {
			headings++
		}
	}
	for id, count := range ids {
		if count > 1 {
			b.Errorf("%s: the id %q stands %d times", p.path, id, count)
		}
	}
	if headings != 1 {
		b.Errorf("%s: %d headings of the first order", p.path, headings)
	}
	for n := range p.tree.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				b.Errorf("%s: <%s %s>", p.path, n.Data, a.Key)
			}
		}
		switch n.Data {
		case "style":
			b.Errorf("%s: a style in the page", p.path)
		case "script":
			if attr(n, "src") == "" {
				b.Errorf("%s: a script in the page", p.path)
			}
		case "input", "select", "textarea":
			if attr(n, "type") != "hidden" && !labels[attr(n, "id")] {
				b.Errorf("%s: <%s name=%s> has no label", p.path, n.Data, attr(n, "name"))
			}
		case "a", "link":
			b.leads(p, attr(n, "href"))
		case "form":
			if m := attr(n, "method"); m == "post" && !strings.HasPrefix(attr(n, "action"), "/") {
				b.Errorf("%s: a form to %q", p.path, attr(n, "action"))
			}
		case "table":
			if n.FirstChild == nil || !strings.Contains(firstElement(n), "caption") {
				b.Errorf("%s: a table without a caption", p.path)
			}
		}
	}
}

func firstElement(n *html.Node) string {
	for c := range n.ChildNodes() {
		if c.Type == html.ElementNode {
			return c.Data
		}
	}
	return ""
}

func (b *browser) leads(p page, href string) {
	b.Helper()
	if strings.HasPrefix(href, "#") {
		return
	}
	if !strings.HasPrefix(href, "/") {
		b.Errorf("%s: a link to %q", p.path, href)
		return
	}
	if res := b.get(href); res.code != 200 {
		b.Errorf("%s: the link %s answers %d", p.path, href, res.code)
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func TestARuleIsWrittenLookedAtAndSaved(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	form := []string{"rule", "", "revision", "1", "name", "bank", "scope", "outbound", "mode", "enforce", "action", "force-tls", "match.recipient", "bank.test\r\n*.bank.test",
		"match.header", "X-Class: secret*\nX-Other: \"a\" ]", "match.subject", `*[secure]*`, "match.size_over", "10MB", "match.recipients_over", "50", "expires", "2027-12-31",
		"force_tls.unspecified_recipients", "opportunistic", "force_tls.names", "mail.bank.test\n*.bank.test", "force_tls.mx", "pinned", "force_tls.trust", "public",
		"force_tls.revocation", "check", "force_tls.min_tls", "1.3", "force_tls.defer", "2h"}
	b.post("/rules/edit", append(form, "do", "look")...).has(b, 200, "What saving would change", "bank added", "Save")
	if view, _ := b.s.For(access.Root("root")).Rules(t.Context()); view.Revision != 1 {
		t.Fatal("looking saved it")
	}
	b.post("/rules/edit", append(form, "do", "save")...).has(b, 200, "revision 2 is in force")
	view, err := b.s.For(access.Root("root")).Rules(t.Context())
	if err != nil || !strings.HasPrefix(view.Text, someRule) {
		t.Fatalf("%v\n%s", err, view.Text)
	}
	want := `{"name":"bank","scope":"outbound","mode":"enforce","expires":"2027-12-31","action":"force-tls","match":{"recipient":["bank.test","*.bank.test"],` +
		`"header":[{"name":"X-Class","value":"secret*"},{"name":"X-Other","value":"\"a\" ]"}],"subject":["*[secure]*"],"size_over":10000000,"recipients_over":50},` +
		`"force_tls":{"unspecified_recipients":"opportunistic","proof":"certificate","names":["*.bank.test","mail.bank.test"],"mx":"pinned","trust":"public","revocation":"check","min_tls":"1.3","defer":"2h"},"line":9}`
	if got := string(view.Rules[1]); got != want {
		t.Errorf("the rule is\n%s\nwant\n%s", got[200:], want[200:])
	}
	// The pane of the rule holds what was typed, and saving it again changes nothing.
	p := b.get("/rules/edit?name=bank")
	fields := formFields(p.tree)
	fields = append(fields, "do", "look")
	b.post("/rules/edit", fields...).has(b, 200, "Nothing would be protected otherwise")
	late := b.post("/rules/edit", append(form, "do", "save")...)
	late.has(b, 409, "somebody changed the rules", "what you filled in is still here")
	if kept := strings.Join(formFields(late.tree), "\n"); !strings.Contains(kept, "mail.bank.test") || !strings.Contains(kept, "revision\n2") {
		t.Errorf("what was filled in came back as\n%s", kept)
	}
	b.post("/rules/edit", "rule", "bank", "revision", "2", "do", "delete").has(b, 200, "revision 3 is in force")
	if view, _ := b.s.For(access.Root("root")).Rules(t.Context()); strings.TrimSpace(view.Text) != strings.TrimSpace(someRule) {
		t.Errorf("after deleting\n%s", view.Text)
	}
	b.post("/rules/revisions/2", "revision", "3").has(b, 200, "with the rules of revision 2")
}

// What a rule does not cover is said before it is saved and beside it afterwards, and the box for literals is kept.
func TestThePaneSaysWhatARuleDoesNotCover(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	form := []string{"rule", "", "revision", "1", "name", "half", "scope", "outbound", "action", "force-tls", "mode", "enforce", "match.sender", "bank.test",
		"match.recipient", "example.com\r\nother.test", "match.literals", "true", "force_tls.names", "mx"}
	gaps := []string{"is not the whole domain", "*.bank.test", "does nothing about our own example.com"}
	b.post("/rules/edit", append(form, "do", "look")...).has(b, 200, gaps...)
	b.post("/rules/edit", append(form, "do", "save")...).has(b, 200, gaps...)
	fields := formFields(b.get("/rules/edit?name=half").tree)
	if i := slices.Index(fields, "match.literals"); i < 0 || fields[i+1] != "true" {
		t.Errorf("the pane of the rule has %q", fields)
	}
}

// formFields are the fields of the page's form as a browser would send them.
func formFields(n *html.Node) (out []string) {
	for d := range n.Descendants() {
		if d.Type != html.ElementNode || attr(d, "name") == "" {
			continue
		}
		switch d.Data {
		case "input":
			if (attr(d, "type") == "checkbox" || attr(d, "type") == "radio") && !slices.ContainsFunc(d.Attr, func(a html.Attribute) bool { return a.Key == "checked" }) {
				continue
			}
			out = append(out, attr(d, "name"), attr(d, "value"))
		case "textarea":
			text := ""
			if d.FirstChild != nil {
				text = d.FirstChild.Data
			}
			out = append(out, attr(d, "name"), text)
		case "select":
			for o := range d.Descendants() {
				if o.Type == html.ElementNode && o.Data == "option" && slices.ContainsFunc(o.Attr, func(a html.Attribute) bool { return a.Key == "selected" }) {
					out = append(out, attr(d, "name"), attr(o, "value"))
				}
			}
		}
	}
	return out
}

func TestProblemsStandAtTheirFields(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	p := b.post("/rules/edit", "rule", "", "revision", "0", "name", "x", "scope", "outbound", "action", "force-tls", "mode", "enforce", "match.recipient", "clinic..test",
		"match.size_over", "many", "expires", "tomorrow", "force_tls.min_tls", "9", "force_tls.defer", "-1h", "do", "save")
	p.has(b, 422)
	for n := range p.tree.Descendants() {
		if n.Type == html.ElementNode && attr(n, "aria-invalid") == "true" {
			if about, _, _ := strings.Cut(attr(n, "aria-describedby"), " "); !strings.Contains(p.text, `id="`+about+`"`) || !strings.HasSuffix(about, ".problem") {
				t.Errorf("nothing is said about %s", attr(n, "name"))
			}
		}
	}
	for _, name := range []string{"match.recipient", "match.size_over", "expires", "force_tls.defer"} {
		if !strings.Contains(p.text, `name="`+name+`"`) || strings.Count(p.text, `aria-invalid="true"`) < 4 {
			t.Errorf("%s is not marked:\n%s", name, plain(p.tree))
		}
	}
	if view, _ := b.s.For(access.Root("root")).Rules(t.Context()); view.Revision != 0 {
		t.Error("a broken rule was saved")
	}
}

func TestWaitingMailIsActedOn(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.post("/queue", "message", string(backlog.Ordinary), "action", "hold", "back", "/trace/"+string(backlog.Ordinary)).has(b, 200, "Release")
	b.post("/queue", "message", string(backlog.Ordinary), "action", "cancel", "back", "/queue").has(b, 200, "cancel: 1 delivery")
	b.post("/queue", "action", "retry", "back", "/queue").has(b, 400)
	b.post("/queue", "all", "yes", "action", "retry", "back", "//evil.test/").has(b, 200)
	b.post("/queue", "all", "yes", "action", "explode", "back", "/queue").has(b, 400, "no action")
}

func TestARulesFileIsUploaded(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	send := func(content string) page {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		_ = form.WriteField("revision", "0")
		_ = form.WriteField("do", "look")
		part, err := form.CreateFormFile("upload", "rules.toml")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(part, content)
		_ = form.Close()
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.at+"/rules/file", &body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", form.FormDataContentType())
		return b.read(b.http.Do(r))
	}
	p := send(strings.ReplaceAll(someRule, "\n", "\r\n")).has(b, 200, "clinic added", "What saving would change")
	b.wellMade(p)
	send("[[rule]]\nnmae = 1\n").has(b, 422, "Line 2")
	send("\xff\xfe").has(b, 400, "UTF-8")
	if view, _ := b.s.For(access.Root("root")).Rules(t.Context()); view.Revision != 0 {
		t.Error("reading a file put it in force")
	}
}

func TestWhatASearchFindsIsActedOn(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	p := b.get("/trace?reason=cert-expired&state=waiting&reached=&requires=authenticated&host=mx.clinic.*").has(b, 200, "All that waits and fits this search")
	fields := []string{"action", "hold"}
	for n := range p.tree.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" && attr(n, "type") == "hidden" {
			fields = append(fields, attr(n, "name"), attr(n, "value"))
		}
	}
	b.post("/queue/found", fields...).has(b, 200, "hold: 2 deliveries", "held")
	b.post("/queue/found", "recipient", "nobody.test", "action", "cancel").has(b, 404)
	b.post("/queue/found", "state", "delivered", "action", "cancel").has(b, 400, "Only what waits")
	b.become("ada", access.Auditor)
	b.post("/queue/found", fields...).has(b, 403)
	if p := b.get("/trace?reason=cert-expired"); strings.Contains(p.text, "All that waits and fits") {
		t.Error("an auditor is offered to act")
	}
}

func TestAnAuditorLooksAndChangesNothing(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	b.become("olga", access.Auditor)
	for _, path := range []string{"/", "/trace", "/queue", "/rules", "/rules/file", "/rules/revisions/1", "/audit", "/profile", "/destinations"} {
		b.get(path).has(b, 200)
	}
	for _, path := range []string{"/rules/edit", "/rules/edit?name=clinic", "/accounts"} {
		b.get(path).has(b, 403, "Not allowed")
	}
	for path, fields := range map[string][]string{
		"/queue":                            {"all", "yes", "action", "cancel"},
		"/rules/edit":                       {"rule", "clinic", "revision", "1", "do", "delete"},
		"/rules/file":                       {"revision", "1", "text", "", "do", "save"},
		"/rules/revisions/1":                {"revision", "1"},
		"/accounts":                         {"name", "eve", "role", "administrator"},
		"/destinations/clinic.test/approve": nil,
	} {
		b.post(path, fields...).has(b, 403, "Not allowed")
	}
	if view, _ := b.s.For(access.Root("root")).Rules(t.Context()); view.Text != someRule {
		t.Error("the rules changed")
	}
}

func TestAScopeSeesItsOwn(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	b.become("nina", access.Administrator, "clinic.test")
	for _, path := range pages() {
		p := b.get(path)
		for _, other := range []string{"p@good.test", "y@other.test", "gone@plain.test", "oops@plain.test", "x@plain.test"} {
			if strings.Contains(p.text, other) && !strings.Contains(path, "explain") {
				t.Errorf("%s shows %s", path, other)
			}
		}
	}
	b.get("/trace/"+string(backlog.Good)).has(b, 404)
	b.get("/rules/file").has(b, 403)
	b.get("/rules/export").has(b, 403)
	b.get("/accounts").has(b, 403)
	b.post("/queue", "message", string(backlog.Ordinary), "action", "cancel").has(b, 404)
}

func TestAnotherSiteSendsNothing(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	for _, path := range []string{"/queue", "/rules/file", "/accounts", "/sign-out", "/sign-in", "/setup", "/profile/password"} {
		r, err := http.NewRequest("POST", b.at+path, strings.NewReader("all=yes&action=cancel"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if p := b.read(b.http.Do(r)); p.code != 403 {
			t.Errorf("%s answers %d to another site", path, p.code)
		}
	}
	b.get("/").has(b, 200, "Deliveries")
}

func TestAccountsAndTokens(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	p := b.post("/accounts", "name", "ben", "role", "operator", "domains", "clinic.test, office.test").has(b, 200, "Link for ben")
	_, key, _ := strings.Cut(p.text, "/setup#")
	key, _, _ = strings.Cut(key, "<")
	b.post("/accounts", "name", "ben", "role", "operator").has(b, 400, "taken")
	b.post("/accounts", "name", "x y", "role", "operator").has(b, 400)
	b.post("/accounts", "name", "carl", "role", "operator", "domains", "not a domain..").has(b, 400)
	admin := b.http
	b.anew()
	b.post("/setup", "key", key, "password", password, "again", password+"x").has(b, 400, "differ")
	b.post("/setup", "key", key, "password", password, "again", password).has(b, 200, "ben", "clinic.test, office.test")
	p = b.post("/profile/tokens", "name", "ci", "days", "30", "scope", "trace:read").has(b, 200, accounts.TokenPrefix)
	b.post("/profile/tokens", "name", "more", "days", "30", "scope", "rules:write").has(b, 403)
	b.post("/profile/tokens", "name", "long", "days", "500", "scope", "trace:read").has(b, 400, "400 days")
	b.post("/profile/password", "old", password, "next", "another long sentence", "again", "another long sentence").has(b, 200, "is changed")
	ben := b.http
	b.http = admin
	list, err := b.a.List(t.Context(), access.Root("root"))
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	b.post("/accounts/"+list[1].ID, "do", "change", "version", "1", "role", "auditor", "domains", "").has(b, 409)
	b.post("/accounts/"+list[1].ID, "do", "change", "version", "3", "role", "auditor", "domains", "", "disabled", "yes").has(b, 200, "disabled")
	b.http = ben
	b.get("/").has(b, 200, "Sign in")
	b.http = admin
	b.post("/accounts/"+list[0].ID, "do", "delete").has(b, 400, "last administrator")
	b.post("/accounts/"+list[1].ID, "do", "delete").has(b, 200)
}

// hostile are texts that strangers choose, meant to break out of wherever they are put.
func hostile() []string {
	return []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`, `</textarea><script>`,
		"\u202egnp.exe", `{{.}}`, strings.Repeat("A", 10_000), `&lt;b&gt;`, "a\x00b", `-->`, `]]>`}
}

// What strangers write is shown and does nothing else.
func TestStrangersTextIsOnlyText(t *testing.T) {
	for _, text := range hostile() {
		b := newConsole(t)
		b.setUp()
		b.poison(text)
		list := pages()
		list = append(list, "/trace?any="+url.QueryEscape(text), "/queue?done="+url.QueryEscape(text), "/rules/explain?from="+url.QueryEscape(text)+"&to="+url.QueryEscape(text)+
			"&header="+url.QueryEscape(text), "/destinations?name="+url.QueryEscape(text), "/trace/0fk3n0000000zzzz", "/"+url.PathEscape(text))
		read := map[string]page{}
		for _, path := range list {
			read[path] = b.get(path)
		}
		read["POST /headers"] = b.post("/headers", "trust", text, "header", "Received: from "+text+" by "+text+" with "+text+"; "+text+"\n\n")
		read["POST /check"] = b.post("/check", "target", "said."+strings.ToLower(strings.Repeat("a", 3))+".test", "rule", text)
		for path, p := range read {
			if p.code >= 500 {
				t.Errorf("%.40q: %s answers %d", text, path, p.code)
			}
			if p.tree != nil {
				b.harmless(p, text)
			}
		}
	}
}

// harmless checks that a page holds no element, attribute or link that a stranger made.
func (b *browser) harmless(p page, text string) {
	b.Helper()
	for n := range p.tree.Descendants() {
		if n.Type == html.CommentNode {
			b.Errorf("%.40q makes a comment on %s", text, p.path)
		}
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "script":
			if !strings.HasPrefix(attr(n, "src"), "/static/console.") {
				b.Errorf("%.40q makes a script on %s", text, p.path)
			}
		case "img", "iframe", "object", "b":
			b.Errorf("%.40q makes <%s> on %s", text, n.Data, p.path)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "href" && strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
				b.Errorf("%.40q makes %s=%.60q on %s", text, a.Key, a.Val, p.path)
			}
		}
	}
}

// poison puts a text wherever a stranger's can be stored.
func (b *browser) poison(text string) {
	b.Helper()
	body, err := b.store.NewDraft(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	m := queue.Message{ID: "0fk3n00000000009", AcceptedAt: backlog.Noon.Add(time.Hour), MessageID: text, Inbound: queue.Inbound{Helo: text, User: text, Listener: text}}
	m.Envelope.From = mail.Address{Local: `"` + text + `"`, Domain: mail.MustDomain("evil.test")}
	at := backlog.Expired(backlog.Noon.Add(2 * time.Hour))
	at.Text, at.Notes = text, []string{text}
	at.Tries[0].Host, at.Tries[0].Text, at.Tries[0].Remote, at.Tries[0].Alert = text, text, text, text
	at.Tries[0].Evidence.Chain[0].Subject, at.Tries[0].Evidence.Chain[0].Issuer, at.Tries[0].Evidence.Presented = text, text, []string{text}
	at.Tries[0].Shortfalls = []policy.Shortfall{{Reason: policy.CertExpired, Text: text}}
	d := queue.NewDelivery{NextHop: "mx:" + text, Delivery: queue.Delivery{Due: backlog.Noon, Rules: []string{text}, Recipient: mail.Recipient{Address: mail.Address{Local: `"` + text + `"`, Domain: mail.MustDomain("clinic.test")}}}}
	if err := b.store.Accept(b.Context(), &queue.Submission{Message: m, Deliveries: []queue.NewDelivery{d}, Body: body}); err != nil {
		b.Fatal(err)
	}
	work, err := b.store.Claim(b.Context(), queue.Claim{Site: queue.NewSiteKey("mx:"+text, policy.Requirement{}), Now: backlog.Noon.Add(3 * time.Hour), Until: backlog.Noon.Add(4 * time.Hour)})
	if err != nil || len(work) != 1 {
		b.Fatalf("%d claimed, %v", len(work), err)
	}
	if err := b.store.Settle(b.Context(), queue.Batch{Now: backlog.Noon.Add(3 * time.Hour), Settlements: []queue.Settlement{{Lease: work[0].Lease, State: queue.Queued,
		Due: backlog.Noon.Add(4 * time.Hour), Attempt: at, Reason: policy.CertExpired}},
		Sites: map[queue.SiteKey]queue.SiteState{work[0].Site: {Failures: 1, Since: backlog.Noon, RetryAt: backlog.Noon, Last: at}}}); err != nil {
		b.Fatal(err)
	}
	b.saveFile(someRule + "[[rule]]\nname = \"odd\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [" + `"odd.test"` + "]\n")
	if _, err := b.s.For(access.Root(text)).Act(b.Context(), waiting.ActRequest{Kind: queue.Retry, Messages: []string{"0fk3n00000000009"}}); err != nil {
		b.Fatal(err)
	}
	b.get("/trace/0fk3n00000000009").has(b, 200)
}

// TestPagesForTheEye writes every page to a folder, for looking at them in a browser; it runs when POSTERN_PAGES names
// one.
func TestPagesForTheEye(t *testing.T) {
	dir := os.Getenv("POSTERN_PAGES")
	if dir == "" {
		t.Skip("POSTERN_PAGES is not set")
	}
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	for _, path := range append(pages(), "/none") {
		p := b.get(path)
		text := p.text
		for name := range map[string]bool{"console.css": true, "console.js": true, "icon.svg": true} {
			a, err := newAssets(os.DirFS("static"))
			if err != nil {
				t.Fatal(err)
			}
			text = strings.ReplaceAll(text, a.names[name], name)
		}
		name := strings.NewReplacer("/", "_", "?", "_", "&", "_").Replace(strings.Trim(path, "/"))
		if err := os.WriteFile(filepath.Join(dir, "page_"+name+".html"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS("static")); err != nil {
		t.Logf("the assets are there already: %v", err)
	}
}
