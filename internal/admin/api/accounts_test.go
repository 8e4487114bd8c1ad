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
	refused("nobody of that name", client.ChangeAccount(t.Context(), AccountRequest{By: "root", Name: "ben", Do: "disable"}))
	refused("what cannot be done", client.ChangeAccount(t.Context(), AccountRequest{By: "root", Name: "anna", Do: "praise"}))
	refused("the last", client.ChangeAccount(t.Context(), AccountRequest{By: "root", Name: "anna", Do: "delete"}))
	for a, err := range client.Accounts(t.Context()) {
		if err != nil || a.Name != "anna" || a.Role != access.Operator || a.Scope.All || a.Password != "" {
			t.Errorf("%+v, %v", a, err)
		}
	}
}
