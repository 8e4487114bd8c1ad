package acceptance

import (
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

func TestAStricterRuleRaisesWaitingMailAndItsRemovalLowersNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := partner.Behaviour{Fault: partner.Busy}
	clinic := w.Domain("clinic.test", b)
	w.Start("")
	id := w.Send("anna@home.test", "raised later", "dr@clinic.test")
	w.Await("dr@clinic.test", harness.Waits("greeting-refused")).Want(t, map[string]string{"requires": "plaintext"})

	applied := time.Now()
	w.Apply(harness.Force("clinic", `"clinic.test"`, `defer = "50s"`))
	w.Await("dr@clinic.test", func(tr harness.Trace) bool { return tr.Requires == "authenticated" }).Want(t, map[string]string{"rule": "clinic"})
	t.Logf("the rule reached waiting mail after %v", time.Since(applied)) // how long it may take is tested without a clock
	clinic.Set(partner.Behaviour{})                                       // no TLS: it must not go now
	w.Await("dr@clinic.test", harness.Waits("starttls-not-offered"))

	w.Apply("")
	if rules := w.Postern("rules", "list"); !strings.Contains(rules, "no rules") {
		t.Errorf("rules list: %s", rules)
	}
	w.Postern("queue", "retry")
	w.Restart()
	time.Sleep(2500 * time.Millisecond)
	w.Await("dr@clinic.test", harness.Waits("starttls-not-offered")).Want(t, map[string]string{"requires": "authenticated"})
	if lines := harness.Forbidden(clinic, false); len(lines) > 0 {
		t.Fatalf("after the rule was removed the partner heard %q", lines)
	}

	if a := w.Run("", "queue", "release", id); a.Code != 1 {
		t.Errorf("releasing what is not held: exit code %d\n%s%s", a.Code, a.Stdout, a.Stderr)
	}
	w.Postern("queue", "release", "--lower", id)
	w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "plaintext", "requires": "plaintext"})
	for where, text := range map[string]string{"log": w.Log(), "audit trail": w.Postern("audit", "--json")} {
		if !strings.Contains(text, "queue release --lower") || !strings.Contains(text, id) {
			t.Errorf("the %s does not tell who lowered what:\n%s", where, text)
		}
	}
}

func TestHoldReleaseAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := partner.Behaviour{Fault: partner.Busy}
	clinic := w.Domain("clinic.test", b)
	w.Start("")
	held := w.Send("anna@home.test", "to be held", "a@clinic.test")
	cancelled := w.Send("anna@home.test", "to be cancelled", "b@clinic.test")
	w.Await("a@clinic.test", harness.Waits("greeting-refused"))
	w.Await("b@clinic.test", harness.Waits("greeting-refused"))
	w.Postern("queue", "hold", held)
	w.Postern("queue", "cancel", cancelled)
	clinic.Set(partner.Behaviour{})
	w.Send("anna@home.test", "others pass", "c@clinic.test")
	w.Await("c@clinic.test", harness.In("delivered"))
	w.Restart()
	w.Await("a@clinic.test", harness.In("held"))
	if a := w.Run("", "queue", "retry", held); a.Code != 1 || !strings.Contains(a.Stderr, "postern queue release") {
		t.Errorf("retrying what is held: exit code %d\n%s%s", a.Code, a.Stdout, a.Stderr)
	}
	w.Await("b@clinic.test", harness.In("cancelled"))
	w.Postern("queue", "release", held)
	w.Await("a@clinic.test", harness.In("delivered"))
	if a := w.Run("", "queue", "cancel", held); a.Code != 1 {
		t.Errorf("cancelling what is delivered: exit code %d\n%s%s", a.Code, a.Stdout, a.Stderr)
	}
	if got := clinic.Messages(); len(got) != 2 {
		t.Errorf("the partner got %d messages, want 2", len(got))
	}
	if got := w.Home().Messages(); len(got) != 0 {
		t.Errorf("the sender was told of a cancelled message:\n%s", got[0].Data)
	}
}

func TestTheWindowAndTheRulesSurviveRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clinic := w.Domain("clinic.test", w.Expired("mx.clinic.test"))
	w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "8s"`))
	w.Send("anna@home.test", "the clock runs", "dr@clinic.test")
	before := w.Await("dr@clinic.test", harness.Waits("cert-expired"))
	for range 3 {
		time.Sleep(time.Second)
		w.Restart()
	}
	w.Kill()
	w.Serve()
	after := w.Await("dr@clinic.test", func(harness.Trace) bool { return true })
	if !after.ExpiresAt.Equal(before.ExpiresAt) || !after.AcceptedAt.Equal(before.AcceptedAt) {
		t.Errorf("accepted %v until %v; after restarts %v until %v", before.AcceptedAt, before.ExpiresAt, after.AcceptedAt, after.ExpiresAt)
	}
	if list := w.Postern("rules", "list"); !strings.Contains(list, "clinic") {
		t.Errorf("after restarts the rules are:\n%s", list)
	}
	w.Apply(harness.Force("clinic", `"clinic.test"`, `defer = "1h"`)) // an edit does not prolong the window
	w.Await("dr@clinic.test", harness.In("failed"))
	oneReport(t, w.Home(), "dr@clinic.test")
	if lines := harness.Forbidden(clinic, false); len(lines) > 0 {
		t.Errorf("heard %q", lines)
	}
}

func TestRulesApplyShowsTheDifferenceAndRefusesBrokenFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clinic := w.Domain("clinic.test", partner.Behaviour{})
	w.Start(harness.Force("clinic", `"clinic.test"`))
	before := w.Postern("rules", "export")

	broken := w.Write("broken.toml", []byte("[[rule]]\nname = \"x\"\nscope = \"sideways\"\ncolour = 1\n"))
	a := w.Run("", "rules", "apply", broken)
	if a.Code != 1 || !strings.Contains(a.Stderr, "broken.toml:3:") || !strings.Contains(a.Stderr, "broken.toml:4:") {
		t.Errorf("a broken file: exit code %d\n%s", a.Code, a.Stderr)
	}
	if after := w.Postern("rules", "export"); after != before {
		t.Errorf("a broken file changed the rules to\n%s", after)
	}
	if a := w.Run("", "rules", "apply", w.Dir+"/missing.toml"); a.Code == 0 {
		t.Error("a missing file was applied")
	}

	dry := w.Write("next.toml", []byte(harness.Force("clinic", `"clinic.test"`, ticked)+harness.Force("lab", `"lab.test"`)))
	for _, args := range [][]string{{"--dry-run"}, {}} {
		out := w.Postern(append([]string{"rules", "apply", dry}, args...)...)
		for _, part := range []string{"~ clinic", "unspecified_recipients", "weaker", "+ lab"} {
			if !strings.Contains(out, part) {
				t.Errorf("no %q in the difference:\n%s", part, out)
			}
		}
	}
	if shown := w.Postern("rules", "show"); !strings.Contains(shown, "Revision") {
		t.Errorf("rules show:\n%s", shown)
	}
	explained := w.Postern("rules", "explain", "--from", "anna@home.test", "--to", "dr@clinic.test,bob@shop.test")
	for _, part := range []string{"dr@clinic.test requires authenticated", "bob@shop.test requires nothing (best available)", "rule clinic (enforce) matches", "rule lab (enforce) does not match"} {
		if !strings.Contains(explained, part) {
			t.Errorf("no %q in the explanation:\n%s", part, explained)
		}
	}
	if n := len(clinic.Commands()); n != 0 {
		t.Errorf("explaining sent %d commands", n)
	}
	for line := range strings.Lines(w.Postern("rules", "explain", "--json", "--from", "<>", "--to", "dr@clinic.test")) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("rules explain --json: %s", line)
		}
	}
}
