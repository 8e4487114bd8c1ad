package api

import (
	"errors"
	"net/http"
	"testing"

	"postern/internal/access"
	"postern/internal/mail"
)

func TestAccountsAtTheSocket(t *testing.T) {
	client, _, _, _ := gateway(t)
	invite := func(r InviteRequest) InviteResult {
		t.Helper()
		out, err := client.Invite(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	made := invite(InviteRequest{By: "root", Name: "anna", Role: access.Operator, Domains: []mail.Domain{mail.MustDomain("clinic.test")}})
	again := invite(InviteRequest{By: "root", Name: "ANNA", Role: access.Administrator})
	if !made.New || again.New || len(made.Secret) < 40 || again.Secret == made.Secret {
		t.Errorf("invited %+v, then %+v", made, again)
	}
	refused := func(what string, err error) {
		t.Helper()
		if p, ok := errors.AsType[*Problem](err); !ok || p.Code != http.StatusBadRequest {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := client.Invite(t.Context(), InviteRequest{Name: "ben", Role: access.Auditor})
	refused("nobody invites", err)
	_, err = client.Invite(t.Context(), InviteRequest{By: "root", Name: "ben", Role: "owner"})
	refused("a role that is none", err)
	if err := client.DisableAccount(t.Context(), "root", "ben", true); code(err) != http.StatusNotFound {
		t.Errorf("nobody of that name: %v", err)
	}
	refused("nobody disables", client.DisableAccount(t.Context(), "", "anna", true))
	for a, err := range client.Accounts(t.Context()) {
		if err != nil || a.Name != "anna" || a.Role != access.Operator || a.Scope.All {
			t.Errorf("%+v, %v", a, err)
		}
	}
}
