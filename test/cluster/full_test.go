package cluster

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// small mounts a file system of some MiB for the database. Without root the test skips, and fails with CI set.
func small(c *cluster, path string, mib int) {
	c.t.Helper()
	err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", mib))
	if err != nil && os.Getenv("CI") == "" {
		c.t.Skipf("cannot mount a small file system: %v", err)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) }) // nobody looks at it any more
	if err := c.db.Give(path); err != nil {
		c.t.Fatal(err)
	}
}

// fill takes what room there is in a folder, and what becomes free, until empty is called.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		block := make([]byte, 64<<10)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if n, err := f.Write(block); err != nil && n == 0 {
				if _, err := f.Write(block[:4<<10]); err != nil {
					time.Sleep(5 * time.Millisecond)
				}
			}
		}
	}()
	empty = sync.OnceFunc(func() {
		close(stop)
		<-ended
		if err := errors.Join(f.Close(), os.Remove(path)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(empty)
	return empty
}

// ready asks a gateway whether the next message would be taken.
func ready(w *harness.World) (code int, why string) {
	w.T.Helper()
	client := http.Client{Timeout: harness.Patience}
	reply, err := client.Get("http://" + strings.Trim(w.Settings["admin.listen"], `"`) + "/readyz")
	if err != nil {
		w.T.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		w.T.Fatal(err)
	}
	return reply.StatusCode, strings.TrimSpace(string(text))
}

// refuses waits until every gateway refuses mail with a reply, and says so of itself.
func (c *cluster) refuses(reply, why *regexp.Regexp) {
	c.t.Helper()
	var heard, told string
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("the last client heard %q, and /readyz said %q", heard, told)
		}
	})
	for _, w := range c.gw {
		harness.Eventually(c.t, 3*harness.Patience, fmt.Sprintf("mail is answered %v, and not ready: %v", reply, why), func() bool {
			_, heard = hand(w, "meanwhile@aside.test")
			var code int
			code, told = ready(w)
			return reply.MatchString(heard) && code == http.StatusServiceUnavailable && why.MatchString(told)
		})
	}
}

// recovered waits until every gateway is ready and takes mail.
func (c *cluster) recovered() {
	c.t.Helper()
	for _, w := range c.gw {
		harness.Eventually(c.t, 3*harness.Patience, "it is ready again", func() bool {
			code, _ := ready(w)
			return code == http.StatusOK
		})
	}
}

// TestATableThatCannotGrowRefusesMailAndLosesNone: the disk under the tables is full for several leases, and then it is
// not.
func TestATableThatCannotGrowRefusesMailAndLosesNone(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	dir := filepath.Join(filepath.Dir(c.db.Data()), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	small(c, dir, 64)
	c.script("CREATE TABLESPACE small LOCATION '" + dir + "'")
	c.script("ALTER ROLE postern SET default_tablespace = small")
	rules := town(c)
	open := c.gw[0].Hosts["mx.open.test"]
	open.Set(partner.Behaviour{Replies: map[string]string{"RCPT": "451 4.3.0 later"}})
	c.start(rules)
	l := startLoad(c, 40*time.Millisecond)
	for range 10 {
		l.works(t)
	}
	empty := fill(t, dir)
	open.Set(partner.Behaviour{}) // much is sent now that nobody may be able to note
	c.refuses(regexp.MustCompile(`^452 4\.3\.1`), regexp.MustCompile(`no space left`))
	time.Sleep(10 * time.Second) // some leases long
	c.refuses(regexp.MustCompile(`^452 4\.3\.1`), regexp.MustCompile(`no space left`))
	empty()
	c.recovered()
	l.works(t)
	l.stop()
	l.tell(t, c, 20)
	for _, w := range c.gw {
		if !strings.Contains(w.Log(), "No space left on device") {
			t.Errorf("the administrator is not told the cause")
		}
	}
}

// TestAFullWriteAheadLogLosesNoMail: PostgreSQL ends itself when its log cannot grow, and cannot start before there is
// room. What starts it again is the test; the gateways go on by themselves.
func TestAFullWriteAheadLogLosesNoMail(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	if err := c.db.Kill(); err != nil {
		t.Fatal(err)
	}
	wal := filepath.Join(c.db.Data(), "pg_wal")
	if err := os.Rename(wal, wal+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(wal, 0o700); err != nil {
		t.Fatal(err)
	}
	small(c, wal, 128)
	if out, err := exec.Command("cp", "-a", wal+".aside/.", wal).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := c.db.Restart(); err != nil {
		t.Fatal(err)
	}
	c.script("ALTER SYSTEM SET wal_recycle = off")
	c.script("SELECT pg_reload_conf()")
	rules := town(c)
	c.start(rules)
	l := startLoad(c, 40*time.Millisecond)
	l.works(t)
	empty := fill(t, wal)
	c.refuses(regexp.MustCompile(`^451 4\.3\.`), regexp.MustCompile(`has not reached the store|does not answer`))
	empty()
	harness.Eventually(t, 2*harness.Patience, "PostgreSQL is there again", func() bool {
		return c.answers() || errors.Join(c.db.Kill(), c.db.Restart()) == nil
	})
	c.recovered()
	l.works(t)
	l.stop()
	l.tell(t, c, 40)
	for _, w := range c.gw {
		if !strings.Contains(w.Log(), "look at the database, its log and its disk") {
			t.Errorf("the administrator is not told where to look")
		}
	}
}
