package web

import (
	"bufio"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/internal/event"
	"postern/internal/lab/testkit/tenants"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/live"
	"postern/internal/operator/signin"
	"postern/internal/platform/passhash"
)

// asked is one request of a page or a form, of somebody who is limited to the domains of one tenant. One that names the
// other's things is asked a second time with names of nothing.
type asked struct {
	path string
	form []string
	says string // what the answer must hold, so that the limit does not take away what one's own
	code int    // 0: 200
}

// probes are the requests that try each route. A route that is not here fails the test: whoever adds a page says here
// what a tenant sees of it.
func probes() map[string][]asked {
	sent, waiting, foreign, inward := string(tenants.Sent), string(tenants.Waiting), string(tenants.Foreign), string(tenants.Inward)
	theirs, stuck := string(tenants.Theirs), string(tenants.Stuck)
	return map[string][]asked{
		"GET /{$}":  {{path: "/", says: "q@partner.test"}, {path: "/?period=year"}},
		"GET /live": nil, // a stream: TestAStreamOfATenantCountsNothingOfOthers
		"GET /trace": {{path: "/trace", says: "boss@apple.test"}, {path: "/trace?any=zebra.test"}, {path: "/trace?rule=zebra-rule"}, {path: "/trace?rule=apple-rule", says: "p@partner.test"}, {path: "/trace?host=*zebra*"},
			{path: "/trace?message=" + theirs}, {path: "/trace?message_id=zebra@zebra.test"}, {path: "/trace?site=own:zebra-host.test:25"}, {path: "/trace?sender=zebra.test"}, {path: "/trace?state=failed"},
			{path: "/trace?state=waiting", says: "x@third.test"}, {path: "/trace?reason=cert-expired&state=waiting", says: "x@third.test"}},
		"GET /trace/{id}":               {{path: "/trace/" + sent, says: "mx.partner.test"}, {path: "/trace/" + waiting, says: "cert-expired"}, {path: "/trace/" + foreign, says: "boss@apple.test"}, {path: "/trace/" + inward, says: "x@third.test"}, {path: "/trace/" + theirs, code: 404}},
		"POST /trace/{id}/content":      {{path: "/trace/" + theirs + "/content", form: []string{"x", "y"}, code: -1}, {path: "/trace/" + sent + "/content", form: []string{"x", "y"}, code: -1}, {path: "/trace/" + string(tenants.Hidden) + "/content", form: []string{"x", "y"}, code: -1}},
		"GET /trace/{id}/evidence":      {{path: "/trace/" + sent + "/evidence", says: "mx.partner.test"}, {path: "/trace/" + foreign + "/evidence"}, {path: "/trace/" + inward + "/evidence"}, {path: "/trace/" + theirs + "/evidence", code: 404}},
		"GET /trace/{id}/evidence.json": {{path: "/trace/" + sent + "/evidence.json", says: "apple-rule"}, {path: "/trace/" + foreign + "/evidence.json"}, {path: "/trace/" + waiting + "/evidence.json"}, {path: "/trace/" + theirs + "/evidence.json", code: 404}},
		"GET /queue":                    {{path: "/queue", says: "mx:partner.test"}},
		"GET /quarantine": {{path: "/quarantine", says: "k@partner.test"}, {path: "/quarantine?quarantine=zebra-rule"}, {path: "/quarantine?quarantine=apple-*", says: "k@partner.test"}, {path: "/quarantine?sender=zebra.test"},
			{path: "/quarantine?recipient=boss@apple.test", says: "Nothing found"}},
		"POST /queue": {{path: "/queue", form: []string{"message", stuck, "action", "hold", "back", "/queue"}, code: -1}, {path: "/queue", form: []string{"domain", "zebrapartner.test", "action", "hold", "back", "/queue"}, code: -1},
			{path: "/queue", form: []string{"all", "yes", "action", "retry", "back", "/queue"}, code: -1},
			{path: "/queue", form: []string{"message", string(tenants.Hidden), "action", "release", "back", "/quarantine"}, code: -1}, {path: "/queue", form: []string{"message", string(tenants.Hidden), "action", "return", "back", "/quarantine"}, code: -1},
			{path: "/queue", form: []string{"message", string(tenants.Hidden), "action", "cancel", "back", "/quarantine"}, code: -1}},
		"POST /queue/found": {{path: "/queue/found", form: []string{"recipient", "zebrapartner.test", "action", "hold", "back", "/queue"}, code: -1}, {path: "/queue/found", form: []string{"site", "own:zebra-host.test:25", "action", "retry", "back", "/queue"}, code: -1}},
		"GET /rules":        {{path: "/rules", says: "apple-rule"}},
		"GET /rules/edit":   {{path: "/rules/edit", code: -1}, {path: "/rules/edit?name=apple-rule", code: -1}, {path: "/rules/edit?name=zebra-rule", code: -1}},
		"POST /rules/edit": {{path: "/rules/edit", form: ruleForm("zebra-rule"), code: -1}, {path: "/rules/edit", form: ruleForm("apple-rule"), code: -1},
			{path: "/rules/edit", form: append([]string{"do", "try", "try.from", "boss@apple.test", "try.to", "p@partner.test, x@third.test"}, ruleForm("apple-rule")...), code: -1},
			{path: "/rules/edit", form: append([]string{"do", "try", "try.from", "boss@apple.test", "try.to", "p@zebrapartner.test x@zebra.test"}, ruleForm("apple-rule")...), code: -1},
			{path: "/rules/edit", form: append([]string{"do", "try", "try.from", "boss@apple.test", "try.to", "p@partner.test"}, ruleForm("zebra-rule")...), code: -1}},
		"POST /rules/explain":   {{path: "/rules/explain", form: []string{"try.from", "z@zebra.test", "try.to", "p@zebrapartner.test"}, code: 403}},
		"GET /rules/file":       {{path: "/rules/file", code: 403}},
		"POST /rules/file":      {{path: "/rules/file", form: []string{"revision", "1", "text", "x"}, code: -1}},
		"GET /rules/export":     {{path: "/rules/export", code: 403}},
		"GET /rules/exceptions": {{path: "/rules/exceptions", code: 403}}, "POST /rules/exceptions": {{path: "/rules/exceptions", form: []string{"revision", "1", "domain", "zebra.test"}, code: 403}},
		"GET /rules/lists": {{path: "/rules/lists", code: 403}}, "GET /rules/lists/{name}": {{path: "/rules/lists/zebra", code: 403}},
		"POST /rules/lists/{name}": {{path: "/rules/lists/zebra", form: []string{"revision", "1", "text", "a.test"}, code: -1}}, "GET /rules/lists/{name}/export": {{path: "/rules/lists/zebra/export", code: 403}},
		"GET /rules/explain":   {{path: "/rules/explain"}, {path: "/rules/explain?from=z@zebra.test&to=p@zebrapartner.test", code: 403}},
		"GET /rules/revisions": {{path: "/rules/revisions", code: 403}}, "GET /rules/revisions/{n}": {{path: "/rules/revisions/1", code: 403}, {path: "/rules/revisions/99", code: 403}},
		"POST /rules/revisions/{n}": {{path: "/rules/revisions/1", form: []string{"revision", "1"}, code: -1}},
		"GET /destinations":         {{path: "/destinations", says: "mx.partner.test"}, {path: "/destinations?name=*.zebrapartner.test"}, {path: "/destinations?name=zebra-host.test"}},
		"GET /destinations/{name}": {{path: "/destinations/partner.test", says: "mx.partner.test"}, {path: "/destinations/mx.partner.test", says: "mx.partner.test"}, {path: "/destinations/zebrapartner.test"}, {path: "/destinations/mx.zebrapartner.test"},
			{path: "/destinations/zebra-host.test"}, {path: "/destinations/third.test", says: "x@third.test"}, {path: "/destinations/192.0.2.9"}},
		"GET /observed":                     {{path: "/observed"}, {path: "/observed?days=90"}, {path: "/observed?domain=zebrapartner.test"}},
		"GET /incoming":                     {{path: "/incoming", code: 403}, {path: "/incoming?domain=zebra", code: 403}},
		"POST /destinations/{name}/approve": {{path: "/destinations/zebrapartner.test/approve", form: []string{"name", "zebrapartner.test"}, code: 403}},
		"GET /reports":                      {{path: "/reports", says: "reporter.test"}, {path: "/reports?sender=zebra"}, {path: "/reports?domain=zebra.test&failing=yes"}},
		"GET /reports/{id}":                 {{path: "/reports/" + tenants.OwnReport, says: "apple is late"}, {path: "/reports/" + tenants.SharedReport, says: "apple is late"}, {path: "/reports/" + tenants.TheirReport, code: 404}},
		"GET /check":                        {{path: "/check", code: 200}, {path: "/check?target=zebra.test"}},
		"POST /check": {{path: "/check", form: []string{"target", "zebrapartner.test"}, code: 403}, {path: "/check", form: []string{"target", "zebra.test"}, code: 403}, {path: "/check", form: []string{"target", "third.test"}, code: 403},
			{path: "/check", form: []string{"target", "mx.zebrapartner.test"}, code: 403}, {path: "/check", form: []string{"target", "192.0.2.9"}, code: 403}, {path: "/check", form: []string{"target", "mx.partner.test:25"}, code: 403},
			{path: "/check", form: []string{"target", "partner.test", "rule", "zebra-rule"}, code: -1}, {path: "/check", form: []string{"target", "partner.test", "rule", "apple-rule"}, code: -1}, {path: "/check", form: []string{"target", "apple.test"}, code: -1}},
		"GET /gateway": {{path: "/gateway", code: 403}}, "GET /gateway/certificates": {{path: "/gateway/certificates", code: 403}}, "GET /gateway/nodes": {{path: "/gateway/nodes", code: 403}}, "POST /gateway/reload": {{path: "/gateway/reload", form: []string{"x", "y"}, code: 403}},
		"GET /headers": {{path: "/headers"}}, "POST /headers": {{path: "/headers", form: []string{"header", "Received: from a by b; Mon, 23 Nov 2026 12:00:00 +0000"}}},
		"GET /audit":    {{path: "/audit"}, {path: "/audit?after=3"}},
		"GET /accounts": {{path: "/accounts", code: 403}}, "POST /accounts": {{path: "/accounts", form: []string{"name", "zebra-admin", "role", "auditor"}, code: 403}},
		"POST /accounts/{id}": {{path: "/accounts/zebra-admin", form: []string{"do", "delete"}, code: 403}},
		"GET /profile":        {{path: "/profile"}},
		"GET /prove":          {{path: "/prove?next=/rules"}},
		// What is kept belongs to a session; TestAKeptFormBelongsToItsSession tries those of others.
		"GET /again/{id}": {{path: "/again/zebra", code: 404}}, "POST /again/{id}": {{path: "/again/zebra", form: []string{"x", "y"}, code: 404}},
		// What these change is the account that asks, and nothing that a tenant has.
		"POST /prove": {{path: "/prove", form: []string{"password", "wrong wrong wrong"}, code: -1}}, "POST /profile/password": {{path: "/profile/password", form: []string{"old", "wrong", "next", "a", "again", "b"}, code: -1}},
		"POST /profile/sessions": {{path: "/profile/sessions", form: []string{"session", "zebra"}, code: 404}}, "POST /profile/tokens": {{path: "/profile/tokens", form: []string{"delete", "zebra"}, code: 404}},
		"POST /passkey/prove": {{path: "/passkey/prove", form: []string{"x", "y"}, code: -1}}, "POST /passkey/begin": {{path: "/passkey/begin", form: []string{"x", "y"}, code: -1}}, "POST /passkey/finish": {{path: "/passkey/finish", form: []string{"x", "y"}, code: -1}},
		"POST /profile/passkeys": {{path: "/profile/passkeys", form: []string{"id", "zebra"}, code: -1}},
	}
}

