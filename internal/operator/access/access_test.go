package access

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
)

func domains(t *testing.T, names ...string) (out []mail.Domain) {
	t.Helper()
	for _, n := range names {
		d, err := mail.ParseDomain(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

func TestEachRoleHoldsWhatTheOnesBeforeItHold(t *testing.T) {
	var before []Capability
	for _, r := range Roles() {
		now := r.Capabilities()
		for _, c := range before {
			if !slices.Contains(now, c) {
				t.Errorf("%s may not %s, which the role below may", r, c)
			}
		}
		if len(now) <= len(before) {
			t.Errorf("%s may no more than the role below", r)
		}
		before = now
	}
	if got := Role("owner").Capabilities(); got != nil {
		t.Errorf("a role that is none may %v", got)
	}
}

func TestWhoMayNothing(t *testing.T) {
	var nobody Principal
	for _, c := range All() {
		if nobody.May(c) {
			t.Errorf("the zero principal may %s", c)
		}
	}
}

func TestAScopeExcludesWhatIsAboutTheWhole(t *testing.T) {
	p := Principal{Role: Administrator, Scope: Scope{Domains: domains(t, "clinic.test")}}
	for c, want := range map[Capability]bool{ReadTrace: true, ActOnQueue: true, WriteRules: true, ReadSettings: false,
		WriteAccounts: false, ReadAccounts: false, ForgetPeers: false, ReloadFiles: false} {
		if p.May(c) != want {
			t.Errorf("May(%s) is %v", c, !want)
		}
	}
}

func TestATokenIsNeverMoreThanItsRole(t *testing.T) {
	p := Principal{Role: Auditor, Scope: Scope{All: true}, Way: ByToken, Only: []Capability{ReadTrace, WriteRules}}
	if !p.May(ReadTrace) || p.May(WriteRules) || p.May(ReadAudit) {
		t.Errorf("trace %v, write %v, audit %v", p.May(ReadTrace), p.May(WriteRules), p.May(ReadAudit))
	}
	p.Only = []Capability{}
	if p.May(ReadTrace) {
		t.Error("a token without scopes may read")
	}
}

func TestScopes(t *testing.T) {
	all, two, one := Scope{All: true}, Scope{Domains: domains(t, "a.test", "b.test")}, Scope{Domains: domains(t, "a.test")}
	for _, c := range []struct {
		s, other Scope
		want     bool
	}{{all, all, true}, {all, two, false}, {two, all, true}, {one, two, true}, {two, one, false}, {Scope{}, one, true}} {
		if got := c.s.Within(c.other); got != c.want {
			t.Errorf("%v within %v is %v", c.s, c.other, got)
		}
	}
	if d := domains(t, "sub.a.test")[0]; two.Covers(d) {
		t.Error("a domain below a named one is covered")
	}
}

func TestOnlySessionsGrowStale(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	session := Principal{Way: BySession, FreshUntil: now}
	if session.Fresh(now) || !session.Fresh(now.Add(-time.Second)) {
		t.Error("a session's proof does not end when it should")
	}
	if root := Root("root"); !root.Fresh(now) {
		t.Error("who asks at the socket is not fresh")
	}
}

// Whoever gives a capability away is told what it means, in the program and on the page of the console alike.
func TestEveryCapabilityIsExplained(t *testing.T) {
	page, err := os.ReadFile("../../../docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range All() {
		if row := "| `" + string(c) + "` | " + c.Means() + " |"; c.Means() == "" || !strings.Contains(string(page), row) {
			t.Errorf("docs/console.md lacks the row\n%s", row)
		}
	}
}
