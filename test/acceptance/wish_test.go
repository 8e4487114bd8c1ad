package acceptance

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/operator/waiting"
	"postern/test/harness"
)

// hangs makes the server of a domain hold each content until it is told to go on, and then answer so.
func hangs(w *world, domain, answer string) (p *partner.Partner, on func()) {
	b, gate := w.Good("mx."+domain), make(chan struct{})
	b.Before = func(verb string) {
		if verb == "." {
			<-gate
		}
	}
	if answer != "" {
		b.Replies = map[string]string{".": answer}
	}
	return w.Domain(domain, b), func() { close(gate) }
}

// acted runs an action on the queue and returns what it said.
func acted(t *testing.T, w *world, args ...string) waiting.ActResult {
	t.Helper()
	got := w.Run("", append([]string{"queue"}, append(args, "--json")...)...)
	var out waiting.ActResult
	if err := json.Unmarshal([]byte(got.Stdout), &out); err != nil {
		t.Fatalf("postern queue %q: %v: %+v", args, err, got)
	}
	return out
}

func TestAnActionOnMailThatIsBeingSentIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	later, goOnLater := hangs(w, "later.test", "451 4.3.0 not now")
	_, goOnHeld := hangs(w, "held.test", "451 4.3.0 not now")
	taken, goOnTaken := hangs(w, "taken.test", "")
	killed, goOnKilled := hangs(w, "killed.test", "451 4.3.0 not now")
	w.Settings["delivery.attempt_timeout"] = `"2m"` // what hangs here goes on when it is told to
	w.Start("")
	for _, domain := range []string{"later.test", "held.test", "taken.test", "killed.test"} {
		w.Send("anna@home.test", "content for "+domain, "dr@"+domain)
		w.Await("dr@"+domain, harness.In("sending"))
	}
	for domain, verb := range map[string]string{"later.test": "cancel", "held.test": "hold", "taken.test": "cancel"} {
		said := w.Run("", "queue", verb, domain)
		if said.Code != 0 || !strings.Contains(said.Stdout, "0 deliveries") || !strings.Contains(said.Stderr, "1 delivery being sent right now") ||
			!strings.Contains(said.Stderr, "postern queue show") {
			t.Errorf("queue %s %s: %+v", verb, domain, said)
		}
	}
	goOnLater()
	goOnHeld()
	w.Await("dr@later.test", harness.In("cancelled"))
	w.Await("dr@held.test", harness.In("held"))

	// What the other server takes all the same was too late, and that is told.
	told := make(chan waiting.ActResult, 1)
	go func() { told <- acted(t, w, "cancel", "taken.test", "--wait", "30") }()
	harness.Eventually(t, harness.Patience, "the second cancellation is asked for", func() bool {
		return strings.Count(w.Postern("audit"), "taken.test") == 2
	})
	goOnTaken()
	if out := <-told; out.TooLate != 1 || out.Changed != 0 || out.Pending != 0 {
		t.Errorf("cancelled too late: %+v", out)
	}
	if trace := w.Postern("trace", "--recipient", "dr@taken.test", "--json"); !strings.Contains(trace, `"state":"too late"`) {
		t.Errorf("the trace: %s", trace)
	}
	if audit := w.Postern("audit"); !strings.Contains(audit, "too late: delivered") || !strings.Contains(audit, "cancelled as asked") {
		t.Errorf("the audit trail: %s", audit)
	}

	// What is wished is durable when it is answered.
	if out := acted(t, w, "cancel", "killed.test"); out.Pending != 1 {
		t.Errorf("before the kill: %+v", out)
	}
	w.Kill()
	goOnKilled()
	w.Restart()
	w.Await("dr@killed.test", harness.In("cancelled"))

	w.Postern("queue", "retry")
	time.Sleep(2500 * time.Millisecond) // two more rounds, in which nothing must happen
	for name, p := range map[string]*partner.Partner{"later": later, "killed": killed} {
		if n := mails(p); n != 1 {
			t.Errorf("%s heard MAIL %d times", name, n)
		}
	}
	if n := len(taken.Messages()); n != 1 {
		t.Errorf("taken %d times", n)
	}
}

func mails(p *partner.Partner) (n int) {
	for _, c := range p.Commands() {
		if c.Verb == "MAIL" {
			n++
		}
	}
	return n
}