func ruleForm(name string) []string {
	return []string{"rule", name, "revision", "1", "name", name, "scope", "outbound", "action", "force-tls", "match.sender", "apple.test", "match.recipient", "partner.test", "do", "look"}
}

// newTenants is a console of two tenants, and somebody of one of them in front of it.
func newTenants(t *testing.T, role access.Role) (*browser, *Console, *live.Pulse) {
	t.Helper()
	cfg, store, pulse := tenants.Config(t)
	b := &browser{T: t, store: store, s: admin.New(cfg), a: accounts.New(accounts.Config{Book: accounts.NewBook(store), Ledger: store, Cost: passhash.Cost{KiB: 64, Passes: 1}})}
	h, err := New(Config{Service: b.s, Accounts: b.a})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	b.at = server.URL
	b.anew()
	b.become("zebra-admin", access.Administrator)
	b.become("nina", role, tenants.Domain)
	return b, &Console{cfg: Config{Service: b.s, Accounts: b.a}}, pulse
}

// No page and no form tells one tenant of another: nothing that is there because of the other stands in any answer, and
// what is the other's is answered as what is not there.
func TestNoPageTellsATenantOfAnother(t *testing.T) {
	for _, role := range access.Roles() {
		b, c, _ := newTenants(t, role)
		tried := probes()
		for _, pattern := range slices.Concat(slices.Collect(maps.Keys(c.known())),
			slices.Collect(maps.Keys(signin.New(signin.Config{}).Known()))) {
			list, ok := tried[pattern]
			if !ok {
				t.Errorf("no probe tries %s: say in this test what a tenant is told there", pattern)
			}
			for _, q := range list {
				b.tries(role, pattern, q)
			}
		}
	}
}

