package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"postern/internal/event"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
)

// description is what the API says of itself.
func description(t *testing.T) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	New(nil, nil, nil).ByToken().ServeHTTP(w, httptest.NewRequest("GET", Root+"/openapi.json", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// The description is held against the schema of OpenAPI 3.1 by its authors.
func TestTheDescriptionIsOpenAPI(t *testing.T) {
	text, err := os.ReadFile("testdata/openapi-3.1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	schema := compile(t, "openapi", text, "")
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(description(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%#v", err)
	}
	broken := bytes.Replace(description(t), []byte(`"info":`), []byte(`"inform":`), 1)
	if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(broken)); err != nil || schema.Validate(value) == nil {
		t.Errorf("a broken description passes: %v", err)
	}
}

func compile(t *testing.T, name string, text []byte, at string) *jsonschema.Schema {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	url := "https://postern.test/" + name
	if err := c.AddResource(url, value); err != nil {
		t.Fatal(err)
	}
	out, err := c.Compile(url + at)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What operations really answer is what the description says they do.
func TestAnswersAreAsDescribed(t *testing.T) {
	w := newRemoteWorld(t)
	client := w.token(t, "root", access.Administrator, access.Scope{All: true}, access.All()...)
	if _, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Text: clinicRules}); err != nil {
		t.Fatal(err)
	}
	text := description(t)
	code, _, answer := ask(t, client, "POST", "/previews", `{"name":"x","action":"force-tls","match":{"recipient":["good.test"]}}`)
	if value, err := jsonschema.UnmarshalJSON(strings.NewReader(answer)); code != http.StatusOK || err != nil || compile(t, "description", text, "#/components/schemas/Preview").Validate(value) != nil {
		t.Errorf("a preview: %d %s, %v", code, answer, err)
	}
	for path, template := range map[string]string{"/status": "", "/deliveries?limit=500": "/deliveries", "/messages/" + string(backlog.Waiting): "/messages/{id}",
		"/messages/" + string(backlog.Good) + "/evidence": "/messages/{id}/evidence", "/sites": "", "/queue": "", "/rules": "", "/rules/clinic": "/rules/{name}", "/revisions": "",
		"/revisions/1": "/revisions/{number}", "/audit": "", "/reasons": "", "/accounts": "", "/tokens": "", "/traffic?kind=domain": "/traffic", "/suggestions": "", "/settings": "", "/certificates": "", "/pins": ""} {
		if template == "" {
			template = path
		}
		code, kind, answer := ask(t, client, "GET", path, "")
		if path == "/pins" { // this world keeps none
			if code != http.StatusOK || strings.TrimSpace(answer) != "null" && strings.TrimSpace(answer) != "[]" {
				t.Errorf("%s: %d %s", path, code, answer)
			}
			continue
		}
		if code != http.StatusOK || kind != "application/json" {
			t.Errorf("%s: %d %s %.200s", path, code, kind, answer)
			continue
		}
		at := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(template) + "/get/responses/200/content/application~1json/schema"
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(answer))
		if err != nil {
			t.Fatal(err)
		}
		if err := compile(t, "description", text, at).Validate(value); err != nil {
			t.Errorf("%s: %v\n%.400s", path, err, answer)
		}
	}
	problem := compile(t, "description", text, "#/components/schemas/Problem")
	for _, wrong := range []string{"/deliveries?state=lost", "/deliveries?colour=red", "/messages/none", "/nothing"} {
		_, _, answer := ask(t, client, "GET", wrong, "")
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(answer))
		if err != nil {
			t.Fatal(err)
		}
		if err := problem.Validate(value); err != nil {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// Names of operations and schemas are what others write programs against. This list is the contract: it only ever
// grows.
func TestOperationsKeepTheirNames(t *testing.T) {
	var d struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal(description(t), &d); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, methods := range d.Paths {
		for method, op := range methods {
			got = append(got, fmt.Sprintf("%s %s %s", op.OperationID, strings.ToUpper(method), path))
		}
	}
	slices.Sort(got)
	want, err := os.ReadFile("testdata/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(got, "\n") + "\n"; text != string(want) {
		t.Errorf("the operations are\n%s", text)
	}
}

// A watched check is a stream of events.
func TestAWatchedCheckIsAStream(t *testing.T) {
	w := newRemoteWorld(t)
	client := w.token(t, "root", access.Administrator, access.Scope{All: true}, access.All()...)
	res, err := client.do(t.Context(), request{path: "/check/events?target=clinic.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Content-Type") != "text/event-stream" || !strings.Contains(string(text), "event: problem") || !strings.Contains(string(text), "makes no checks") {
		t.Errorf("%s %q, %v", res.Header.Get("Content-Type"), text, err)
	}
}

func TestWhoWatchesHearsThatSomethingHappened(t *testing.T) {
	w := newRemoteWorld(t)
	client := w.token(t, "root", access.Auditor, access.Scope{All: true}, access.ReadStatus)
	res, err := client.do(t.Context(), request{path: "/events"})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewScanner(res.Body)
	next := func() string {
		t.Helper()
		for in.Scan() {
			if text, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				return text
			}
		}
		return "end"
	}
	if got := next(); got != `{"beats":0}` {
		t.Errorf("first %s", got)
	}
	w.pulse.Emit(event.Settled{Message: "secret"})
	if got := next(); got != `{"beats":1}` {
		t.Errorf("then %s", got)
	}
	// A stream ends with what let it in: here its account.
	list, err := w.accounts.List(t.Context(), access.Root("root"))
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	other := w.token(t, "other", access.Administrator, access.Scope{All: true}, access.ReadStatus) // somebody must stay
	defer other.Close()
	if err := w.accounts.Delete(t.Context(), access.Root("root"), list[0].ID); err != nil {
		t.Fatal(err)
	}
	w.pulse.Emit(event.Settled{})
	if got := next(); got != "end" {
		t.Errorf("after its account was deleted it hears %s", got)
	}
	none := w.token(t, "nobody", access.Auditor, access.Scope{All: true}, access.ReadRules)
	refused, err := none.do(t.Context(), request{path: "/events"})
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Body.Close()
	if text, _ := io.ReadAll(refused.Body); !strings.Contains(string(text), "event: problem") {
		t.Errorf("beyond its scopes: %s", text)
	}
}
