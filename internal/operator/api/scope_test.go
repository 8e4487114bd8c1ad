package api

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/internal/event"
	"postern/internal/lab/testkit/tenants"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/live"
	"postern/internal/platform/passhash"
)

// asked is one request of somebody who is limited to the domains of one tenant; code is of who may do most, 0 is 200.
type asked struct {
	path, body, says string
	code             int
}

const aRule = `{"name":"%","action":"force-tls","match":{"sender":["apple.test"],"recipient":["partner.test"]}}`

// proposal is an edit that a question of explain is about.
func proposal(name string) string {
	text, err := json.Marshal(admin.Proposal{Name: name, Rule: "[[rule]]\nname = \"" + name + "\"\naction = \"force-tls\"\n[rule.match]\nsender = [\"apple.test\"]\n"})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// probes are the requests that try each operation. An operation that is not here fails the test: whoever adds one says
// here what a tenant is told by it.
func probes() map[string][]asked {
	sent, waiting, foreign, inward := string(tenants.Sent), string(tenants.Waiting), string(tenants.Foreign), string(tenants.Inward)
	theirs, stuck := string(tenants.Theirs), string(tenants.Stuck)
	rule := func(name string) string { return strings.ReplaceAll(aRule, "%", name) }
	return map[string][]asked{
		"GET /deliveries": {{path: "/deliveries", says: "q@partner.test"}, {path: "/deliveries?rule=zebra-rule"}, {path: "/deliveries?rule=zebra-rule-tested"}, {path: "/deliveries?rule=apple-rule", says: "p@partner.test"},
			{path: "/deliveries?site=own:zebra-host.test:25"}, {path: "/deliveries?host=zebra-host.test"}, {path: "/deliveries?sender=zebra.test"}, {path: "/deliveries?message=" + theirs}, {path: "/deliveries?limit=1"}},
		"GET /messages/{id}":          {{path: "/messages/" + sent, says: "mx.partner.test"}, {path: "/messages/" + waiting, says: `"by":"an administrator"`}, {path: "/messages/" + foreign, says: "boss@apple.test"}, {path: "/messages/" + inward, says: "x@third.test"}, {path: "/messages/" + theirs, code: 404}},
		"POST /messages/{id}/content": {{path: "/messages/" + theirs + "/content", code: 404}, {path: "/messages/" + sent + "/content", code: 404}},
		"GET /messages/{id}/evidence": {{path: "/messages/" + sent + "/evidence", says: "BEGIN CERTIFICATE"}, {path: "/messages/" + foreign + "/evidence"}, {path: "/messages/" + inward + "/evidence"}, {path: "/messages/" + theirs + "/evidence", code: 404}},
		"GET /sites":                  {{path: "/sites", says: "mx:partner.test"}},
		"GET /queue":                  {{path: "/queue", says: "apple-rule"}},
		"POST /queue":                 {{path: "/queue", body: `{"kind":"hold","messages":["` + stuck + `"]}`, code: 404}, {path: "/queue", body: `{"kind":"hold","domains":["zebrapartner.test"]}`, code: 404}, {path: "/queue", body: `{"kind":"release","all":true}`}},
		"POST /queue/found":           {{path: "/queue/found?recipient=zebrapartner.test", body: `{"kind":"hold"}`, code: 404}, {path: "/queue/found?site=own:zebra-host.test:25", body: `{"kind":"hold"}`, code: 404}},
		"GET /rules":                  {{path: "/rules", says: "apple-rule"}},
		"PUT /rules":                  {{path: "/rules", body: `{"text":"# zebra"}`, code: 403}},
		"POST /rules":                 {{path: "/rules?dry_run=true", body: rule("apple-other")}},
		"GET /rules/{name}":           {{path: "/rules/apple-rule", says: "apple.test"}, {path: "/rules/zebra-rule", code: 404}},
		"PUT /rules/{name}":           {{path: "/rules/apple-rule?dry_run=true", body: rule("apple-renamed")}, {path: "/rules/zebra-rule", body: rule("apple-x"), code: 404}},
		"DELETE /rules/{name}":        {{path: "/rules/zebra-rule", code: 404}, {path: "/rules/apple-rule?dry_run=true", says: "apple-rule"}},
		"POST /explanations": {{path: "/explanations", body: `{"from":"z@zebra.test","to":["p@zebrapartner.test"]}`, code: 403},
			{path: "/explanations", body: `{"from":"boss@apple.test","to":["p@zebrapartner.test","x@zebra.test"],"edit":` + proposal("apple-rule") + `}`},
			{path: "/explanations", body: `{"from":"boss@apple.test","to":["p@partner.test","x@third.test"],"edit":` + proposal("apple-rule") + `}`, says: "lately"},
			{path: "/explanations", body: `{"from":"boss@apple.test","to":["p@partner.test"],"edit":` + proposal("zebra-rule") + `}`, code: 404}},
		"GET /revisions":                   {{path: "/revisions", code: 403}},
		"GET /revisions/{number}":          {{path: "/revisions/1", code: 403}, {path: "/revisions/99", code: 403}},
		"POST /revisions/{number}/restore": {{path: "/revisions/1/restore", code: 403}, {path: "/revisions/99/restore", code: 403}},
		"GET /peers":                       {{path: "/peers", says: "mx.partner.test"}, {path: "/peers?name=*.zebrapartner.test"}, {path: "/peers?name=zebra-host.test"}, {path: "/peers?name=192.0.2.9", says: "mx.partner.test"}},
		"GET /peers/missing":               {{path: "/peers/missing?host=mx.partner.test&addr=192.0.2.9:25", says: "2026"}, {path: "/peers/missing?host=mx.zebrapartner.test&addr=192.0.2.9:25"}, {path: "/peers/missing?addr=192.0.2.9:25"}},
		"POST /peers/forget":               {{path: "/peers/forget", body: `{"names":["mx.zebrapartner.test"]}`, code: 403}},
		"GET /reports":                     {{path: "/reports", code: 403}, {path: "/reports?day=today", code: 403}},
		"GET /reports/{day}/{domain}":      {{path: "/reports/today/zebrapartner.test", code: 403}, {path: "/reports/2026-11-29/partner.test", code: 403}},
		"GET /observed":                    {{path: "/observed?days=90"}, {path: "/observed?domain=zebrapartner.test"}},
		"GET /incoming":                    {{path: "/incoming", code: 403}, {path: "/incoming?domain=zebra&days=14", code: 403}},
		"GET /published":                   {{path: "/published?domain=partner.test"}, {path: "/published?domain=zebrapartner.test"}, {path: "/published?domain=third.test"}},
		"GET /received-reports":            {{path: "/received-reports", says: tenants.SharedReport}, {path: "/received-reports?domain=zebra.test"}, {path: "/received-reports?sender=zebra"}, {path: "/received-reports?failing=true&limit=1", says: tenants.OwnReport}},
		"GET /received-reports/{id}":       {{path: "/received-reports/" + tenants.OwnReport, says: "apple is late"}, {path: "/received-reports/" + tenants.SharedReport, says: "apple is late"}, {path: "/received-reports/" + tenants.TheirReport, code: 404}},
		"GET /tls-failures":                {{path: "/tls-failures", says: `"sessions":4`}},
		"GET /policies":                    {{path: "/policies", code: 403}},
		"GET /policies/{domain}":           {{path: "/policies/zebrapartner.test", code: 403}, {path: "/policies/partner.test", code: 403}},
		"POST /policies/{domain}/refresh":  {{path: "/policies/zebrapartner.test/refresh", code: 403}},
		"DELETE /policies/{domain}":        {{path: "/policies/zebrapartner.test", code: 403}, {path: "/policies/partner.test", code: 403}},
		"GET /pins":                        {{path: "/pins", code: 403}, {path: "/pins?domain=zebrapartner.test", code: 403}},
		"GET /pins/candidates":             {{path: "/pins/candidates?domain=zebrapartner.test", code: 403}},
		"POST /pins/approve":               {{path: "/pins/approve", body: `{"domain":"zebrapartner.test","names":["zebrapartner.test"]}`, code: 403}},
		"POST /pins/forget":                {{path: "/pins/forget", body: `{"domain":"zebrapartner.test"}`, code: 403}},
		"GET /status":                      {{path: "/status", says: `"ready":false`}},
		"GET /nodes":                       {{path: "/nodes", code: 403}},
		"GET /audit":                       {{path: "/audit"}, {path: "/audit?after=5"}},
		"GET /reasons":                     {{path: "/reasons", says: "cert-expired"}},
		"POST /check":                      {{path: "/check?target=apple.test", says: "mx.apple.test"}, {path: "/check?target=partner.test&rule=apple-rule", says: "mx.apple.test"}, {path: "/check?target=partner.test&rule=zebra-rule", code: 400}, {path: "/check?target=zebrapartner.test", code: 403}, {path: "/check?target=third.test", code: 403}, {path: "/check?target=192.0.2.9", code: 403}},
		"GET /check/events":                {{path: "/check/events?target=partner.test", says: "mail goes to apple"}, {path: "/check/events?target=zebrapartner.test"}, {path: "/check/events?target=zebra.test"}, {path: "/check/events?target=third.test"}},
		"GET /events":                      nil, // a stream: TestEventsCountNothingOfOthers
		"GET /traffic":                     {{path: "/traffic?kind=rule", says: "apple-rule"}, {path: "/traffic?kind=domain", says: "apple.test"}, {path: "/traffic?kind=domain&name=zebrapartner.test"}, {path: "/traffic?kind=rule&name=zebra-rule"}, {path: "/traffic?kind=leg", code: 403}},
		"GET /suggestions":                 {{path: "/suggestions", code: 403}},
		"POST /previews":                   {{path: "/previews", body: rule("apple-new"), says: "deliveries"}, {path: "/previews?name=zebra-rule", body: rule("apple-new"), code: 404}},
		"GET /lists":                       {{path: "/lists", code: 403}},
		"GET /lists/{name}":                {{path: "/lists/zebra", code: 403}},
		"PUT /lists/{name}":                {{path: "/lists/zebra", body: `{"text":"a.test"}`, code: 403}},
		"GET /exceptions":                  {{path: "/exceptions", code: 403}},
		"PUT /exceptions/{domain}":         {{path: "/exceptions/partner.test", body: `{"ignore":["sts"],"reason":"r","expires":"2099-01-31"}`, code: 403}},
		"DELETE /exceptions/{domain}":      {{path: "/exceptions/zebrapartner.test", code: 403}},
		"GET /settings":                    {{path: "/settings", code: 403}},
		"GET /certificates":                {{path: "/certificates", code: 403}},
		"POST /reload":                     {{path: "/reload", code: 403}},
		"GET /accounts":                    {{path: "/accounts", code: 403}},
		"POST /accounts":                   {{path: "/accounts", body: `{"name":"zebra-admin"}`, code: 403}},
		"POST /accounts/first":             {{path: "/accounts/first", code: 403}},
		"PATCH /accounts/{name}":           {{path: "/accounts/zebra-admin", body: `{"disabled":true}`, code: 403}},
		"DELETE /accounts/{name}":          {{path: "/accounts/zebra-admin", code: 403}},
		"GET /tokens":                      {{path: "/tokens", code: 403}},
		"DELETE /tokens/{id}":              {{path: "/tokens/zebra", code: 404}},
	}
}

// tenant is a token of somebody of one of two tenants.
func tenant(t *testing.T, role access.Role) (*remoteWorld, *Client, *live.Pulse) {
	t.Helper()
	cfg, store, pulse := tenants.Config(t)
	w := &remoteWorld{accounts: accounts.New(accounts.Config{Book: accounts.NewBook(store), Ledger: store, Cost: passhash.Cost{KiB: 64, Passes: 1}})}
	w.server = New(admin.New(cfg), w.accounts, slog.New(slog.DiscardHandler))
	server := httptest.NewServer(w.server.ByToken())
	t.Cleanup(server.Close)
	w.url = server.URL
	w.token(t, "zebra-admin", access.Administrator, access.Scope{All: true}, access.All()...)
	var may []access.Capability
	p := access.Principal{Role: role, Scope: access.Scope{Domains: []mail.Domain{mail.MustDomain(tenants.Domain)}}}
	for _, c := range access.All() {
		if p.May(c) {
			may = append(may, c)
		}
	}
	return w, w.token(t, "nina", role, p.Scope, may...), pulse
}

// No operation tells one tenant of another: nothing that is there because of the other stands in any answer, and what
// is the other's is answered as what is not there.
func TestNoOperationTellsATenantOfAnother(t *testing.T) {
	var d struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(description(t), &d); err != nil {
		t.Fatal(err)
	}
	for _, role := range access.Roles() {
		_, client, _ := tenant(t, role)
		tried := probes()
		var operations []string
		for path, methods := range d.Paths {
			for method := range methods {
				operations = append(operations, strings.ToUpper(method)+" "+path)
			}
		}
		slices.Sort(operations) // looks before acts
		for _, operation := range operations {
			list, ok := tried[operation]
			if !ok {
				t.Errorf("no probe tries %s: say in this test what a tenant is told by it", operation)
			}
			method, _, _ := strings.Cut(operation, " ")
			for _, q := range list {
				tries(t, client, role, method, q)
			}
		}
	}
}

// theirCount is a count that is the other tenant's, and no digits of a time or an ID.
var theirCount = regexp.MustCompile(`[^0-9A-Za-z.]4711[^0-9A-Za-z.]`)

func tries(t *testing.T, client *Client, role access.Role, method string, q asked) {
	t.Helper()
	code, kind, text := askIf(t, client, method, q.path, q.body, "*")
	what := string(role) + " " + method + " " + q.path + " " + q.body
	wanted := max(q.code, 200)
	switch {
	case role != access.Administrator && (code == 403 || strings.Contains(text, `"status":403`)): // a role that may less
	case code != wanted || q.says != "" && !strings.Contains(text, q.says):
		t.Errorf("%s: %d %.1500s, want %d and %q", what, code, text, wanted, q.says)
	}
	if !strings.Contains(q.path+q.body, tenants.Mark) {
		if at := strings.Index(strings.ToLower(text), tenants.Mark); at >= 0 || theirCount.MatchString(text) && !strings.Contains(q.path, "/traffic") {
			t.Errorf("%s tells of the other tenant: …%s…", what, text[max(0, at-200):min(len(text), max(at, 0)+100)])
		}
		return
	}
	twin := strings.NewReplacer(tenants.Mark, tenants.Twin)
	code2, kind2, text2 := askIf(t, client, method, twin.Replace(q.path), twin.Replace(q.body), "*")
	if code != code2 || kind != kind2 || same(twin.Replace(text)) != same(text2) {
		t.Errorf("%s is answered otherwise than what is not there: %d and %d\n%s\n%s", what, code, code2, text, text2)
	}
}

// same is an answer without what changes by itself.
func same(text string) string {
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+`).ReplaceAllString(text, "")
}

// How much happens to others is nothing that a stream tells.
func TestEventsCountNothingOfOthers(t *testing.T) {
	_, client, pulse := tenant(t, access.Auditor)
	for range 4711 {
		pulse.Emit(event.Accepted{})
	}
	res, err := client.do(t.Context(), request{path: "/events"})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewScanner(res.Body)
	for in.Scan() {
		if text, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			if text != `{"beats":0}` {
				t.Errorf("the stream begins with %s", text)
			}
			return
		}
	}
	t.Error("the stream ended")
}

// A rule that a limited account may not write is refused with the field that says so.
func TestARuleBeyondAScopeIsRefusedAtItsField(t *testing.T) {
	_, client, _ := tenant(t, access.Administrator)
	for body, want := range map[string][]string{
		`{"name":"x","action":"force-tls"}`:                                             {"body.match.sender", "within apple.test only"},
		`{"name":"x","action":"force-tls","match":{"sender":["*.apple.test"]}}`:         {"body.match.sender", "*.apple.test is not"},
		`{"name":"x","action":"force-tls","match":{"sender":["apple.test","<>"]}}`:      {"body.match.sender", "everybody's bounces"},
		`{"name":"x","action":"force-tls","match":{"sender":["re:.|@apple.test"]}}`:     {"body.match.sender", "may cover anybody"},
		`{"name":"x","action":"bcc","domain":["apple.test"],"bcc":{"to":["a@b.test"]}}`: {"body.domain", "by its header too"},
	} {
		for _, path := range []string{"/rules?dry_run=true", "/rules", "/previews"} {
			got, _, text := askIf(t, client, "POST", path, body, "*")
			for _, word := range append(want, `"hint"`) {
				if !strings.Contains(text, word) || got != 403 {
					t.Errorf("POST %s %s: %d %s, want 403 and %q", path, body, got, text, word)
				}
			}
		}
	}
}
