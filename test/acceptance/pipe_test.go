package acceptance

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"postern/test/harness"
)

// TestWhatCannotBeWrittenIsSaid has verbs print to a full disk: nobody may take a cut list for a whole one.
func TestWhatCannotBeWrittenIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("shop.test", w.Good("mx.shop.test"))
	w.Start(harness.Force("x", `"clinic.test"`))
	w.Send("anna@home.test", "hello", "bob@shop.test")
	w.Await("bob@shop.test", harness.In("delivered"))
	for _, verb := range []string{"trace", "trace --json", "rules list", "rules export", "rules explain --from a@home.test --to b@clinic.test", "peers list", "queue list --json",
		"audit", "config show", "config example", "explain cert-expired", "version", "trust show", "help", "accounts list --json"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(harness.Binary(), strings.Fields(verb)...)
		cmd.Env = append(os.Environ(), "POSTERN_CONFIG="+w.ConfigFile())
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &stderr
		err = errors.Join(cmd.Run(), full.Close())
		printed := w.Run("", strings.Fields(verb)...)
		if printed.Stdout == "" && printed.Code == 0 && err == nil {
			continue // there is nothing to print
		}
		if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s: exit code %d, want 3: %s", verb, code, stderr.String())
		}
	}
}
