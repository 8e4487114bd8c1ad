package acceptance

import (
	"testing"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
)

func TestAnEnforcedPolicyIsKeptTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers := map[string]struct {
		first  partner.Behaviour
		reason string // "": delivered
	}{
		"good":    {w.Good("mx.good.test"), ""},
		"expired": {w.Expired("mx.expired.test"), "cert-expired"},
		"self":    {w.Offers(pki.Options{Names: []string{"mx.self.test"}, SelfSigned: true}), "cert-self-signed"},
		"other":   {w.Good("mx.elsewhere.test"), "cert-name-mismatch"},
		"plain":   {partner.Behaviour{}, "starttls-not-offered"},
	}
	for name, s := range servers {
		w.Domain(name+".test", s.first)
		w.policyHost(name+".test", "1", policy("enforce", "mx."+name+".test"))
	}
	w.Domain("none.test", w.Expired("mx.none.test"))
	w.Start("")
	for name := range servers {
		w.Send("anna@home.test", "policy", "a@"+name+".test")
	}
	w.Send("anna@home.test", "policy", "a@none.test")
	w.Await("a@none.test", harness.In("delivered")).Want(t, map[string]string{"reached": "encrypted", "policy": ""})
	for name, s := range servers {
		if s.reason == "" {
			continue
		}
		got := w.Await("a@"+name+".test", harness.Waits(s.reason))
		got.Want(t, map[string]string{"policy": "sts"})
		server := w.Hosts["mx."+name+".test"]
		if lines := harness.Forbidden(server, false); len(lines) > 0 {
			t.Errorf("%s heard %q", name, lines)
		}
		server.Set(w.Good("mx." + name + ".test"))
		w.Run("", "queue", "retry", name+".test")
	}
	for name := range servers {
		got := w.Await("a@"+name+".test", harness.In("delivered"))
		got.Want(t, map[string]string{"reached": "authenticated", "proved_by": "certificate", "policy": "sts", "rule": "", "reason": ""})
		p := got.Published
		if p == nil || p.Mode != "enforce" || p.ID != "1" || p.Source == "" || p.AgeS == nil || len(p.Hosts) != 1 || p.Hosts[0] != "mx."+name+".test" || len(p.Shortfalls) > 0 {
			t.Errorf("%s: %s", name, got.Raw)
		}
		if lines := harness.Forbidden(w.Hosts["mx."+name+".test"], true); len(lines) > 0 {
			t.Errorf("%s heard in the clear: %q", name, lines)
		}
	}
}
