package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/inforce"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/reports"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

const clinicRules = "[[rule]]\nname = \"clinic\"\nscope = \"outbound\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"clinic.test\"]\n"

// gateway serves a backlog at a socket and returns a client of it.
func gateway(t *testing.T) (*Client, *admin.Service, *memstore.Store, string) {
	t.Helper()
	store := backlog.New(t)
	service := admin.New(admin.Config{Store: store, Ledger: store, Rules: backlog.Keeper(t, store), Hostname: "gw.test"})
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- New(service, accounts.New(accounts.Config{Book: accounts.NewBook(store), Ledger: store}), slog.New(slog.DiscardHandler)).Serve(ctx, l)
	}()
	client := Dial(path)
	client.By = "ann"
	t.Cleanup(func() {
		client.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return client, service, store, path
}

func TestTheClientSeesWhatTheServiceSays(t *testing.T) {
	client, service, _, _ := gateway(t)
	for _, q := range []trace.Query{{}, {States: []string{"held", "queued"}}, {Reason: "cert-expired", Limit: 1}, {Sender: "<>"},
		{Recipient: "*@clinic.test", Since: backlog.Noon, Until: backlog.Noon.Add(30 * time.Second)}, {Domain: "PLAIN.test"},
		{Messages: []string{string(backlog.Good), string(backlog.Refused)}}, {MessageID: "<" + string(backlog.Good) + "@example.com>"}, {Rule: "clinic"}} {
		want, got := traces(t, service, q), collect(t, client.Traces(t.Context(), q))
		if len(want) == 0 {
			t.Errorf("%+v selects nothing, so it proves nothing", q)
		}
		if !reflect.DeepEqual(plainJSON(t, want), plainJSON(t, got)) {
			t.Errorf("%+v: the client sees\n%s\nnot\n%s", q, plainJSON(t, got), plainJSON(t, want))
		}
	}
}

// traces is what a desk that sees everything shows of a search.
func traces(t *testing.T, service *admin.Service, q trace.Query) []trace.Delivery {
	t.Helper()
	page, err := service.For(access.Root("root")).Traces(t.Context(), q, scope.PageRequest{Limit: 500})
	if err != nil || page.Next != "" {
		t.Fatalf("%v, next %q", err, page.Next)
	}
	if q.Limit > 0 {
		return page.Items[:min(q.Limit, len(page.Items))]
	}
	return page.Items
}

func collect[T any](t *testing.T, list func(func(T, error) bool)) []T {
	t.Helper()
	var out []T
	for v, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func plainJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestActionsAreRecordedWithTheUserTheKernelKnows(t *testing.T) {
	client, _, _, _ := gateway(t)
	out, err := client.Act(t.Context(), waiting.ActRequest{Kind: queue.Hold, Domains: []string{"other.test"}})
	if err != nil || out.Changed != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	list := collect(t, client.Audit(t.Context(), 5))
	if len(list) != 1 || !strings.HasPrefix(list[0].By, "ann") || list[0].Action != "queue hold" {
		t.Fatalf("%+v", list)
	}
	if _, known := os.LookupEnv("HOME"); known && !strings.Contains(list[0].By, "(uid ") {
		t.Errorf("by %q, want the uid", list[0].By)
	}
	client.By = ""
	if _, err := client.Act(t.Context(), waiting.ActRequest{Kind: queue.Hold, All: true}); code(err) != http.StatusBadRequest {
		t.Errorf("an action of nobody: %v", err)
	}
}

func code(err error) int {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Code
	}
	return 0
}

// TestNamesThatStandForNothingAreToldAsSuch: all of them unknown is 404 with a code, some of them a list in the answer.
func TestNamesThatStandForNothingAreToldAsSuch(t *testing.T) {
	client, _, _, _ := gateway(t)
	ctx := t.Context()
	act := func(names ...string) (waiting.ActResult, error) {
		return client.Act(ctx, waiting.ActRequest{Kind: queue.Hold, Domains: names, Messages: []string{"0fk3n0000000zzzz"}})
	}
	if out, err := act("nosuch.test", "other.test"); err != nil || out.Changed != 1 || !slices.Equal(out.Unknown, []string{"nosuch.test", "0fk3n0000000zzzz"}) {
		t.Errorf("a mixture: %+v, %v", out, err)
	}
	for name, ask := range map[string]func() error{
		"act":     func() error { _, err := act("nosuch.test"); return err },
		"content": func() error { _, err := client.Content(ctx, "nosuch"); return err },
		"waits":   func() error { _, err := client.Content(ctx, string(backlog.Ordinary)); return err },
		"account": func() error { return client.DeleteAccount(ctx, "nosuch") },
		"dots":    func() error { return client.DeleteAccount(ctx, "..") },
		"dot":     func() error { return client.DisableAccount(ctx, ".", true) },
		"token":   func() error { return client.DeleteToken(ctx, "nosuch") },
		"invite":  func() error { _, err := client.Invite(ctx, InviteRequest{Name: "nosuch"}); return err },
		"list":    func() error { _, err := client.RuleList(ctx, "nosuch"); return err },
		"restore": func() error { _, err := client.Restore(ctx, 999, admin.ApplyRequest{}); return err },
		"traces": func() (last error) {
			for _, err := range client.Traces(ctx, trace.Query{Messages: []string{string(backlog.Good), "nosuch"}}) {
				last = err
			}
			return last
		},
	} {
		p, ok := errors.AsType[*Problem](ask())
		if !ok || p.Code != http.StatusNotFound || p.Kind != NotFound || p.Text == "" || strings.Contains(p.Text, "such thing") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	// An address that is no operation is no unknown name.
	err := client.call(ctx, request{path: "/nosuch"}, nil)
	if p, ok := errors.AsType[*Problem](err); !ok || p.Code != http.StatusNotFound || p.Kind != "" {
		t.Errorf("no operation: %+v", p)
	}
}

// TestAnEmptyParameterIsRefused: a filter whose value got lost shows everything. A list may begin at its begin.
func TestAnEmptyParameterIsRefused(t *testing.T) {
	client, _, _, _ := gateway(t)
	for path, want := range map[string]int{"/deliveries?message=": 400, "/deliveries?sender=&recipient=a@b.test": 400, "/deliveries?message=a&message=": 400,
		"/deliveries?since=": 400, "/pins?domain=": 400, "/peers?name=": 400, "/deliveries?after=": 200, "/deliveries": 200} {
		got := 200
		if p, ok := errors.AsType[*Problem](client.call(t.Context(), request{path: path}, nil)); ok {
			got = p.Code
		}
		if got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for _, err := range client.Traces(t.Context(), trace.Query{Messages: []string{""}}) {
		if p, ok := errors.AsType[*Problem](err); !ok || p.Code != http.StatusBadRequest {
			t.Fatalf("a client that asks for a message without a name: %v", err)
		}
	}
	if _, err := client.Missing(t.Context(), "", netip.MustParseAddrPort("192.0.2.1:25")); err != nil && strings.Contains(err.Error(), "is empty") {
		t.Errorf("an address without a host: %v", err)
	}
	if _, err := client.Incoming(t.Context(), reports.IncomingRequest{Days: 1}); err != nil {
		p, ok := errors.AsType[*Problem](err)
		if !ok || strings.Contains(p.Text, "is empty") {
			t.Errorf("what is not asked for is left out: %v", err)
		}
	}
}

func TestRulesAreAppliedExplainedAndRefused(t *testing.T) {
	client, _, _, _ := gateway(t)
	out, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Name: "r.toml", Text: clinicRules})
	if err != nil || !out.Applied || out.Revision != 1 || len(out.Changes) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	view, err := client.Rules(t.Context())
	if err != nil || view.Text != clinicRules || len(view.Rules) != 1 || view.Rules[0].Name != "clinic" || view.AppliedAt == nil {
		t.Errorf("%+v, %v", view, err)
	}
	e, err := client.Explain(t.Context(), admin.ExplainRequest{From: "a@example.com", To: []string{"dr@clinic.test"}})
	if err != nil || len(e.Recipients) != 1 || e.Recipients[0].Requires.String() != "authenticated" {
		t.Errorf("%+v, %v", e, err)
	}
	_, err = client.ApplyRules(t.Context(), admin.ApplyRequest{Name: "bad.toml", Text: "[[rule]]\nnmae = 1\n"})
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Code != http.StatusUnprocessableEntity || len(p.Problems) == 0 || p.Problems[0].Line == 0 || p.Hint == "" {
		t.Errorf("a broken file: %+v", err)
	}
	seven := int64(7)
	if _, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Text: "# none\n", IfRevision: &seven}); code(err) != http.StatusPreconditionFailed {
		t.Errorf("an outdated look: %v", err)
	}
	if st, err := client.Status(t.Context()); err != nil || !st.Ready || st.Rules != 1 || st.Queue["queued"] != 3 || st.Hostname != "gw.test" {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestABrokenStoreIsAnErrorInTheListNotAShortList(t *testing.T) {
	client, _, store, _ := gateway(t)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range client.Traces(t.Context(), trace.Query{}) {
		n++
		if code(err) != http.StatusInternalServerError {
			t.Errorf("got %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d answers, want one error", n)
	}
}

func TestUnknownWishesAreRefused(t *testing.T) {
	client, _, _, _ := gateway(t)
	for _, c := range []struct {
		method, url, body string
		code              int
	}{
		{"GET", "/deliveries?colour=red", "", 422}, {"GET", "/deliveries?limit=many", "", 422}, {"GET", "/deliveries?since=soon", "", 400},
		{"GET", "/deliveries?after=!", "", 400}, {"GET", "/deliveries?limit=501", "", 422},
		{"GET", "/deliveries?state=lost", "", 400}, {"POST", "/queue", `{"kind":"retry","all":true,"gently":true}`, 422},
		{"POST", "/queue", `{"kind":"retry","all":true}{}`, 400}, {"POST", "/queue", `nonsense`, 400}, {"POST", "/queue", ``, 400}, {"DELETE", "/queue", "", 405},
		{"GET", "/anything", "", 404}, {"GET", "/../../v2", "", 404}, {"GET", "/messages/x", "", 404}, {"PUT", "/rules/none", `{"name":"x","action":"force-tls"}`, 428},
		{"POST", "/queue", `{"kind":"retry","all":true,"messages":["` + strings.Repeat("x", maxBody) + `"]}`, 413},
	} {
		code, kind, text := ask(t, client, c.method, c.url, c.body)
		if code != c.code || kind != problemType || !strings.Contains(text, `"detail":`) {
			t.Errorf("%s %s %.40s: %d %s %.150s, want %d", c.method, c.url, c.body, code, kind, text, c.code)
		}
	}
}

// ask sends a request that the client's own methods would not make.
func ask(t *testing.T, client *Client, method, path, content string) (code int, kind, text string) {
	t.Helper()
	return askIf(t, client, method, path, content, "")
}

// askIf is ask with If-Match.
func askIf(t *testing.T, client *Client, method, path, content, match string) (code int, kind, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, client.base+path, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(byHeader, "ann")
	if match != "" {
		r.Header.Set("If-Match", match)
	}
	if client.token != "" {
		r.Header.Set("Authorization", "Bearer "+client.token)
	}
	res, err := client.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(all)
}

func TestTheSocketIsOursAlone(t *testing.T) {
	client, _, _, path := gateway(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrInUse) {
		t.Errorf("a second gateway at the same socket: %v", err)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("the first one does not answer any more: %v", err)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 120))); !errors.Is(err, ErrPathTooLong) {
		t.Errorf("a path too long: %v", err)
	}
}

func TestASocketLeftBehindIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	_, err = Dial(path).Status(t.Context())
	if u, ok := errors.AsType[*Unreachable](err); !ok || u.Where != path {
		t.Errorf("a dead socket: %v", err)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 0 {
		t.Errorf("files left behind: %v, %v", entries, err)
	}
}

func TestThePublicListenerServesNothingButHealthAndMetrics(t *testing.T) {
	var sick error
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "postern_x 1\n") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- ServePublic(ctx, l, 0, Public(metrics, func() error { return sick }), slog.New(slog.DiscardHandler))
	}()
	check := func(method, path string, want int, text string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want || !strings.Contains(string(b), text) {
			t.Errorf("%s %s: %s %q, want %d %q", method, path, res.Status, b, want, text)
		}
	}
	check("GET", "/metrics", 200, "postern_x 1")
	check("GET", "/healthz", 200, "ok")
	check("GET", "/readyz", 200, "ready")
	sick = errors.New("the rules cannot be read")
	check("GET", "/readyz", 503, "the rules cannot be read")
	check("GET", "/healthz", 200, "ok")
	check("GET", "/v1/deliveries", 404, "")
	check("GET", "/", 404, "")
	check("POST", "/metrics", 405, "")
	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Errorf("ServePublic: %v", err)
	}
}

func TestABadFileInTheStoreIsNotTheCallersFault(t *testing.T) {
	broken := &rules.ParseError{File: "revision 3", Problems: []rules.Problem{{Line: 1, What: "x"}}}
	if p := problemOf(errors.Join(inforce.ErrNoRules, broken)); p.Code != http.StatusInternalServerError || p.Hint == "" {
		t.Errorf("%+v", p)
	}
}
