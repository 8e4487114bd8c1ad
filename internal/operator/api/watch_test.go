package api

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
)

// A stream ends with what let it in, whichever way that ends.
func TestAStreamEndsWithItsToken(t *testing.T) {
	everything := access.Scope{All: true}
	root := access.Root("root")
	ends := map[string]func(t *testing.T, w *remoteWorld, token accounts.Token, account accounts.Account){
		"revoked": func(t *testing.T, w *remoteWorld, token accounts.Token, _ accounts.Account) {
			if err := w.accounts.DeleteToken(t.Context(), root, token.ID); err != nil {
				t.Fatal(err)
			}
		},
		"disabled": func(t *testing.T, w *remoteWorld, _ accounts.Token, account accounts.Account) {
			yes := true
			if _, err := w.accounts.Update(t.Context(), root, account.ID, account.Version, accounts.Change{Disabled: &yes}); err != nil {
				t.Fatal(err)
			}
		},
		"expired": func(t *testing.T, w *remoteWorld, token accounts.Token, _ accounts.Account) {
			token.EndsAt = time.Now().Add(-time.Second)
			if err := accounts.NewBook(w.store).ReplaceToken(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, quiet := range map[string]bool{"revoked": false, "disabled": false, "expired": false, "expired while nothing happens": true} {
		t.Run(name, func(t *testing.T) {
			w := newRemoteWorld(t)
			if quiet {
				w.server.breath = time.Millisecond
			}
			w.token(t, "anna", access.Administrator, everything, access.ReadStatus) // somebody must stay
			client := w.token(t, "watcher", access.Auditor, everything, access.ReadStatus)
			res, err := client.do(t.Context(), request{path: "/events"})
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			in := bufio.NewScanner(res.Body)
			next := func() bool {
				for in.Scan() {
					if strings.HasPrefix(in.Text(), "data: ") {
						return true
					}
				}
				return false
			}
			if !next() {
				t.Fatal("the stream did not begin")
			}
			w.pulse.Emit(event.Settled{})
			if !next() {
				t.Fatal("the stream ended while its token was good")
			}
			list, err := w.accounts.List(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			tokens, err := w.accounts.Tokens(t.Context(), root, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list {
				for _, token := range tokens {
					if a.Name == "watcher" && token.Account == a.ID {
						end, _, _ := strings.Cut(name, " ")
						ends[end](t, w, token, a)
					}
				}
			}
			if !quiet {
				w.pulse.Emit(event.Settled{}) // what happens is a reason to look again; without, it looks at each breath
			}
			for words := 0; next(); words++ {
				if words > 0 && !quiet || words > 2 { // one may be on its way
					t.Fatal("it goes on")
				}
			}
		})
	}
}
