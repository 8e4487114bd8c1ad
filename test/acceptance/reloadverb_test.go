package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// TestReloadWaitsAndFailsLoudly: when the verb returns, what it says is so.
func TestReloadWaitsAndFailsLoudly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("shop.test", w.Good("mx.shop.test"))
	w.Start("")
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	if _, rcpt := may(c); rcpt != "250" {
		t.Fatalf("at first: %s", rcpt)
	}

	w.Settings["relay.networks"], w.Settings["limits.recipients"], w.Settings["queue.retention"] = "[]", "500", `"24h"`
	w.Configure()
	out := w.Postern("reload")
	if _, rcpt := may(c); rcpt != "550" {
		t.Errorf("after the verb has returned: %s", rcpt)
	}
	if !strings.Contains(out, "limits.recipients") || !strings.Contains(out, "queue.retention") || strings.Contains(out, "relay.networks") {
		t.Errorf("which keys wait for a restart: %s", out)
	}
	var said struct {
		NeedRestart []string `json:"need_restart"`
		Faults      []struct{ Key, Message, Hint string }
	}
	if err := json.Unmarshal([]byte(w.Postern("reload", "--json")), &said); err != nil || len(said.NeedRestart) != 2 || said.Faults == nil {
		t.Errorf("%+v, %v", said, err)
	}

	// What cannot be used is not taken, none of it.
	for what, key := range map[string]string{"no such file": "tls.certificates", "not TOML": "relay.require", "is no claim": "oidc.claim"} {
		before := w.Settings[key]
		w.Settings["relay.networks"] = `["127.0.0.1/32"]`
		w.Settings[key] = map[string]string{"tls.certificates": `[{cert = "gone.pem", key = "gw.key"}]`, "relay.require": "plaintext", "oidc.claim": `"x"`}[key]
		if key == "oidc.claim" {
			w.Settings["oidc.issuer"], w.Settings["oidc.client_id"] = `"https://login.test"`, `"x"`
		}
		w.Configure()
		a := w.Run("", "reload")
		if a.Code == 0 || !strings.Contains(a.Stderr, what) || !strings.Contains(a.Stderr, "stays in force") || !strings.Contains(a.Stderr, "hint:") {
			t.Errorf("%s: code %d\n%s%s", what, a.Code, a.Stdout, a.Stderr)
		}
		if _, rcpt := may(c); rcpt != "550" {
			t.Errorf("%s: a part of it was taken: %s", what, rcpt)
		}
		w.Settings[key] = before
		if before == "" {
			delete(w.Settings, key)
		}
		delete(w.Settings, "oidc.issuer")
		delete(w.Settings, "oidc.client_id")
	}

	// What is taken and dangerous is said.
	w.Settings["relay.networks"] = `["127.0.0.1/32", "81.0.0.0/8"]`
	w.Configure()
	if a := w.Run("", "reload"); a.Code != 1 || !strings.Contains(a.Stderr, "problem: relay.networks[1]: an open relay") {
		t.Errorf("code %d\n%s", a.Code, a.Stderr)
	}
	harness.Eventually(t, harness.Patience, "the log warns", func() bool { return strings.Contains(w.Log(), "relay.networks[1]: an open relay") })
	w.Stop()
	if a := w.Run("", "reload"); a.Code != 3 || !strings.Contains(a.Stderr, "no gateway answers") {
		t.Errorf("without a gateway: code %d\n%s", a.Code, a.Stderr)
	}
}

// TestAReloadSaysWhatHoldsMore: mail that waits for a server of our own keeps what was demanded of the way there when
// the reload demands less, and the verb says how much does.
func TestAReloadSaysWhatHoldsMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("branch.test", partner.Behaviour{}) // its server has no TLS
	own := func(require string) {
		w.More = append(w.More[:1:1], fmt.Sprintf("[[domain]]\nname = \"branch.test\"\ndeliver_to = [\"mx.branch.test:%d\"]\nrecipients = \"any\"\nrequire = %q\n", w.Port, require))
	}
	own("authenticated")
	w.Start("")
	w.Send("anna@home.test", "to the branch", "team@branch.test")
	w.Await("team@branch.test", harness.Waits("starttls-not-offered"))
	own("plaintext")
	w.Configure()
	if said := w.Postern("reload"); !strings.Contains(said, "1 waiting delivery holds more than is demanded now, and keeps it") || !strings.Contains(said, "release --rejudge") {
		t.Errorf("the verb says\n%s", said)
	}
	w.Postern("queue", "release", "--rejudge", "branch.test")
	w.Await("team@branch.test", harness.In("delivered"))
	if said := w.Postern("reload"); strings.Contains(said, "holds more") {
		t.Errorf("afterwards the verb says\n%s", said)
	}
}
