package endurance

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user to become, and whether root runs this test.
func nobody(t *testing.T) *user.User {
	t.Helper()
	u, err := user.Lookup("nobody")
	if os.Getuid() != 0 || err != nil {
		t.Skip("leaving root needs root, and a user nobody")
	}
	return u
}

// give makes the gateway's folder readable by a user, and data his own.
func (g *gateway) give(u *user.User) {
	g.t.Helper()
	for d := g.dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			g.t.Fatal(err)
		}
	}
	if err := os.Mkdir(g.path("data"), 0o700); err != nil {
		g.t.Fatal(err)
	}
	chown(g.t, u, g.path("data"), g.path("gw.key"), g.path("gw.pem"), g.path("ca.pem"))
}

func chown(t *testing.T, u *user.User, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if out, err := exec.Command("chown", "-R", u.Username, p).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// Started by root the gateway becomes the owner of its data folder, whatever port it has, and keeps nothing of root.
func TestRootIsLeftOnceThePortIsOpen(t *testing.T) {
	t.Parallel()
	u := nobody(t)
	s := newSink(t)
	g := newGateway(t, s.addr())
	g.addr = newIP() + ":25" // below 1024: nobody else may open it
	g.give(u)
	g.start()
	for name, want := range map[string]string{
		"Uid": strings.Repeat("\t"+u.Uid, 4), "Gid": strings.Repeat("\t"+u.Gid, 4), "NoNewPrivs": "1",
		"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
	} {
		if got := g.status(name); got != strings.TrimSpace(want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if strings.Contains(" "+g.status("Groups")+" ", " 0 ") {
		t.Errorf("root's group is kept: %q", g.status("Groups"))
	}
	if err := g.send("one.", strings.Repeat("x", 200_000), "bob@shop.test"); err != nil {
		t.Error(err)
	}
	s.arrived(t, []string{"one."}, patience, 0)
	log := g.log()
	if strings.Contains(log, "runs as root") || strings.Contains(log, "keeps a right") {
		t.Errorf("the log complains:\n%s", log)
	}
}

func TestTheUserOfTheConfigurationIsTaken(t *testing.T) {
	t.Parallel()
	u := nobody(t)
	g := newGateway(t, newSink(t).addr())
	g.settings["process.user"] = fmt.Sprintf("%q", u.Username)
	g.give(u)
	if err := os.Remove(g.path("data")); err != nil { // it is made for him
		t.Fatal(err)
	}
	g.settings["data"] = `"` + filepath.Join(g.dir, "new", "data") + `"`
	g.configure()
	g.launch()
	t.Cleanup(func() { g.stop() })
	eventually(t, patience, "the gateway runs as the user", func() bool {
		if !g.running() {
			t.Fatalf("the gateway ended:\n%s", g.log())
		}
		return strings.HasPrefix(g.status("Uid"), u.Uid)
	})
	// As that user nobody else can be become, and a folder of somebody else is not taken.
	other := newGateway(t, "")
	other.settings["process.user"] = `"nobody"`
	if err := os.Mkdir(other.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	other.configure()
	other.launch()
	if code := other.exit(); code != 3 || !strings.Contains(other.log(), "belongs to user root, not to nobody") || !strings.Contains(other.log(), "chown -R nobody") {
		t.Errorf("exit code %d:\n%s", code, other.log())
	}
	other.settings["process.user"] = `"no-such-user"`
	other.configure()
	other.launch()
	if code := other.exit(); code != 78 || !strings.Contains(other.log(), "no-such-user") {
		t.Errorf("exit code %d:\n%s", code, other.log())
	}
}

// What the process gave up shows when somebody moves its spool out of its folder under its feet.
func TestTheSandboxHoldsAndCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	for _, sandbox := range []bool{true, false} {
		s := newSink(t)
		g := newGateway(t, s.addr())
		g.settings["process.sandbox"] = fmt.Sprint(sandbox)
		g.start()
		if sandbox && !strings.Contains(g.log(), "landlock=") {
			g.stop()
			t.Skipf("no Landlock here:\n%s", g.log())
		}
		outside := t.TempDir()
		if err := os.Rename(g.path("data/spool"), g.path("data/was")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, g.path("data/spool")); err != nil {
			t.Fatal(err)
		}
		err := g.send("outside.", strings.Repeat("x", 200_000), "bob@shop.test")
		if sandbox && (err == nil || !strings.Contains(err.Error(), "451 4.3.0")) || !sandbox && err != nil {
			t.Errorf("sandbox is %v: %v", sandbox, err)
		}
		if names, _ := os.ReadDir(outside); sandbox && len(names) > 0 {
			t.Errorf("%d files were written outside", len(names))
		}
		if err := g.send("small.", "x", "bob@shop.test"); err != nil {
			t.Error(err)
		}
		g.stop()
	}
}

// A spool on another disk, by a link that was there at the start, is written to.
func TestALinkInTheDataFolderIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	if err := os.Mkdir(g.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), g.path("data/spool")); err != nil {
		t.Fatal(err)
	}
	g.start()
	if err := g.send("large.", strings.Repeat("x", 200_000), "bob@shop.test"); err != nil {
		t.Error(err)
	}
	s.arrived(t, []string{"large."}, patience, 0)
}

// Everything that is read while the gateway runs is still read in the sandbox: renewed certificates, roots, the
// configuration.
func TestInTheSandboxFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	elsewhere := t.TempDir()
	g.start()
	g.more = append(g.more, fmt.Sprintf("[[domain]]\nname = \"branch.test\"\ndeliver_to = [%q]\ntrust = %q\n", s.addr(), filepath.Join(elsewhere, "ca.pem")))
	if err := os.WriteFile(filepath.Join(elsewhere, "ca.pem"), g.ca.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	g.configure()
	g.signal(syscall.SIGHUP)
	eventually(t, patience, "the configuration is read again", func() bool { return strings.Contains(g.log(), "reload configuration") })
	if err := g.send("branch.", "x", "bob@branch.test"); err != nil {
		t.Error(err)
	}
	s.arrived(t, []string{"branch."}, patience, 0)
	if strings.Contains(g.log(), "permission denied") {
		t.Errorf("something could not be read:\n%s", g.log())
	}
}

// Keys and mail are in the memory of the process: no core, and no debugger of the same user.
func TestMemoryIsNotDumped(t *testing.T) {
	t.Parallel()
	u := nobody(t)
	g := newGateway(t, newSink(t).addr())
	g.give(u)
	g.start()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && (f[4] != "0" || f[5] != "0") {
			t.Errorf("cores may be written: %s", line)
		}
	}
	// The kernel gives the files of a process that must not be dumped to root.
	info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("its memory belongs to user %d, who can read it", owner)
	}
	read := exec.Command("head", "-c", "1", fmt.Sprintf("/proc/%d/environ", g.cmd.Process.Pid))
	read.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := read.CombinedOutput(); err == nil {
		t.Errorf("the same user reads it: %q", out)
	}
}

