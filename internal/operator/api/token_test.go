package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/internal/check"
	"postern/internal/history/traffic"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/live"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/platform/passhash"
	"postern/internal/policy/mxpins"
	"postern/internal/queue/memstore"
)

// remoteWorld is a backlog behind the TCP face of the API.
type remoteWorld struct {
	accounts *accounts.Service
	store    *memstore.Store
	url      string
	pulse    live.Pulse
	server   *Server
}

func newRemoteWorld(t *testing.T) *remoteWorld {
	t.Helper()
	store := backlog.New(t)
	w := &remoteWorld{store: store, accounts: accounts.New(accounts.Config{Book: accounts.NewBook(store), Ledger: store, Cost: passhash.Cost{KiB: 64, Passes: 1}})}
	service := admin.New(admin.Config{Store: store, Ledger: store, Rules: backlog.Keeper(t, store), Traffic: traffic.NewBook(store), Pulse: &w.pulse,
		Pins: mxpins.NewBook(store), MailHosts: mailHosts, Reload: func(context.Context) (admin.ReloadResult, error) { return admin.ReloadResult{}, nil },
		Settings: func() admin.Settings {
			return admin.Settings{Domains: []admin.DomainSetting{}, Routes: []admin.RouteSetting{}, Listeners: []admin.ListenerSetting{}}
		},
		Certificates: func() ([]check.Own, error) {
			return []check.Own{{Kind: check.OwnServer, File: "gw.pem", EndsAt: backlog.Noon}}, nil
		}})
	w.server = New(service, w.accounts, slog.New(slog.DiscardHandler))
	server := httptest.NewServer(w.server.ByToken())
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// token makes an account and a token of it.
func (w *remoteWorld) token(t *testing.T, name string, role access.Role, scope access.Scope, may ...access.Capability) *Client {
	t.Helper()
	_, key, err := w.accounts.Invite(t.Context(), access.Root("root"), name, role, scope)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := w.accounts.Accept(t.Context(), key, name, "correct horse battery", accounts.Client{})
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := w.accounts.BySession(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err = w.accounts.CreateToken(t.Context(), p, "test", may, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	client, err := Remote(w.url, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestATokenReachesAsFarAsItsScopesAndItsAccount(t *testing.T) {
	w := newRemoteWorld(t)
	everything := access.Scope{All: true}
	clinic := access.Scope{Domains: []mail.Domain{mail.MustDomain("clinic.test")}}
	all := w.token(t, "root", access.Administrator, everything, access.All()...)
	traceOnly := w.token(t, "tracer", access.Administrator, everything, access.ReadTrace)
	narrow := w.token(t, "clinic", access.Operator, clinic, access.ReadTrace, access.ReadRules, access.ActOnQueue)
	rule := `{"name":"clinic","action":"force-tls","match":{"recipient":["clinic.test"]}}`
	for _, c := range []struct {
		what         string
		client       *Client
		method, path string
		body         string
		code         int
	}{
		{"everything reads rules", all, "GET", "/rules", "", 200},
		{"everything reads tokens", all, "GET", "/tokens", "", 200},
		{"everything writes rules", all, "POST", "/rules?dry_run=true", rule, 200},
		{"trace alone reads the trace", traceOnly, "GET", "/deliveries", "", 200},
		{"trace alone reads no rules", traceOnly, "GET", "/rules", "", 403},
		{"trace alone writes no rules", traceOnly, "POST", "/rules", rule, 403},
		{"trace alone acts not", traceOnly, "POST", "/queue", `{"kind":"retry","all":true}`, 403},
		{"trace alone invites nobody", traceOnly, "POST", "/accounts", `{"name":"x","role":"administrator"}`, 403},
		{"trace alone lists no accounts", traceOnly, "GET", "/accounts", "", 403},
		{"trace alone ends no tokens", traceOnly, "DELETE", "/tokens/x", "", 404},
		{"a domain's operator sees no file", narrow, "GET", "/revisions", "", 403},
		{"a domain's operator explains nothing", narrow, "POST", "/explanations", `{"from":"a@b.test","to":["c@d.test"]}`, 403},
		{"a domain's operator sees no message of others", narrow, "GET", "/messages/" + string(backlog.Refused), "", 404},
		{"a domain's operator touches no mail of others", narrow, "POST", "/queue", `{"kind":"cancel","domains":["other.test"]}`, 404},
	} {
		if code, _, text := ask(t, c.client, c.method, c.path, c.body); code != c.code {
			t.Errorf("%s: %d %.200s, want %d", c.what, code, text, c.code)
		}
	}
	for _, d := range collect(t, narrow.Traces(t.Context(), trace.Query{})) {
		if !strings.HasSuffix(d.To, "@clinic.test") && !strings.HasSuffix(d.From, "@clinic.test") {
			t.Errorf("a domain's operator sees %s to %s", d.From, d.To)
		}
	}
}

func TestATokenEndsWithItsAccount(t *testing.T) {
	w := newRemoteWorld(t)
	boss := w.token(t, "boss", access.Administrator, access.Scope{All: true}, access.All()...)
	client := w.token(t, "anna", access.Auditor, access.Scope{All: true}, access.ReadTrace)
	if _, err := client.Status(t.Context()); code(err) != http.StatusForbidden {
		t.Errorf("beyond its scopes: %v", err)
	}
	if err := boss.DisableAccount(t.Context(), "anna", true); err != nil {
		t.Fatal(err)
	}
	for _, err := range client.Traces(t.Context(), trace.Query{}) {
		if code(err) != http.StatusUnauthorized {
			t.Errorf("of a disabled account: %v", err)
		}
	}
	if err := boss.DeleteAccount(t.Context(), "anna"); err != nil {
		t.Error(err)
	}
}

func TestWhoeverShowsNoTokenHearsNothing(t *testing.T) {
	w := newRemoteWorld(t)
	for name, header := range map[string]string{"none": "", "another scheme": "Basic YTpi", "no token of ours": "Bearer abc",
		"an unknown one": "Bearer " + accounts.TokenPrefix + strings.Repeat("a", 43), "empty": "Bearer "} {
		for _, path := range []string{"/status", "/deliveries", "/rules", "/nothing", "/../../setup"} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", w.url+Root+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", header)
			r.Header.Set(byHeader, "root")
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s, %s: %s", name, path, res.Status)
			}
		}
	}
	res, err := http.Get(w.url + Root + "/openapi.json")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("the description: %v, %v", res, err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

func TestARemoteClientKeepsItsTokenToItself(t *testing.T) {
	for _, base := range []string{"http://gw.example", "http://192.0.2.1:8025", "gw.example", "ftp://gw.example", "https://gw.example/console", ""} {
		if _, err := Remote(base, "postern_x", nil); err == nil {
			t.Errorf("%q is taken", base)
		}
	}
	if _, err := Remote("https://gw.example", "", nil); err == nil {
		t.Error("no token is taken")
	}
	heard := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard = true }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	client, err := Remote(server.URL, "postern_x", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Status(t.Context()); err == nil || heard {
		t.Errorf("it followed to another server: %v", err)
	}
}

// Two administrators change the same rule; the second must look again, and what he did not touch stays byte for byte.
func TestAnEditThatLookedAtOlderRulesIsRefused(t *testing.T) {
	client, _, _, _ := gateway(t)
	text := "# our rules\n" + clinicRules + "# the end\n"
	if _, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Text: text}); err != nil {
		t.Fatal(err)
	}
	edit := func(method, path, match, content string) (int, string) {
		t.Helper()
		res, err := client.do(context.Background(), request{method: method, path: path, match: match, body: rawBody(content)})
		if p, ok := errors.AsType[*Problem](err); ok {
			return p.Code, p.Text
		}
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.Header.Get("ETag")
	}
	clinic := `{"name":"clinic","action":"force-tls","match":{"recipient":["clinic.test"]},"force_tls":{"defer":"2h","names":["mail.clinic.test"]}}`
	bank := `{"name":"bank","action":"force-tls","match":{"recipient":["bank.test"],"header":[{"name":"X-Kind","value":"a\"b*"}],"size_over":1000},"expires":"2037-12-31","force_tls":{"names":"domain"}}`
	for _, step := range []struct {
		what, method, path, match, content string
		code                               int
	}{
		{"without a look", "PUT", "/rules/clinic", "", clinic, 428},
		{"the first", "PUT", "/rules/clinic", `"1"`, clinic, 200},
		{"the second", "PUT", "/rules/clinic", `"1"`, clinic, 412},
		{"an old deletion", "DELETE", "/rules/clinic", `"1"`, "", 412},
		{"an addition", "POST", "/rules", "", bank, 200},
		{"the same addition", "POST", "/rules", "", bank, 422},
		{"a rule that is none", "PUT", "/rules/none", `"3"`, bank, 404},
		{"a broken rule", "PUT", "/rules/bank", `"3"`, `{"name":"bank","action":"burn"}`, 422},
		{"a key that is none", "PUT", "/rules/bank", `"3"`, `{"name":"bank","action":"force-tls","colour":"red"}`, 422},
		{"deleted", "DELETE", "/rules/bank", `W/"3"`, "", 200},
		{"an older one again", "POST", "/revisions/1/restore", `"4"`, "", 200},
	} {
		if code, said := edit(step.method, step.path, step.match, step.content); code != step.code {
			t.Errorf("%s: %d %s, want %d", step.what, code, said, step.code)
		}
	}
	view, err := client.Rules(t.Context())
	if err != nil || view.Text != text || view.Revision != 5 {
		t.Errorf("%+v, %v", view, err)
	}
}

// rawBody is JSON as it is; "" is no body.
func rawBody(content string) any {
	if content == "" {
		return nil
	}
	return rawMessage(content)
}

type rawMessage string

func (m rawMessage) MarshalJSON() ([]byte, error) { return []byte(m), nil }

func TestARuleComesBackAsItWasWritten(t *testing.T) {
	client, _, _, _ := gateway(t)
	text := `[[rule]]
name = "all"
description = "every \"key\""
scope = "outbound"
mode = "test"
expires = 2037-12-31
action = "force-tls"
[rule.match]
sender = ["a@home.test", "<>"]
recipient = ["clinic.test", "re:^x$"]
sender_ip = ["10.0.0.0/8"]
header = [{ name = "X-A", value = "b*" }]
subject = ["*[secure]*"]
size_over = 1000
recipients_over = 3
case = true
[rule.force_tls]
unspecified_recipients = "opportunistic"
names = ["mail.clinic.test"]
mx = "any"
trust = "public"
pins = ["sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"]
revocation = "off"
min_tls = "1.3"
defer = "2h"
without_tls = "reject"
`
	if _, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Text: text}); err != nil {
		t.Fatal(err)
	}
	before, err := client.Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Text: before.Rules[0].toml(), DryRun: true})
	if err != nil || len(out.Changes) != 0 {
		t.Errorf("written again it differs: %+v, %v\n%s", out.Changes, err, before.Rules[0].toml())
	}
}

func TestPagesFollowEachOther(t *testing.T) {
	client, service, _, _ := gateway(t)
	want := traces(t, service, trace.Query{})
	var got []int64
	for after := ""; ; {
		var page scope.Page[trace.Delivery]
		if err := client.call(t.Context(), request{path: "/deliveries?limit=2&after=" + after}, &page); err != nil {
			t.Fatal(err)
		}
		for _, one := range page.Items {
			got = append(got, one.Delivery)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d deliveries in pages, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i].Delivery {
			t.Errorf("at %d: %d, want %d", i, got[i], want[i].Delivery)
		}
	}
}
