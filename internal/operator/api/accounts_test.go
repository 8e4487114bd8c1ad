package api

import (
	"errors"
	"net/http"
	"testing"

	"postern/internal/mail"
	"postern/internal/operator/access"
)

func TestAccountsAtTheSocket(t *testing.T) {
	client, _, _, _ := gateway(t)
	client.By = "root"
	invite := func(r InviteRequest) InviteResult {
		t.Helper()
		out, err := client.Invite(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	made := invite(InviteRequest{Name: "anna", New: true, Role: access.Operator, Domains: []mail.Domain{mail.MustDomain("clinic.test")}})
	again := invite(InviteRequest{Name: "ANNA"})
	if !made.New || again.New || len(made.Secret) < 40 || again.Secret == made.Secret {
		t.Errorf("invited %+v, then %+v", made, again)
	}
	refused := func(what string, err error) {
		t.Helper()
		if p, ok := errors.AsType[*Problem](err); !ok || p.Code != http.StatusBadRequest {
			t.Errorf("%s: %v", what, err)
		}
	}
	client.By = ""
	_, err := client.Invite(t.Context(), InviteRequest{Name: "ben", New: true, Role: access.Auditor})
	refused("nobody invites", err)
	client.By = "root"
	_, err = client.Invite(t.Context(), InviteRequest{Name: "ben", New: true, Role: "owner"})
	refused("a role that is none", err)
	_, err = client.Invite(t.Context(), InviteRequest{Name: "anna", New: true})
	refused("a new account of a name that is taken", err)
	_, err = client.Invite(t.Context(), InviteRequest{Name: "anna", Role: access.Administrator})
	refused("another role by a link", err)
	_, err = client.Invite(t.Context(), InviteRequest{Name: "anna", Domains: []mail.Domain{mail.MustDomain("bank.test")}})
	refused("other domains by a link", err)
	if _, err := client.Invite(t.Context(), InviteRequest{Name: "ben", Role: access.Operator}); code(err) != http.StatusNotFound {
		t.Errorf("a name that has no account, and nobody says that it is new: %v", err)
	}
	if err := client.DisableAccount(t.Context(), "ben", true); code(err) != http.StatusNotFound {
		t.Errorf("nobody of that name: %v", err)
	}
	client.By = ""
	refused("nobody disables", client.DisableAccount(t.Context(), "anna", true))
	client.By = "root"
	for a, err := range client.Accounts(t.Context()) {
		if err != nil || a.Name != "anna" || a.Role != access.Operator || a.Scope.All {
			t.Errorf("%+v, %v", a, err)
		}
	}
	// Whoever says no role gets the one that may least.
	invite(InviteRequest{Name: "carl", New: true})
	for a, err := range client.Accounts(t.Context()) {
		if err != nil || a.Name == "carl" && a.Role != access.Auditor {
			t.Errorf("%+v, %v", a, err)
		}
	}
}
