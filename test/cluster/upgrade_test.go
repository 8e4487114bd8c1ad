package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/test/harness"
)

// earlier is the commit that an upgrade begins with: a release that knows the oldest form of the tables with which a
// gateway may go on beside this one (Needs of the newest in pgstore). Where that form changes, so does this.
const earlier = "a0c4256741ea"

// built builds the gateway of a commit. Where the clone has no history the test skips.
func built(t *testing.T, commit string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	run := func(dir string, name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(root, "git", "cat-file", "-e", commit+"^{commit}"); err != nil {
		t.Skipf("NOT RUN: this clone has no commit %s; git fetch --unshallow: %s", commit, out)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "source")
	for _, step := range [][]string{
		{dir, "git", "-C", root, "archive", "--output", filepath.Join(dir, "source.tar"), commit},
		{dir, "mkdir", source},
		{dir, "tar", "-xf", "source.tar", "-C", source},
		{source, "go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "postern"), "./cmd/postern"},
	} {
		if out, err := run(step[0], step[1], step[2:]...); err != nil {
			t.Fatalf("%v: %v\n%s", step, err, out)
		}
	}
	return filepath.Join(dir, "postern")
}

// TestOneGatewayIsUpgradedAfterTheOther: mail comes in all the time at a gateway of an earlier release and one of this,
// on a database that the earlier has made; then this takes the place of the earlier. When the tables are of a form that
// is too new for it, a gateway that runs stops, and one that is started says why it does not.
func TestOneGatewayIsUpgradedAfterTheOther(t *testing.T) {
	t.Parallel()
	old := built(t, earlier)
	c := of(t, 2)
	rules := town(c)
	for _, w := range c.gw {
		w.Program = old
	}
	c.start(rules)
	l := startLoad(c, 100*time.Millisecond)
	l.works(t)
	for _, w := range []*harness.World{c.gw[1], c.gw[0]} {
		w.Stop()
		w.Program = ""
		w.Serve()
		for range 4 {
			l.works(t)
		}
		w.Apply(rules + harness.Force("more", `"`+strings.Trim(w.Settings["cluster.node"], `"`)+`.test"`))
		l.works(t)
	}
	l.stop()
	l.tell(t, c, 20)

	c.script("INSERT INTO postern.form (form, needs) VALUES (99, 99)")
	for _, w := range c.gw {
		select {
		case <-w.Process.Ended:
		case <-time.After(harness.Patience):
			t.Fatal("a gateway goes on that is too old for the tables")
		}
	}
	c.gw[0].Program = old
	for _, w := range c.gw {
		if w.Serves() {
			t.Error("a gateway started that is too old for the tables")
		}
		if n := strings.Count(w.Log(), "needs a release that knows form 99"); n < 2 {
			t.Errorf("it is said %d times why they stop", n)
		}
	}
	c.script("DELETE FROM postern.form WHERE form = 99")
}
