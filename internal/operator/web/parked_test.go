package web

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
)

// tired is a console where a proof counts for no time at all but by withFresh, so that every dangerous form comes too
// late.
func tired(t *testing.T) *browser {
	t.Helper()
	b := newConsole(t)
	b.setUp()
	b.stale()
	return b
}

// stale makes the proof of every session old.
func (b *browser) stale() {
	b.Helper()
	list, err := accounts.NewBook(b.store).Sessions(b.Context(), b.account("anna"))
	if err != nil || len(list) == 0 {
		b.Fatal(list, err)
	}
	for _, one := range list {
		one.ProvenAt = one.ProvenAt.Add(-time.Hour)
		if err := accounts.NewBook(b.store).ReplaceSession(b.Context(), one.Hash, one); err != nil {
			b.Fatal(err)
		}
	}
}

// goOn proves again where a form led to.
func (b *browser) goOn(p page) page {
	b.Helper()
	p.has(b, 200, "Prove again who you are", "is kept")
	u, err := url.Parse(p.path)
	if err != nil {
		b.Fatal(err)
	}
	b.post("/prove", "password", "wrong wrong wrong", "next", u.Query().Get("next")).has(b, 401, "is kept")
	return b.post("/prove", "password", password, "next", u.Query().Get("next"))
}

// TestWhatWasFilledInSurvivesTheProof: each dangerous form, typed or with a file, does after the proof what it would
// have done.
func TestWhatWasFilledInSurvivesTheProof(t *testing.T) {
	edit := func(do string) []string {
		return []string{"rule", "", "revision", "0", "do", do, "name", "harbour", "description", "what I wrote & more", "action", "force-tls", "scope", "outbound",
			"mode", "enforce", "match.recipient", "harbour.test"}
	}
	big := someRule + "# " + strings.Repeat("x", 1<<20) + "\n"
	for what, c := range map[string]struct {
		send func(b *browser) page
		want []string
	}{
		"a rule that is saved":     {func(b *browser) page { return b.post("/rules/edit", edit("save")...) }, []string{"revision 1 is in force", "harbour"}},
		"a rule that is looked at": {func(b *browser) page { return b.post("/rules/edit", edit("look")...) }, []string{"what I wrote &amp; more", "harbour.test"}},
		"a rule that is saved, with a message beside it": {func(b *browser) page {
			return b.upload("/rules/edit", "try.file", []byte(asSaved), edit("save")...)
		}, []string{"revision 1 is in force", "harbour"}},
		"a rule that is looked at, with a message beside it": {func(b *browser) page {
			return b.upload("/rules/edit", "try.file", []byte(asSaved), edit("look")...)
		}, []string{"what I wrote &amp; more", "Subject: [secure] results"}},
		"a file that is typed":     {func(b *browser) page { return b.post("/rules/file", "revision", "0", "do", "save", "text", someRule) }, []string{"revision 1 is in force"}},
		"a file that is looked at": {func(b *browser) page { return b.post("/rules/file", "revision", "0", "do", "look", "text", someRule) }, []string{"# theirs", "clinic"}},
		"a file that is brought": {func(b *browser) page {
			return b.upload("/rules/file", "upload", []byte(big), "revision", "0", "do", "save")
		}, []string{"revision 1 is in force"}},
		"an invitation": {func(b *browser) page { return b.post("/accounts", "name", "ben", "role", "operator") }, []string{"Link for ben"}},
		"a token": {func(b *browser) page {
			return b.post("/profile/tokens", "name", "ci", "days", "3", "scope", "trace:read")
		}, []string{"postern_"}},
		"approval of a mail host":   {func(b *browser) page { return b.post("/destinations/clinic.test/approve", "name", "mx.clinic.test") }, []string{"name the rule"}},
		"a passkey that is deleted": {func(b *browser) page { return b.post("/profile/passkeys", "delete", "none") }, nil},
	} {
		t.Run(what, func(t *testing.T) {
			b := tired(t)
			got := b.goOn(c.send(b))
			if c.want == nil { // it is not there; but the question reached who says so
				got.has(b, 404)
				return
			}
			for _, text := range c.want {
				if !strings.Contains(got.text, text) {
					t.Errorf("afterwards %s (%d) does not say %q:\n%s", got.path, got.code, text, plain(got.tree))
				}
			}
		})
	}
}

