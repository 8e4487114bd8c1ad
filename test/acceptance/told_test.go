package acceptance

import (
	"encoding/json"
	"strings"
	"sync"
	"syscall"
	"testing"

	"postern/test/harness"
)

// entry is a line of the audit trail.
type entry struct {
	By, Action, Target, Before, After string
	Count                             int
}

// trail is the audit trail of one action, newest first.
func trail(w *world, action string) (out []entry) {
	w.T.Helper()
	for line := range strings.Lines(w.Postern("audit", "--json", "--limit", "500")) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.T.Fatal(err)
		}
		if e.Action == action {
			out = append(out, e)
		}
	}
	return out
}

// TestTheAuditTrailTells: failed proofs and password changes, a reload and what came of it, sign-out, downloads of
// evidence and rules by page, API and command line, the names of new rules; a burst of refused guesses is one line,
// over a restart too.
func TestTheAuditTrailTells(t *testing.T) {
	t.Parallel()
	w, anna := consoleWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	w.Apply(harness.Force("clinic", `"clinic.test"`))
	id := w.Send("anna@home.test", "evidence", "dr@clinic.test")
	w.Await("dr@clinic.test", harness.In("delivered"))
	one := func(action, by, target, after string) {
		t.Helper()
		list := trail(w, action)
		if len(list) == 0 || !strings.HasPrefix(list[0].By, by) || !strings.Contains(list[0].Target, target) || !strings.Contains(list[0].After, after) {
			t.Errorf("%s: %+v, want %s, %s, %s", action, list, by, target, after)
		}
	}
	anna.posts("/prove", "password", "wrong wrong wrong")
	one("proof refused", "anna (not proven)", "127.", "")
	anna.posts("/profile/password", "old", "wrong wrong wrong", "next", "another sentence of 5", "again", "another sentence of 5")
	one("accounts password refused", "anna (not proven)", "127.", "")

	key := anna.makesToken("trace:read", "rules:read")
	for path, action := range map[string]string{"/trace/" + id + "/evidence": "evidence", "/trace/" + id + "/evidence.json": "evidence", "/rules/export": "rules export"} {
		before := len(trail(w, action))
		if code, _, text := anna.gets(path); code != 200 || text == "" {
			t.Errorf("%s: %d", path, code)
		}
		if now := len(trail(w, action)); now != before+1 {
			t.Errorf("%s left %d lines", path, now-before)
		}
	}
	if code := anna.asks("Bearer", key, "/messages/"+id+"/evidence"); code != 200 {
		t.Errorf("evidence by a token: %d", code)
	}
	one("evidence", "anna (token program)", id, "")
	if code := anna.asks("Bearer", key, "/rules"); code != 200 {
		t.Errorf("rules by a token: %d", code)
	}
	one("rules read", "anna (token program)", "revision 1", "")
	w.Postern("rules", "export")
	one("rules export", "", "revision 1", "")
	if by := trail(w, "rules export")[0].By; !strings.Contains(by, "uid ") {
		t.Errorf("the export at the socket is by %q", by)
	}
	anna.posts("/rules/edit", "rule", "", "revision", "1", "do", "save", "name", "harbour", "action", "force-tls", "scope", "outbound", "mode", "enforce", "match.recipient", "harbour.test")
	one("rules apply", "anna", "rule harbour", "+ harbour: ")

	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, harness.Patience, "the reload is told", func() bool { return len(trail(w, "reload configuration")) == 1 })
	one("reload configuration", "SIGHUP", "postern.toml", "in force")
	w.Write("postern.toml", []byte(w.Config()+"\nnonsense\n"))
	anna.posts("/gateway/reload")
	w.Configure() // the verb reads it too
	one("reload configuration failed", "anna", "postern.toml", "stays")

	stranger := anna.at("127.0.0.3")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { stranger.tries("anna", "wrong wrong wrong") })
	}
	all.Wait()
	told := func() (lines, count int) {
		for _, e := range trail(w, "sign-in refused") {
			lines++
			count += e.Count
		}
		return lines, count
	}
	// On a slow machine they last longer than a burst may.
	if lines, count := told(); count != 50 || lines > 2 {
		t.Errorf("50 refused guesses are told in %d lines that count %d", lines, count)
	}
	anna.posts("/sign-out")
	one("sign-out", "anna", "127.", "")
	w.Restart()
	if lines, count := told(); count != 50 || lines > 2 {
		t.Errorf("after a restart 50 refused guesses are told in %d lines that count %d", lines, count)
	}
}
