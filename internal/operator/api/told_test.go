package api

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/audit"
	"postern/internal/operator/mailhosts"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
)

// call is a request of an operation, and the action that the audit trail tells then; or why it tells none.
type told struct {
	q    request
	told string
	why  string
}

// whatIsTold is every operation. One that is not here fails the test.
func whatIsTold() map[string]told {
	const looks = "it shows, and hands out neither evidence nor a rules file"
	rule := map[string]any{"name": "bank", "action": "force-tls", "scope": "outbound", "match": map[string]any{"recipient": []string{"bank.test"}}}
	post := func(path string, body any) request { return request{method: http.MethodPost, path: path, body: body} }
	return map[string]told{
		"actOnFound":       {q: request{method: http.MethodPost, path: "/queue/found", params: url.Values{"recipient": {"dr@clinic.test"}}, body: map[string]any{"kind": "retry"}}, told: "queue retry"},
		"actOnQueue":       {q: post("/queue", map[string]any{"kind": "hold", "messages": []string{string(backlog.Waiting)}}), told: "queue hold"},
		"applyRules":       {q: request{method: http.MethodPut, path: "/rules", body: file{Name: "rules.toml", Text: "# none\n"}}, told: "rules apply"},
		"approveMailHosts": {q: post("/pins/approve", mailhosts.ApproveRequest{Domain: "clinic.test", Names: []string{"backup.test"}}), told: "peers approve"},
		"changeAccount":    {q: request{method: http.MethodPatch, path: "/accounts/olga", body: map[string]any{"disabled": true}}, told: "accounts change"},
		"changeRule":       {q: request{method: http.MethodPut, path: "/rules/clinic", match: "*", body: rule}, told: "rules apply"},
		"createRule":       {q: post("/rules", rule), told: "rules apply"},
		"deleteAccount":    {q: request{method: http.MethodDelete, path: "/accounts/olga"}, told: "accounts delete"},
		"deleteRule":       {q: request{method: http.MethodDelete, path: "/rules/clinic", match: "*"}, told: "rules apply"},
		"deleteToken":      {q: request{method: http.MethodDelete, path: "/tokens/TOKEN"}, told: "tokens delete"},
		"firstAccount":     {why: "TestAccountsAtTheSocket: only while there is no account; accounts tells it"},
		"forgetMailHosts":  {q: post("/pins/forget", mailhosts.UnpinRequest{Domain: "clinic.test"}), told: "peers unpin"},
		"forgetPeers":      {why: "admin tells it (peers forget); a test of the API remembers no servers"},
		"forgetPolicy":     {why: "admin tells it (policies forget); a test of the API keeps no policies"},
		"refreshPolicy":    {why: "admin tells it (policies refresh); a test of the API keeps no policies"},
		"readContent":      {why: "admin tells it (queue read); a test of the API has no mail in quarantine"},
		"getEvidence":      {q: request{path: "/messages/" + string(backlog.Waiting) + "/evidence"}, told: "evidence"},
		"getRules":         {q: request{path: "/rules"}, told: "rules read"},
		"getRevision":      {q: request{path: "/revisions/1"}, told: "rules read"},
		"listRevisions":    {q: request{path: "/revisions"}, told: "rules read"},
		"inviteAccount":    {q: post("/accounts", InviteRequest{Name: "ben", New: true}), told: "accounts invite"},
		"reload":           {q: request{method: http.MethodPost, path: "/reload"}, told: "reload configuration"},
		"restoreRevision":  {q: request{method: http.MethodPost, path: "/revisions/1/restore", match: "*"}, told: "rules apply"},

		"check": {why: "it connects to servers and sends them no mail; nothing here is changed by it"}, "watchCheck": {why: "as check"},
		"getLists": {why: looks}, "getList": {why: "admin tells it (rules read); the rules of this test have no list"},
		"replaceList":      {why: "admin tells it (rules apply), and so does a test of the command line; the rules of this test have no list"},
		"getExceptions":    {why: looks},
		"replaceException": {q: request{method: http.MethodPut, path: "/exceptions/partner.test", body: exceptionBody{[]string{"sts"}, "ticket", "2099-01-31"}}, told: "rules apply"},
		"deleteException":  {why: "as replaceException; the rules of this test have no exception"},
		"explainRules":     {why: looks}, "previewRule": {why: looks},
		"getMessage": {why: looks}, "getMissingTLS": {why: looks}, "getRule": {why: looks}, "getSettings": {why: looks}, "getStatus": {why: looks},
		"getWaiting": {why: looks}, "listAccounts": {why: looks}, "listAudit": {why: looks}, "listNodes": {why: looks}, "listCertificates": {why: looks}, "listDeliveries": {why: looks},
		"listMailHostCandidates": {why: looks}, "listPeers": {why: looks}, "listPins": {why: looks}, "listPolicies": {why: looks}, "listObserved": {why: looks}, "listIncoming": {why: looks}, "getPublished": {why: looks}, "getPolicy": {why: looks}, "listReports": {why: looks}, "getReport": {why: looks}, "listReceivedReports": {why: looks}, "getReceivedReport": {why: looks}, "listTLSFailures": {why: looks}, "listReasons": {why: looks}, "listSites": {why: looks},
		"listSuggestions": {why: looks}, "listTokens": {why: looks}, "listTraffic": {why: looks}, "watch": {why: looks},
	}
}