// tries asks, and asks again for what is not there.
func (b *browser) tries(role access.Role, pattern string, q asked) {
	b.Helper()
	got := b.asks(pattern, q)
	text := got.text + got.path
	what := string(role) + " " + pattern + " " + q.path + " " + strings.Join(q.form, " ")
	switch {
	case got.code >= 500:
		b.Errorf("%s: %d", what, got.code)
	case q.code == 0 && got.code != 200 || q.code > 0 && got.code != q.code && got.code != 403:
		b.Errorf("%s: %d, want %d", what, got.code, q.code)
	case q.says != "" && !strings.Contains(text, q.says):
		b.Errorf("%s does not say %q:\n%s", what, q.says, plain(got.tree))
	}
	if !strings.Contains(q.path+strings.Join(q.form, " "), tenants.Mark) {
		if at := strings.Index(strings.ToLower(text), tenants.Mark); at >= 0 {
			b.Errorf("%s tells of the other tenant: …%s…", what, text[max(0, at-200):min(len(text), at+100)])
		}
		return
	}
	twin := q
	twin.path, twin.form = strings.ReplaceAll(q.path, tenants.Mark, tenants.Twin), nil
	for _, field := range q.form {
		twin.form = append(twin.form, strings.ReplaceAll(field, tenants.Mark, tenants.Twin))
	}
	none := b.asks(pattern, twin)
	if got.code != none.code || same(got) != same(none) {
		b.Errorf("%s is answered otherwise than what is not there: %d and %d\n%s\n%s", what, got.code, none.code, plain(got.tree), plain(none.tree))
	}
}

