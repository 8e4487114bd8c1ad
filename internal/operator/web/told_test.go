package web

import (
	"bytes"
	"cmp"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/lab/testkit/provider"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/audit"
	"postern/internal/operator/oidc"
	"postern/internal/operator/signin"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
)

// told are the actions that the audit trail tells, newest first, with what it does not have yet.
func (b *browser) told() (out []audit.Entry) {
	b.Helper()
	list, err := b.store.Entries(b.Context(), 0, 500)
	if err != nil {
		b.Fatal(err)
	}
	return append(b.a.Refusals(), list...)
}

// doing is what is done at a route, and the action that the audit trail tells then; or why it tells none.
type doing struct {
	do   func(b *browser) page
	told string
	why  string // there is nothing to tell
}

func posts(path string, fields ...string) func(b *browser) page {
	return func(b *browser) page { return b.post(path, fields...) }
}

func gets(path string) func(b *browser) page { return func(b *browser) page { return b.get(path) } }

// account is the ID of an account.
func (b *browser) account(name string) string {
	b.Helper()
	list, err := accounts.NewBook(b.store).Accounts(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, a := range list {
		if a.Name == name {
			return a.ID
		}
	}
	b.Fatalf("there is no %s", name)
	return ""
}

// whatIsDone is every form and every page that hands something out. A route that is in no list fails the test.
func whatIsDone() map[string]doing {
	const change = "it shows; what is changed there is told"
	rule := []string{"rule", "", "revision", "1", "do", "save", "name", "bank", "action", "force-tls", "scope", "outbound", "mode", "enforce", "match.recipient", "bank.test"}
	return map[string]doing{
		"POST /sign-in":  {do: posts("/sign-in", "name", "anna", "password", password), told: "sign-in"},
		"POST /sign-out": {do: posts("/sign-out"), told: "sign-out"},
		"POST /setup": {do: func(b *browser) page {
			_, key, err := b.a.Invite(b.Context(), access.Root("root"), "ben", access.Auditor, access.Scope{All: true})
			if err != nil {
				b.Fatal(err)
			}
			return b.post("/setup", "key", key, "password", password, "again", password)
		}, told: "accounts accept"},
		"POST /prove":            {do: posts("/prove", "password", password), told: "proof"},
		"POST /passkey/prove":    {do: posts("/passkey/prove"), told: "proof refused"},
		"POST /passkey/sign-in":  {do: posts("/passkey/sign-in"), told: "sign-in refused"},
		"GET /oidc/callback":     {do: gets("/oidc/start"), told: "sign-in by oidc"},
		"POST /queue":            {do: posts("/queue", "message", string(backlog.Waiting), "action", "hold"), told: "queue hold"},
		"POST /queue/found":      {do: posts("/queue/found", "any", "clinic.test", "action", "retry"), told: "queue retry"},
		"POST /rules/edit":       {do: posts("/rules/edit", rule...), told: "rules apply"},
		"POST /rules/exceptions": {do: posts("/rules/exceptions", "revision", "1", "do", "save", "domain", "a.test", "ignore", "sts", "reason", "x", "expires", "2099-01-31"), told: "rules apply"}, "GET /rules/exceptions": {why: change},
		"POST /rules/file": {do: posts("/rules/file", "revision", "1", "do", "save", "text", "# none\n"), told: "rules apply"},
		"POST /rules/revisions/{n}": {do: func(b *browser) page {
			b.post("/rules/file", "revision", "1", "do", "save", "text", "# none\n").has(b, 200)
			return b.post("/rules/revisions/1", "revision", "2")
		}, told: "rules apply"},
		"POST /destinations/{name}/approve": {do: func(b *browser) page {
			if _, err := mxpins.NewBook(b.store).Remember(b.Context(), true, []mxpins.Pin{{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test", By: policy.MXByFirstUse}}); err != nil {
				b.Fatal(err)
			}
			return b.post("/destinations/clinic.test/approve", "name", "backup.test")
		}, told: "peers approve"},
		"POST /gateway/reload": {do: posts("/gateway/reload"), told: "reload configuration"},
		"POST /accounts":       {do: posts("/accounts", "name", "ben", "role", "auditor"), told: "accounts invite"},
		"POST /accounts/{id}": {do: func(b *browser) page {
			return b.post("/accounts/"+b.account("olga"), "do", "delete")
		}, told: "accounts delete"},
		"POST /profile/password": {do: posts("/profile/password", "old", password, "next", password+"!", "again", password+"!"), told: "accounts password"},
		"POST /profile/sessions": {do: func(b *browser) page {
			list, err := accounts.NewBook(b.store).Sessions(b.Context(), b.account("anna"))
			if err != nil || len(list) == 0 {
				b.Fatal(list, err)
			}
			return b.post("/profile/sessions", "session", list[0].Hash)
		}, told: "sessions end"},
		"POST /profile/tokens": {do: posts("/profile/tokens", "name", "ci", "days", "3", "scope", "trace:read"), told: "tokens create"},

		"POST /trace/{id}/content": {why: "admin tells it (queue read); TestTheQuarantineIsDecidedOnItsPage"},

		"GET /trace/{id}/evidence":      {do: gets("/trace/" + string(backlog.Waiting) + "/evidence"), told: "evidence"},
		"GET /trace/{id}/evidence.json": {do: gets("/trace/" + string(backlog.Waiting) + "/evidence.json"), told: "evidence"},
		"GET /rules/export":             {do: gets("/rules/export"), told: "rules export"},
		"GET /rules/file":               {do: gets("/rules/file"), told: "rules read"},
		"GET /rules/revisions/{n}":      {do: gets("/rules/revisions/1"), told: "rules read"},
		"GET /rules/revisions":          {do: gets("/rules/revisions"), told: "rules read"},

		"GET /rules/lists": {why: "it shows names and numbers"}, "GET /rules/lists/{name}": {why: "admin tells it (rules read)"},
		"GET /rules/lists/{name}/export": {why: "admin tells it (rules read)"},
		"POST /rules/lists/{name}":       {why: "admin tells it (rules apply); the rules of this test have no list"},

		"GET /again/{id}": {why: change}, "POST /again/{id}": {why: "what it carries out is told"},
		"POST /passkey/question": {why: "a question to a device; its answer is told"},
		"POST /passkey/begin":    {why: "a question to a device; its answer is told"},
		"POST /passkey/finish":   {why: "accounts tells it (passkeys add); a test has no device"},
		"POST /profile/passkeys": {why: "accounts tells it (passkeys delete); a test has no device"},
		"POST /check":            {why: "it connects to servers and sends them no mail; nothing here is changed by it"},
		"POST /headers":          {why: "it reads what was pasted, and keeps nothing"},

		"GET /static/": {why: "the console's own files"}, "GET /sign-in": {why: change}, "GET /setup": {why: change}, "GET /prove": {why: change},
		"GET /oidc/start": {why: "what the provider answers is told"},
		"GET /{$}":        {why: change}, "GET /live": {why: change}, "GET /trace": {why: change}, "GET /trace/{id}": {why: change}, "GET /queue": {why: change}, "GET /quarantine": {why: change},
		"GET /rules": {why: change}, "GET /rules/edit": {why: change}, "GET /rules/explain": {why: change}, "POST /rules/explain": {why: change}, "GET /observed": {why: change}, "GET /incoming": {why: change}, "GET /destinations": {why: change}, "GET /reports": {why: change}, "GET /reports/{id}": {why: change},
		"GET /destinations/{name}": {why: change}, "GET /check": {why: change}, "GET /gateway": {why: change}, "GET /gateway/certificates": {why: change}, "GET /gateway/nodes": {why: change},
		"GET /headers": {why: change}, "GET /audit": {why: change}, "GET /accounts": {why: change}, "GET /profile": {why: change},
	}
}

// TestEveryRouteLeavesALine: whatever changes something, proves somebody, fails at that, or hands out evidence or rules
// is in the audit trail afterwards; every other route is named here with the reason.
func TestEveryRouteLeavesALine(t *testing.T) {
	p := provider.New(t, "postern")
	p.Be(map[string]any{"sub": "anna"})
	known := whatIsDone()
	proof := signin.New(signin.Config{OIDC: oidc.New(oidc.Config{Issuer: p.URL})})
	patterns := slices.Concat([]string{"GET /static/"}, slices.Collect(maps.Keys(proof.Open())),
		slices.Collect(maps.Keys(proof.Known())), slices.Collect(maps.Keys((&Console{}).known())))
	for _, pattern := range patterns {
		if _, ok := known[pattern]; !ok {
			t.Errorf("%s is new: say what the audit trail tells of it, or why it tells nothing", pattern)
		}
	}
	for pattern, c := range known {
		if !slices.Contains(patterns, pattern) {
			t.Errorf("%s is no route", pattern)
		}
		if c.do == nil {
			if c.why == "" {
				t.Errorf("%s is not told, without a reason", pattern)
			}
			continue
		}
		t.Run(pattern, func(t *testing.T) {
			b := newConsole(t)
			h, err := New(Config{Service: b.s, Accounts: b.a, OIDC: oidc.New(oidc.Config{Issuer: p.URL, ClientID: "postern", Claim: "sub"}), OIDCButton: "x"})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			b.at = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // passkeys are for names
			b.become("olga", access.Auditor)
			b.anew()
			b.setUpAs(t, "anna")
			b.post("/rules/file", "revision", "0", "do", "save", "text", someRule).has(b, 200)
			before := len(b.told())
			got := c.do(b)
			said := b.told()
			said = said[:len(said)-before]
			if len(said) == 0 || !slices.ContainsFunc(said, func(e audit.Entry) bool { return e.Action == c.told && e.By != "" }) {
				t.Errorf("the audit trail has %+v, want %q; the page is %d\n%s", said, c.told, got.code, plain(got.tree))
			}
		})
	}
}

// setUpAs makes an administrator who is signed in.
func (b *browser) setUpAs(t *testing.T, name string) {
	t.Helper()
	_, key, err := b.a.Invite(b.Context(), access.Root("root"), name, access.Administrator, access.Scope{All: true})
	if err != nil {
		t.Fatal(err)
	}
	b.post("/setup", "key", key, "password", password, "again", password).has(b, 200)
}

// The line of a change of rules names the rules, new ones too.
func TestAChangeOfRulesNamesThem(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	edit := func(revision, rule, name string) {
		b.post("/rules/edit", "rule", rule, "revision", revision, "do", "save", "name", name, "action", "force-tls", "scope", "outbound", "mode", "enforce",
			"match.recipient", "bank.test").has(b, 200)
	}
	newest := func() string { e := b.told()[0]; return cmp.Or(e.Action, "?") + " " + e.Target + ": " + e.After }
	edit("0", "", "bank")
	if got := newest(); !strings.HasPrefix(got, "rules apply rule bank: + bank: ") {
		t.Errorf("a new rule: %q", got)
	}
	edit("1", "bank", "harbour")
	if got := newest(); !strings.HasPrefix(got, "rules apply rule bank -> harbour: ") {
		t.Errorf("a rule with another name: %q", got)
	}
	b.post("/rules/file", "revision", "2", "do", "save", "text", someRule+strings.ReplaceAll(someRule, `"clinic"`, `"second"`)).has(b, 200)
	if got := newest(); !strings.Contains(got, "+ clinic: ") || !strings.Contains(got, "+ second: ") || !strings.Contains(got, "- harbour: ") {
		t.Errorf("a file: %q", got)
	}
}

// A look at the text of the rules is told once in an hour for each revision and person, a download each time.
func TestLooksAtRulesAreToldSeldom(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.post("/rules/file", "revision", "0", "do", "save", "text", someRule).has(b, 200)
	before := len(b.told())
	for range 5 {
		b.get("/rules/file").has(b, 200)
	}
	if said := b.told(); len(said)-before != 1 || said[0].Action != "rules read" || said[0].Target != "revision 1" {
		t.Errorf("told: %+v", said)
	}
	for range 3 {
		b.get("/rules/export")
	}
	if said := b.told(); len(said)-before != 4 {
		t.Errorf("told: %+v", said)
	}
}

// upload posts a file as a form's browser does.
func (b *browser) upload(path, field string, content []byte, fields ...string) page {
	b.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := form.WriteField(fields[i], fields[i+1]); err != nil {
			b.Fatal(err)
		}
	}
	part, err := form.CreateFormFile(field, "a file")
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	return b.read(b.http.Post(b.at+path, form.FormDataContentType(), &body))
}

// A wrong method is told with the right ones, everywhere, and what is not there is not there for any.
func TestAWrongMethodIsTold(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	for at, want := range map[string]string{
		"DELETE /queue": "GET, HEAD, POST", "PUT /rules/export": "GET, HEAD", "GET /sign-out": "POST", "GET /gateway/reload": "POST", "PATCH /static/console.css": "GET, HEAD",
		"POST /audit": "GET, HEAD", "OPTIONS /accounts": "GET, HEAD, POST", "GET /nothing": "", "POST /nothing": "", "POST /trace/" + string(backlog.Waiting): "GET, HEAD",
	} {
		method, path, _ := strings.Cut(at, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, b.at+path, strings.NewReader(url.Values{"x": {"y"}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		code := 405
		if want == "" {
			code = 404
		}
		if res.StatusCode != code || res.Header.Get("Allow") != want {
			t.Errorf("%s: %d, Allow %q, want %d, %q", at, res.StatusCode, res.Header.Get("Allow"), code, want)
		}
	}
}
