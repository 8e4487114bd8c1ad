package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAccountsAtTheCommandLine(t *testing.T) {
	verb := serveBacklog(t)
	does := func(want int, out string, args ...string) string {
		t.Helper()
		code, stdout, stderr := verb(append([]string{"accounts"}, args...)...)
		if code != want || !strings.Contains(stdout+stderr, out) {
			t.Errorf("accounts %s: %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
		}
		return stdout
	}
	does(0, "postern accounts first", "list")
	first := does(0, "makes the first administrator", "first")
	if again := does(0, "", "first"); again == first || !strings.Contains(first, "/setup#") {
		t.Errorf("links for the first administrator: %q, %q", first, again)
	}
	does(1, "--new", "invite", "anna")
	does(2, "", "invite", "anna", "--new", "--role", "queen")
	link := strings.TrimSpace(does(0, "sets the password of anna", "invite", "anna", "--new", "--role", "administrator"))
	if !strings.Contains(link, "/setup#") || len(link) < 60 {
		t.Errorf("the link is %q", link)
	}
	does(3, "postern accounts invite", "first") // there is an account
	does(0, "", "invite", "olga", "--new", "--role", "operator", "--domain", "clinic.test", "--domain", "bank.test")
	does(2, "taken", "invite", "Olga", "--new")
	does(2, "changes neither its role", "invite", "olga", "--role", "administrator")
	does(2, "", "invite", "ben", "--new", "--domain", "not a domain")
	does(0, "tokens and passkeys of olga end", "invite", "olga")
	does(0, "its role is auditor", "invite", "carl", "--new")
	does(0, "carl: deleted", "delete", "carl")
	does(0, "there are no tokens", "tokens")
	does(1, `there is no token "nothing"`, "revoke", "nothing")
	does(1, "there is no account", "disable", "..")
	list := does(0, "", "list")
	for _, part := range []string{"anna", "administrator", "everything", "olga", "operator", "clinic.test bank.test"} {
		if !strings.Contains(list, part) {
			t.Errorf("the list lacks %q:\n%s", part, list)
		}
	}
	does(0, "disabled", "disable", "OLGA")
	does(0, "disabled", "list")
	does(0, "olga: enabled", "enable", "olga")
	does(0, "olga: deleted", "delete", "olga")
	does(1, "there is no account", "delete", "olga")
	var one struct{ Name, Role string }
	if err := json.Unmarshal([]byte(does(0, "", "list", "--json")), &one); err != nil || one.Name != "anna" || one.Role != "administrator" {
		t.Errorf("%+v, %v", one, err)
	}
}
