package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/test/harness"
)

// TestADataFolderOfAnEarlierReleaseGoesOn starts the gateway on a folder that a release of form 5 left when it was
// killed: protected mail that waits, protected mail that was just accepted, ordinary mail that waits, mail that is
// held, and rules. All of it goes on under the protection it had.
func TestADataFolderOfAnEarlierReleaseGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clinic, bank := w.Domain("clinic.test", w.Good("mx.clinic.test")), w.Domain("bank.test", w.Good("mx.bank.test"))
	data := filepath.Join(w.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xzf", "testdata/form5.tar.gz", "-C", data, "--no-same-owner").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.Configure()
	w.Serve()
	for _, to := range []string{"dr@clinic.test", "nurse@clinic.test"} {
		w.Await(to, harness.In("delivered")).Want(t, map[string]string{"rule": "clinic", "requires": "authenticated", "reached": "authenticated"})
	}
	w.Await("y@bank.test", harness.In("delivered"))
	held := w.Await("z@bank.test", harness.In("held"))
	if rules := w.Postern("rules", "list"); !strings.Contains(rules, "clinic") {
		t.Errorf("the rules are\n%s", rules)
	}
	w.Postern("queue", "release", held.Message)
	w.Await("z@bank.test", harness.In("delivered"))
	if lines := harness.Forbidden(clinic, true); len(lines) > 0 {
		t.Errorf("the clinic heard without TLS %q", lines)
	}
	for text, n := range map[string]int{"ordinary": len(harness.Bodies(bank, "ordinary")), "held": len(harness.Bodies(bank, "held")),
		"protected": len(harness.Bodies(clinic, "protected")), "last": len(harness.Bodies(clinic, "last"))} {
		if n != 1 {
			t.Errorf("%q came %d times", text, n)
		}
	}
	w.Restart()
	if n := len(clinic.Messages()) + len(bank.Messages()); n != 4 {
		t.Errorf("%d messages, want 4", n)
	}
}
