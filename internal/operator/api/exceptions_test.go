package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postern/internal/operator/access"
	"postern/internal/operator/admin"
)

func TestExceptions(t *testing.T) {
	w := newRemoteWorld(t)
	client := w.token(t, "anna", access.Administrator, access.Scope{All: true}, access.All()...)
	rules := "# ours\n" + clinicRules
	if _, err := client.ApplyRules(t.Context(), admin.ApplyRequest{Text: rules}); err != nil {
		t.Fatal(err)
	}
	put := func(match, query string, body exceptionBody) (out admin.ApplyResult, err error) {
		q := request{method: http.MethodPut, path: "/exceptions/Broken.test", match: match, body: body}
		if query != "" {
			q.params = map[string][]string{query: {"true"}}
		}
		return out, client.call(t.Context(), q, &out)
	}
	reason := exceptionBody{[]string{"sts"}, "ticket 4711", "2099-01-31"}
	if out, err := put("", "dry_run", reason); err != nil || out.Applied || len(out.Changes) == 0 {
		t.Errorf("a trial: %+v, %v", out, err)
	}
	if out, err := put("", "", reason); err != nil || !out.Applied || out.Revision != 2 {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := put(`"1"`, "", reason); code(err) != http.StatusPreconditionFailed {
		t.Errorf("of rules that are not in force any more: %v", err)
	}
	for what, body := range map[string]exceptionBody{
		"nothing is set aside": {nil, "r", "2099-01-31"}, "no reason": {[]string{"dane"}, "", "2099-01-31"},
		"no end": {[]string{"dane"}, "r", ""}, "what nobody publishes": {[]string{"spf"}, "r", "2099-01-31"},
	} {
		if _, err := put("*", "", body); code(err) != http.StatusBadRequest {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := put("*", "", exceptionBody{[]string{"dane"}, "", "soon"})
	if p, ok := errors.AsType[*Problem](err); !ok || len(p.Errors) != 2 || p.Errors[0].Location != "body.expires" || p.Errors[1].Location != "body.reason" || strings.Contains(p.Text, " = ") {
		t.Errorf("what is wrong with two fields: %+v", err)
	}
	reason.Ignore = []string{"dane", "sts"}
	if out, err := put(`"2"`, "", reason); err != nil || out.Revision != 3 {
		t.Errorf("in place of it: %+v, %v", out, err)
	}
	var view admin.ExceptionsView
	if err := client.call(t.Context(), request{path: "/exceptions"}, &view); err != nil || view.Revision != 3 || len(view.Exceptions) != 1 {
		t.Fatalf("%+v, %v", view, err)
	}
	if e := view.Exceptions[0]; e.Domain != "broken.test" || !slices.Equal(e.Ignore, reason.Ignore) || e.Reason != reason.Reason || e.Expires != reason.Expires {
		t.Errorf("%+v", e)
	}
	gone := request{method: http.MethodDelete, path: "/exceptions/broken.test"}
	if err := client.call(t.Context(), gone, nil); err != nil {
		t.Error(err)
	}
	if err := client.call(t.Context(), gone, nil); code(err) != http.StatusNotFound {
		t.Errorf("there is none: %v", err)
	}
	if v, err := client.Rules(t.Context()); err != nil || v.Text != rules {
		t.Errorf("%q, %v; the rest was to stay as it stood", v.Text, err)
	}
}
