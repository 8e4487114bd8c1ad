package acceptance

import (
	"net/http"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// silent answers nothing until who asks goes away.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// drips answers a policy that never ends, byte by byte.
func drips(out http.ResponseWriter, r *http.Request) {
	out.Header().Set("Content-Type", "text/plain")
	for _, b := range []byte("version: STSv1\nmode: enforce\nmx: mx.drip.test\nmax_age: 604800\n") {
		_, _ = out.Write([]byte{b})
		_ = http.NewResponseController(out).Flush() // who asks may be gone
		select {
		case <-r.Context().Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// A policy host that takes its time delays the first mail of its own domain by sts_timeout, no other domain's, and
// takes nothing from a policy that is kept.
func TestAPolicyHostThatHangsOrDrips(t *testing.T) {
	t.Parallel()
	const wait = 3 * time.Second
	w := newWorld(t)
	w.Settings["policies.sts_timeout"] = `"3s"`
	kept := w.Domain("kept.test", w.Good("mx.kept.test"))
	host := w.policyHost("kept.test", "1", policy("enforce", "mx.kept.test"))
	for name, serve := range map[string]http.HandlerFunc{"hang.test": silent, "drip.test": drips} {
		w.Domain(name, partner.Behaviour{})
		w.policyHost(name, "1", serve)
	}
	w.Domain("good.test", w.Good("mx.good.test"))
	w.policyHost("good.test", "1", policy("enforce", "mx.good.test"))
	w.Start("")
	took := func(t harness.Trace) time.Duration { return t.FinishedAt.Sub(t.AcceptedAt) }
	w.Send("anna@home.test", "before", "a@kept.test")
	for _, to := range []string{"a@hang.test", "a@drip.test", "a@good.test"} {
		w.Send("anna@home.test", "first", to)
	}
	good := w.Await("a@good.test", harness.In("delivered"))
	good.Want(t, map[string]string{"reached": "authenticated", "policy": "sts"})
	if d := took(good); d >= wait {
		t.Errorf("a domain with a quick host waited %v", d)
	}
	for _, name := range []string{"hang.test", "drip.test"} {
		got := w.Await("a@"+name, harness.In("delivered"))
		got.Want(t, map[string]string{"reached": "plaintext", "policy": "sts"})
		if p := got.Published; p == nil || len(p.Shortfalls) != 1 || p.Shortfalls[0].Reason != "sts-policy-unavailable" || p.Note == "" {
			t.Errorf("%s: the trace says %s", name, got.Raw)
		}
		if d := took(got); d < wait-500*time.Millisecond || d > 3*wait {
			t.Errorf("%s waited %v", name, d)
		}
	}

	w.Await("a@kept.test", harness.In("delivered"))
	host.set(silent)
	w.announces("kept.test", "2") // there is a newer one, which nobody can have
	kept.Set(partner.Behaviour{})
	w.Send("anna@home.test", "hanging", "b@kept.test")
	got := w.Await("b@kept.test", harness.Waits("starttls-stripped"))
	if p := got.Published; p == nil || p.Mode != "enforce" || p.ID != "1" || p.Source != "cache" {
		t.Errorf("the trace says %s", got.Raw)
	}
	host.set(policy("none")) // a policy taken back without a word in DNS counts when it is fetched
	w.announces("kept.test", "1")
	time.Sleep(time.Second)
	w.Await("b@kept.test", harness.Waits("starttls-stripped"))
	if lines := harness.Forbidden(kept, true); len(lines) > 0 {
		t.Errorf("heard in the clear: %q", lines)
	}
	w.Postern("policies", "refresh", "kept.test")
	w.Await("b@kept.test", harness.In("delivered")).Want(t, map[string]string{"reached": "plaintext", "policy": ""})
}
