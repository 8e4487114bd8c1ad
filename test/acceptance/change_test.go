package acceptance

import (
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
)

func TestAStricterRuleRaisesWaitingMailAndItsRemovalLowersNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := partner.Behaviour{Fault: partner.Busy}
	clinic := w.domain("clinic.test", b)
	w.start("")
	id := w.send("anna@home.test", "raised later", "dr@clinic.test")
	w.await("dr@clinic.test", waits("greeting-refused")).want(t, map[string]string{"requires": "plaintext"})

	applied := time.Now()
	w.apply(force("clinic", `"clinic.test"`, `defer = "50s"`))
	w.await("dr@clinic.test", func(tr trace) bool { return tr.Requires == "authenticated" }).want(t, map[string]string{"rule": "clinic"})
	if took := time.Since(applied); took > 2*time.Second {
		t.Errorf("the rule took %v to reach waiting mail", took)
	}
	clinic.Set(partner.Behaviour{}) // no TLS: it must not go now
	w.await("dr@clinic.test", waits("starttls-not-offered"))

	w.apply("")
	if rules := w.postern("rules", "list"); !strings.Contains(rules, "no rules") {
		t.Errorf("rules list: %s", rules)
	}
	w.postern("queue", "retry")
	w.restart()
	time.Sleep(2500 * time.Millisecond)
	w.await("dr@clinic.test", waits("starttls-not-offered")).want(t, map[string]string{"requires": "authenticated"})
	if lines := forbidden(clinic, false); len(lines) > 0 {
		t.Fatalf("after the rule was removed the partner heard %q", lines)
	}

	if a := w.run("", "queue", "release", id); a.code != 1 {
		t.Errorf("releasing what is not held: exit code %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	w.postern("queue", "release", "--lower", id)
	w.await("dr@clinic.test", in("delivered")).want(t, map[string]string{"reached": "plaintext", "requires": "plaintext"})
	for where, text := range map[string]string{"log": w.log(), "audit trail": w.postern("audit", "--json")} {
		if !strings.Contains(text, "queue release --lower") || !strings.Contains(text, id) {
			t.Errorf("the %s does not tell who lowered what:\n%s", where, text)
		}
	}
}

func TestHoldReleaseAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := partner.Behaviour{Fault: partner.Busy}
	clinic := w.domain("clinic.test", b)
	w.start("")
	held := w.send("anna@home.test", "to be held", "a@clinic.test")
	cancelled := w.send("anna@home.test", "to be cancelled", "b@clinic.test")
	w.await("a@clinic.test", waits("greeting-refused"))
	w.await("b@clinic.test", waits("greeting-refused"))
	w.postern("queue", "hold", held)
	w.postern("queue", "cancel", cancelled)
	clinic.Set(partner.Behaviour{})
	w.send("anna@home.test", "others pass", "c@clinic.test")
	w.await("c@clinic.test", in("delivered"))
	w.restart()
	w.await("a@clinic.test", in("held"))
	if a := w.run("", "queue", "retry", held); a.code != 1 || !strings.Contains(a.stderr, "postern queue release") {
		t.Errorf("retrying what is held: exit code %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	w.await("b@clinic.test", in("cancelled"))
	w.postern("queue", "release", held)
	w.await("a@clinic.test", in("delivered"))
	if a := w.run("", "queue", "cancel", held); a.code != 1 {
		t.Errorf("cancelling what is delivered: exit code %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	if got := clinic.Messages(); len(got) != 2 {
		t.Errorf("the partner got %d messages, want 2", len(got))
	}
	if got := w.home().Messages(); len(got) != 0 {
		t.Errorf("the sender was told of a cancelled message:\n%s", got[0].Data)
	}
}

func TestTheWindowAndTheRulesSurviveRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clinic := w.domain("clinic.test", w.expired("mx.clinic.test"))
	w.start(force("clinic", `"clinic.test"`, `defer = "8s"`))
	w.send("anna@home.test", "the clock runs", "dr@clinic.test")
	before := w.await("dr@clinic.test", waits("cert-expired"))
	for range 3 {
		time.Sleep(time.Second)
		w.restart()
	}
	w.kill()
	w.serve()
	after := w.await("dr@clinic.test", func(trace) bool { return true })
	if !after.ExpiresAt.Equal(before.ExpiresAt) || !after.AcceptedAt.Equal(before.AcceptedAt) {
		t.Errorf("accepted %v until %v; after restarts %v until %v", before.AcceptedAt, before.ExpiresAt, after.AcceptedAt, after.ExpiresAt)
	}
	if list := w.postern("rules", "list"); !strings.Contains(list, "clinic") {
		t.Errorf("after restarts the rules are:\n%s", list)
	}
	w.apply(force("clinic", `"clinic.test"`, `defer = "90s"`)) // an edit does not prolong the window
	end := w.await("dr@clinic.test", in("failed"))
	if end.FinishedAt == nil || end.FinishedAt.Sub(before.AcceptedAt) > 12*time.Second {
		t.Errorf("it failed at %v, accepted at %v", end.FinishedAt, before.AcceptedAt)
	}
	oneReport(t, w.home(), "dr@clinic.test")
	if lines := forbidden(clinic, false); len(lines) > 0 {
		t.Errorf("heard %q", lines)
	}
}

func TestRulesApplyShowsTheDifferenceAndRefusesBrokenFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clinic := w.domain("clinic.test", partner.Behaviour{})
	w.start(force("clinic", `"clinic.test"`))
	before := w.postern("rules", "export")

	broken := w.write("broken.toml", []byte("[[rule]]\nname = \"x\"\nscope = \"sideways\"\ncolour = 1\n"))
	a := w.run("", "rules", "apply", broken)
	if a.code != 1 || !strings.Contains(a.stderr, "broken.toml:3:") || !strings.Contains(a.stderr, "broken.toml:4:") {
		t.Errorf("a broken file: exit code %d\n%s", a.code, a.stderr)
	}
	if after := w.postern("rules", "export"); after != before {
		t.Errorf("a broken file changed the rules to\n%s", after)
	}
	if a := w.run("", "rules", "apply", w.dir+"/missing.toml"); a.code == 0 {
		t.Error("a missing file was applied")
	}

	dry := w.write("next.toml", []byte(force("clinic", `"clinic.test"`, ticked)+force("lab", `"lab.test"`)))
	for _, args := range [][]string{{"--dry-run"}, {}} {
		out := w.postern(append([]string{"rules", "apply", dry}, args...)...)
		for _, part := range []string{"~ clinic", "unspecified_recipients", "weaker", "+ lab"} {
			if !strings.Contains(out, part) {
				t.Errorf("no %q in the difference:\n%s", part, out)
			}
		}
	}
	if shown := w.postern("rules", "show"); !strings.Contains(shown, "Revision") {
		t.Errorf("rules show:\n%s", shown)
	}
	explained := w.postern("rules", "explain", "--from", "anna@home.test", "--to", "dr@clinic.test,bob@shop.test")
	for _, part := range []string{"dr@clinic.test requires authenticated", "bob@shop.test requires plaintext", "rule clinic (enforce) matches", "rule lab (enforce) does not match"} {
		if !strings.Contains(explained, part) {
			t.Errorf("no %q in the explanation:\n%s", part, explained)
		}
	}
	if n := len(clinic.Commands()); n != 0 {
		t.Errorf("explaining sent %d commands", n)
	}
	for line := range strings.Lines(w.postern("rules", "explain", "--json", "--from", "<>", "--to", "dr@clinic.test")) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("rules explain --json: %s", line)
		}
	}
}