// TestEveryOperationLeavesALine: whatever changes something or hands out evidence or rules is in the audit trail
// afterwards.
func TestEveryOperationLeavesALine(t *testing.T) {
	list, err := os.ReadFile("testdata/operations.txt") // TestTheDescription holds it against the API
	if err != nil {
		t.Fatal(err)
	}
	known := whatIsTold()
	var ids []string
	for line := range strings.Lines(string(list)) {
		id, _, _ := strings.Cut(line, " ")
		ids = append(ids, id)
		if _, ok := known[id]; !ok {
			t.Errorf("%s is new: say what the audit trail tells of it, or why it tells nothing", id)
		}
	}
	for id, c := range known {
		if !slices.Contains(ids, id) {
			t.Errorf("there is no operation %s", id)
		}
		if c.q.path == "" {
			if c.why == "" {
				t.Errorf("%s is not told, without a reason", id)
			}
			continue
		}
		t.Run(id, func(t *testing.T) { leavesALine(t, c) })
	}
}

func leavesALine(t *testing.T, c told) {
	w := newRemoteWorld(t)
	client := w.token(t, "anna", access.Administrator, access.Scope{All: true}, access.All()...)
	w.token(t, "olga", access.Auditor, access.Scope{All: true}, access.ReadStatus)
	if _, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Text: clinicRules}); err != nil {
		t.Fatal(err)
	}
	if c.q.path == "/revisions/1/restore" {
		if _, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Text: "# none\n"}); err != nil {
			t.Fatal(err)
		}
	}
	pin := mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test", Since: time.Now(), By: policy.MXByFirstUse}
	if _, err := mxpins.NewBook(w.store).Remember(t.Context(), true, []mxpins.Pin{pin}); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(c.q.path, "/TOKEN") {
		for token, err := range client.Tokens(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if token.Account == "olga" {
				c.q.path = "/tokens/" + token.ID
			}
		}
	}
	before := w.told(t)
	if err := client.call(t.Context(), c.q, nil); err != nil {
		t.Fatal(err)
	}
	after := w.told(t)
	said := after[:len(after)-len(before)]
	if !slices.ContainsFunc(said, func(e audit.Entry) bool { return e.Action == c.told && strings.HasPrefix(e.By, "anna (token") }) {
		t.Errorf("the audit trail has %+v, want %q", said, c.told)
	}
}

// told is the audit trail.
func (w *remoteWorld) told(t *testing.T) []audit.Entry {
	t.Helper()
	list, err := w.store.Entries(t.Context(), 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// mailHosts are those that DNS names for the tests.
func mailHosts(context.Context, mail.Domain) (mailhosts.MailHosts, error) {
	return mailhosts.MailHosts{Hosts: []mail.Domain{mail.MustDomain("mx.backup.test")}}, nil
}