func (b *browser) asks(pattern string, q asked) page {
	b.Helper()
	if strings.HasPrefix(pattern, "GET") {
		return b.get(q.path)
	}
	return b.post(q.path, q.form...)
}

// same is an answer without what changes by itself.
func same(p page) string {
	text := strings.ReplaceAll(p.text, tenants.Mark, tenants.Twin)
	return regexp.MustCompile(`\d+ (s|min) ago`).ReplaceAllString(regexp.MustCompile(`\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d`).ReplaceAllString(text, ""), "")
}

// A check tells each step as it happens: a tenant hears of his own targets, and of no step of others.
func TestAStreamedCheckIsTheTenantsOwn(t *testing.T) {
	b, _, _ := newTenants(t, access.Operator)
	stream := func(target string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.at+"/check", strings.NewReader(url.Values{"target": {target}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", streamType)
		return b.read(b.http.Do(r)).text
	}
	for _, own := range []string{"apple.test", "partner.test", "mx.partner.test"} {
		if text := stream(own); !strings.Contains(text, "mail goes to apple") || strings.Contains(text, tenants.Mark) {
			t.Errorf("%s: %s", own, text)
		}
	}
	for _, other := range []string{"zebra.test", "zebrapartner.test", "third.test", "mx.zebrapartner.test", "zebra-host.test"} {
		if text := stream(other); text != stream("penny.test") {
			t.Errorf("%s: %s", other, text)
		}
	}
}

// How much happens to others is nothing that a live page tells.
func TestAStreamOfATenantCountsNothingOfOthers(t *testing.T) {
	b, _, pulse := newTenants(t, access.Auditor)
	for range 4711 {
		pulse.Emit(event.Accepted{})
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", b.at+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewScanner(res.Body)
	for in.Scan() {
		if in.Text() != "" {
			break
		}
	}
	if in.Text() != "data: 0" {
		t.Errorf("the stream begins with %q", in.Text())
	}
}