// Who proves by a way that leads back by a link sees the form, and it is carried out at a click, once, and only in its
// session.
func TestAKeptFormBelongsToItsSession(t *testing.T) {
	b := tired(t)
	p := b.post("/accounts", "name", "ben", "role", "operator")
	u, _ := url.Parse(p.path)
	kept := u.Query().Get("next")
	if !strings.HasPrefix(kept, "/again/") {
		t.Fatalf("sent to %s", p.path)
	}
	b.wellMade(b.get(kept).has(b, 200, "ben", "operator", "Carry it out"))
	mine := b.http
	b.become("eve", access.Administrator)
	b.get(kept).has(b, 404)
	b.post(kept).has(b, 404)
	b.http = mine
	b.post(kept).has(b, 200, "Prove again who you are") // looking is no proof
	p = b.post("/accounts", "name", "ben", "role", "operator")
	u, _ = url.Parse(p.path)
	kept = u.Query().Get("next")
	b.post("/prove", "password", password, "next", "/audit").has(b, 200, "Audit trail")
	b.get(kept).has(b, 200, "ben")
	b.post(kept).has(b, 200, "Link for ben")
	b.post(kept).has(b, 404)
}

// ended makes every session of anna one whose time is over.
func (b *browser) ended() {
	b.Helper()
	list, err := accounts.NewBook(b.store).Sessions(b.Context(), b.account("anna"))
	if err != nil || len(list) == 0 {
		b.Fatal(list, err)
	}
	for _, one := range list {
		one.EndsAt = time.Now().Add(-time.Hour)
		if err := accounts.NewBook(b.store).ReplaceSession(b.Context(), one.Hash, one); err != nil {
			b.Fatal(err)
		}
	}
}

// A form that is sent when the session has ended waits until its sender has signed in: it is shown then, and carried
// out at a click. Whoever else signs in at that browser does not see it; a browser that never had a session leaves
// nothing.
func TestAFormOutlivesItsSession(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.become("eve", access.Administrator)
	b.post("/sign-out")
	b.post("/sign-in", "name", "anna", "password", password).has(b, 200, "Overview")
	send := func() string {
		b.ended()
		b.get("/audit").has(b, 200, "Sign in")
		p := b.post("/accounts", "name", "ben", "role", "operator").has(b, 200, "Sign in", "is kept")
		u, err := url.Parse(p.path)
		if err != nil || !strings.HasPrefix(u.Query().Get("next"), "/again/") {
			t.Fatalf("sent to %s", p.path)
		}
		return u.Query().Get("next")
	}
	kept := send()
	b.post("/sign-in", "name", "anna", "password", "wrong wrong wrong", "next", kept).has(b, 401, "is kept")
	b.wellMade(b.post("/sign-in", "name", "anna", "password", password, "next", kept).has(b, 200, "ben", "operator", "Carry it out"))
	if p := b.get("/accounts"); strings.Contains(p.text, ">ben<") {
		t.Error("it was carried out before its sender said so")
	}
	b.post(kept).has(b, 200, "Link for ben")

	// A file of rules is larger than what strangers may send.
	b.ended()
	big := someRule + "# " + strings.Repeat("x", 1<<20) + "\n"
	p := b.upload("/rules/file", "upload", []byte(big), "revision", "0", "do", "save").has(b, 200, "is kept")
	u, _ := url.Parse(p.path)
	kept = u.Query().Get("next")
	b.post("/sign-in", "name", "anna", "password", password, "next", kept)
	b.post(kept).has(b, 200, "revision 1 is in force")

	kept = send()
	b.post("/sign-in", "name", "eve", "password", password, "next", kept).has(b, 404)
	b.post("/sign-out")
	if p := b.post("/accounts", "name", "ben", "role", "operator"); p.path != "/sign-in" || strings.Contains(p.text, "is kept") {
		t.Errorf("who never was known is sent to %s", p.path)
	}
}
