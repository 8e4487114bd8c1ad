package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// verdict is what `postern check --json` says to one question about a target.
type verdict struct {
	Question string `json:"question"`
	Outcome  string `json:"outcome"`
	Reached  string `json:"reached"`
	Reason   string `json:"reason"`
}

// checks runs the verb and returns each target's verdicts by question.
func (w *world) checks(code int, args ...string) map[string]map[string]verdict {
	w.T.Helper()
	verdicts, _ := w.checksAll(code, args...)
	return verdicts
}

// checksAll is checks, with each target's whole object.
func (w *world) checksAll(code int, args ...string) (out map[string]map[string]verdict, objects map[string]string) {
	w.T.Helper()
	a := w.Run("", append([]string{"check", "--json"}, args...)...)
	if a.Code != code {
		w.T.Fatalf("postern check: exit code %d, want %d\n%s%s", a.Code, code, a.Stdout, a.Stderr)
	}
	out, objects = map[string]map[string]verdict{}, map[string]string{}
	for line := range strings.Lines(a.Stdout) {
		var r struct {
			Kind, Target string
			Verdicts     []verdict
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.T.Fatalf("%v in %s", err, line)
		}
		if r.Kind != "target" {
			continue
		}
		out[r.Target], objects[r.Target] = map[string]verdict{}, line
		for _, v := range r.Verdicts {
			out[r.Target][v.Question] = v
		}
	}
	return out, objects
}

func TestCheckSaysOfEveryFaultWhatDeliverySays(t *testing.T) {
	t.Parallel()
	w := crooked(t)
	good := w.Domain("good.test", w.Good("mx.good.test"))
	var targets, forced []string
	for _, f := range append(faults(), fault{name: "good", reached: "authenticated"}) {
		targets = append(targets, f.name+".test")
		forced = append(forced, fmt.Sprintf(`"dr@%s.test"`, f.name))
	}
	w.Start(harness.Force("protected", strings.Join(forced, ", "), `defer = "60s"`))
	said := w.checks(1, append([]string{"--as-rule", "protected"}, targets...)...)
	for name, p := range w.Hosts {
		if lines := harness.Forbidden(p, false); len(lines) > 0 {
			t.Errorf("%s heard of mail from check: %q", name, lines)
		}
	}
	for _, target := range targets {
		w.Send("anna@home.test", "secret", "dr@"+target)
		w.Send("anna@home.test", "ordinary", "info@"+target)
	}
	for _, target := range targets {
		secret := w.Await("dr@"+target, func(tr harness.Trace) bool { return tr.Reason != "" || tr.State == "delivered" })
		ordinary := w.Await("info@"+target, harness.In("delivered"))
		for question, got := range map[string]harness.Trace{"rule protected": secret, "opportunistic": ordinary} {
			v := said[target][question]
			if v.Reason != got.Reason || v.Reached != got.Reached || (v.Outcome == "delivered") != (got.State == "delivered") {
				t.Errorf("%s, %s: check says %+v, delivery %s %s %q", target, question, v, got.State, got.Reached, got.Reason)
			}
		}
	}
	if len(good.Messages()) != 2 {
		t.Errorf("the good server took %d messages", len(good.Messages()))
	}
	w.checks(0, "--as-rule", "protected", "good.test")
	if a := w.Run("", "check", "--as-rule", "no-such", "good.test"); a.Code != 1 {
		t.Errorf("a rule that is not there: exit code %d\n%s", a.Code, a.Stderr)
	}
}

// TestCheckKnowsWhatTheGatewayRemembers: a server whose STARTTLS is gone lost something only for whoever knows that it
// was there. The gateway knows; check, run beside it, asks. Where no gateway runs it cannot know.
func TestCheckKnowsWhatTheGatewayRemembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stripped := w.Domain("stripped.test", w.Good("mx.stripped.test"))
	w.Domain("never.test", partner.Behaviour{})
	for key, value := range map[string]string{"ratchet": `"hold"`, "ratchet_after": "1", "ratchet_days": "0", "ratchet_hold": `"50s"`} {
		w.Settings["delivery."+key] = value
	}
	w.Start(harness.Force("protected", `"dr@stripped.test", "dr@never.test"`, `defer = "60s"`))
	w.Send("anna@home.test", "while all is well", "info@stripped.test")
	w.Await("info@stripped.test", harness.In("delivered"))
	harness.Eventually(t, harness.Patience, "the connection with TLS is closed", func() bool {
		return slices.ContainsFunc(stripped.Commands(), func(c partner.Command) bool { return c.Verb == "QUIT" })
	})
	stripped.Set(partner.Behaviour{})

	said := w.checks(1, "--as-rule", "protected", "stripped.test", "never.test")
	for target, want := range map[string]string{"stripped.test": "starttls-stripped", "never.test": "starttls-not-offered"} {
		w.Send("anna@home.test", "secret", "dr@"+target)
		w.Send("anna@home.test", "ordinary", "other@"+target)
		secret := w.Await("dr@"+target, func(tr harness.Trace) bool { return tr.Reason != "" })
		ordinary := w.Await("other@"+target, func(tr harness.Trace) bool { return tr.Reason != "" })
		for question, got := range map[string]harness.Trace{"rule protected": secret, "opportunistic": ordinary} {
			v := said[target][question]
			if v.Reason != want || got.Reason != want || (v.Outcome == "delivered") != (got.State == "delivered") {
				t.Errorf("%s, %s: check says %+v, delivery %s %q, want %q", target, question, v, got.State, got.Reason, want)
			}
		}
	}
	if v := said["stripped.test"]["opportunistic"]; v.Outcome != "deferred" {
		t.Errorf("the ratchet does not hold: %+v", v)
	}
	w.Stop()
	if v := w.checks(0, "stripped.test")["stripped.test"]["opportunistic"]; v.Reason != "starttls-not-offered" || v.Outcome != "delivered" {
		t.Errorf("without a gateway: %+v", v)
	}
	w.Serve()
}

func TestAThousandTargetsAreCheckedInAMinuteAndInLittleMemory(t *testing.T) {
	w := newWorld(t)
	w.Partner("mx.crowd.test", w.Good("mx.crowd.test"))
	w.Record("*.crowd.test MX 10 mx.crowd.test")
	w.Configure()
	few, _ := w.measured(100)
	many, took := w.measured(1000)
	t.Logf("1000 targets in %v; %d kB at most, %d kB with 100", took, many, few)
	if took > time.Minute {
		t.Errorf("1000 targets took %v", took)
	}
	if many > few+20<<10 {
		t.Errorf("memory grew from %d kB with 100 targets to %d kB with 1000", few, many)
	}
}

// measured checks n targets and returns the most memory the process had, in kB, and the time it took.
func (w *world) measured(n int) (int64, time.Duration) {
	w.T.Helper()
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "d%d.crowd.test\n", i)
	}
	cmd := exec.Command(harness.Binary(), "check", "--file", "-", "--brief", "--require", "authenticated", "--config", w.ConfigFile())
	cmd.Env = os.Environ()
	cmd.Stdin = strings.NewReader(list.String())
	start := time.Now()
	out, err := cmd.Output()
	if err != nil || strings.Count(string(out), " yes\n") != n {
		w.T.Fatalf("%v: %d of %d targets pass", err, strings.Count(string(out), " yes\n"), n)
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss, time.Since(start)
}