// A key that others can read is refused at the start, for both kinds of certificate, and `config check` says the same.
func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]string{
		"gw.key":     "",
		"client.key": `"client.pem"`,
	} {
		g := newGateway(t, "")
		if setting != "" {
			for from, to := range map[string]string{"gw.pem": "client.pem", "gw.key": "client.key"} {
				text, err := os.ReadFile(g.path(from))
				if err != nil {
					t.Fatal(err)
				}
				g.write(to, text)
			}
			g.settings["delivery.client_certificate"], g.settings["delivery.client_key"] = setting, `"client.key"`
		}
		g.configure()
		for _, mode := range []os.FileMode{0o644, 0o602} {
			if err := os.Chmod(g.path(name), mode); err != nil {
				t.Fatal(err)
			}
			if out, code := g.postern("config", "check"); code != 1 || !strings.Contains(out, "everyone on this machine") {
				t.Errorf("config check with %s %o: exit code %d: %s", name, mode, code, out)
			}
			g.launch()
			if code := g.exit(); code != 78 || !strings.Contains(g.log(), "chmod o= "+g.path(name)) {
				t.Errorf("serve with %s %o: exit code %d:\n%s", name, mode, code, g.log())
			}
		}
	}
}

// Whatever is wrong, a secret is in no output: not in the log, not in what operators are shown.
func TestSecretsAreInNoOutput(t *testing.T) {
	t.Parallel()
	g := newGateway(t, newSink(t).addr())
	hash := "$argon2id$v=19$m=19456,t=2,p=1$c2VjcmV0c2FsdHNlY3JldA$dGhpcyBpcyBhIHNlY3JldCBoYXNoIG9mIDMyIGJ5dGVz"
	g.settings["log.level"] = `"debug"`
	g.more = append(g.more, "[[user]]\nname = \"mail\"\npassword_hash = '"+hash+"'\n")
	g.start()
	show, _ := g.postern("config", "show")
	asJSON, _ := g.postern("config", "show", "--json")
	c, err := dial(g.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Without TLS AUTH is refused; the client has said its password all the same.
	if err := c.say("EHLO far.test 250", "AUTH PLAIN AG1haWwAaHVudGVyMg== 5"); err != nil {
		t.Error(err)
	}
	g.write("gw.key", []byte("-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"))
	check, _ := g.postern("config", "check")
	g.signal(syscall.SIGQUIT) // a dump of the stacks
	<-g.ended
	for name, text := range map[string]string{"config show": show, "config show --json": asJSON, "config check": check, "the log": g.log()} {
		for _, secret := range []string{hash, "c2VjcmV0c2FsdHNlY3JldA", "dGhpcyBpcyBh", "aHVudGVyMg", "AG1haWwAaHVudGVyMg", "hunter2"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s:\n%s", secret, name, text)
			}
		}
	}
	if !strings.Contains(show, "(not shown)") {
		t.Errorf("config show hides nothing:\n%s", show)
	}
}
