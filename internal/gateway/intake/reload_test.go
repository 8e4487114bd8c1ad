package intake_test

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/gateway/intake"
)

// codes says lines and returns the codes of the answers.
func codes(s *spoken, lines ...string) string {
	var out []string
	for _, line := range lines {
		out = append(out, say(s, line)[:3])
	}
	return strings.Join(out, " ")
}

// relays says MAIL and a RCPT that only who may relay may say, then RSET.
func relays(s *spoken) string {
	return codes(s, "MAIL FROM:<a@example.test>", "RCPT TO:<x@far.test>", "RSET")
}

// TestAReloadHoldsForSessionsThatAreOpen: what a client may do is asked at MAIL, and at RCPT whether it may still
// relay.
func TestAReloadHoldsForSessionsThatAreOpen(t *testing.T) {
	proofs := map[string]string{"user": "hash"}
	for _, c := range []struct {
		name, who string
		change    func(w *world, cfg *intake.Config)
		mail      string // MAIL, RCPT elsewhere, RSET
		rcpt      string // the RCPT in the transaction that was open
		again     string // as mail, afterwards
	}{
		{"a network that is taken out", "10.0.0.1", func(_ *world, cfg *intake.Config) { cfg.RelayNetworks = nil }, "250 550 250", "550", "250 550 250"},
		{"a network that comes in", "198.51.100.7", func(_ *world, cfg *intake.Config) {
			cfg.RelayNetworks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		}, "250 250 250", "550", "250 250 250"},
		{"a user who is taken out", "user 198.51.100.7", func(*world, *intake.Config) { delete(proofs, "user") }, "530 503 250", "550", "250 550 250"},
		{"a password that is changed", "user 198.51.100.7", func(*world, *intake.Config) { proofs["user"] = "other" }, "530 503 250", "550", "250 550 250"},
		{"a user who stays", "user 198.51.100.7", func(*world, *intake.Config) {}, "250 250 250", "250", "250 250 250"},
		{"a user who is taken out, at a relay network", "user 10.0.0.1", func(*world, *intake.Config) { delete(proofs, "user") }, "530 503 250", "550", "250 250 250"},
		{"certificates that are no proof any more", "cert:c.test 198.51.100.7", func(_ *world, cfg *intake.Config) { cfg.RelayCertificates = false }, "250 550 250", "550", "250 550 250"},
		{"a CA that is trusted no more", "cert:c.test 198.51.100.7", func(w *world, _ *intake.Config) { w.trusts.Store(false) }, "250 550 250", "550", "250 550 250"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				proofs["user"] = "hash"
				w := newWorld(t, "relay-certificates", "")
				w.reload(func(cfg *intake.Config) { cfg.Proof = func(user string) string { return proofs[user] } })
				before, open := w.come(c.who), w.come(c.who)
				first := relays(before)
				codes(open, "MAIL FROM:<a@example.test>")
				w.reload(func(cfg *intake.Config) { c.change(w, cfg) })
				if got := codes(open, "RCPT TO:<x@far.test>"); got != c.rcpt {
					t.Errorf("RCPT in an open transaction is answered %s, want %s", got, c.rcpt)
				}
				if got := codes(open, "RCPT TO:<x@example.test>"); got != "250" {
					t.Errorf("RCPT to a domain of ours: %s", got)
				}
				if got := relays(before); got != c.mail {
					t.Errorf("before %s, now %s, want %s", first, got, c.mail)
				}
				if got := relays(before); got != c.again {
					t.Errorf("and then %s, want %s", got, c.again)
				}
				before.Close()
				open.Close()
				w.close()
			})
		})
	}
}

// TestWhoLostItsLoginMayLogInAgain: the login is gone, and with it the word of it in the stamp; the next one counts.
func TestWhoLostItsLoginMayLogInAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "", "")
		proof := "old"
		w.reload(func(cfg *intake.Config) { cfg.Proof = func(string) string { return proof } })
		s := w.come("user 198.51.100.7")
		auth := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00user\x00secret"))
		if got := codes(s, auth); got != "503" {
			t.Errorf("a second login: %s", got)
		}
		proof = "new"
		if got := say(s, "MAIL FROM:<a@example.test>"); got != "530 5.7.0 your login is not valid any more, log in again\r\n" {
			t.Errorf("MAIL: %q", got)
		}
		if got := codes(s, auth) + " " + relays(s); got != "235 250 250 250" {
			t.Errorf("after another login: %s", got)
		}
		s.Close()
		w.close()
	})
}

// TestAReloadGivesNobodyAnotherTry: wrong passwords are remembered, and held against the bounds of now.
func TestAReloadGivesNobodyAnotherTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "", "")
		w.reload(func(cfg *intake.Config) { cfg.LoginFailures = 3 })
		wrong := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00user\x00guess"))
		right := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00user\x00secret"))
		guess := func(line string) string {
			s := w.come("cert:c.test 198.51.100.7")
			defer s.Close()
			return codes(s, line)
		}
		got := guess(wrong) + " " + guess(wrong)
		w.reload(func(*intake.Config) {})
		got += " " + guess(wrong) + " " + guess(right)
		w.reload(func(cfg *intake.Config) { cfg.LoginFailures = 5 })
		got += " " + guess(right)
		if want := "535 535 535 454 235"; got != want {
			t.Errorf("answers %s, want %s", got, want)
		}
		w.close()
	})
}

// TestANameThatIsNobodysIsNotTold: it may be a password in the wrong place.
func TestANameThatIsNobodysIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "", "")
		w.reload(func(cfg *intake.Config) {
			cfg.Proof = func(user string) string {
				if user == "user" {
					return "hash"
				}
				return ""
			}
		})
		s := w.come("cert:c.test 198.51.100.7")
		for _, who := range []string{"user", "correct horse"} {
			codes(s, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+who+"\x00guess")))
		}
		s.Close()
		w.close()
		if all := strings.Join(w.events, "\n"); strings.Contains(all, "horse") || !strings.Contains(all, "user") {
			t.Errorf("events:\n%s", all)
		}
	})
}
