package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"postern/test/harness"
)

// installed is a root folder with the package's scripts: what dpkg would have them work on.
type installed struct {
	t    *testing.T
	root string
}

func install(t *testing.T) *installed {
	t.Helper()
	p := &installed{t, t.TempDir()}
	for _, dir := range []string{"etc/postern", "usr/bin", "stubs"} {
		p.make(dir)
	}
	if err := os.Symlink(harness.Binary(), p.path("usr/bin/postern")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"getent", "chgrp"} { // the user postern is not of this machine
		p.write("stubs/"+name, "#!/bin/sh\necho \"$0 $*\"\n")
	}
	p.write("stubs/install", "#!/bin/sh\necho \"$0 $*\"\nfor last; do :; done\nmkdir -p \"$last\"\n")
	return p
}

func (p *installed) path(name string) string { return filepath.Join(p.root, name) }

func (p *installed) make(dir string) {
	p.t.Helper()
	if err := os.MkdirAll(p.path(dir), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

func (p *installed) write(name, text string) {
	p.t.Helper()
	p.make(filepath.Dir(name))
	if err := os.WriteFile(p.path(name), []byte(text), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

func (p *installed) has(name string) bool {
	_, err := os.Lstat(p.path(name))
	return err == nil
}

// script runs one as dpkg does.
func (p *installed) script(name string, args ...string) string {
	p.t.Helper()
	cmd := exec.Command("sh", append([]string{"../../packaging/" + name}, args...)...)
	cmd.Env = append(os.Environ(), "DPKG_ROOT="+p.root, "PATH="+p.path("stubs")+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Errorf("%s %s: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestThePackageInstallsWithoutAConfiguration(t *testing.T) {
	t.Parallel()
	p := install(t)
	if out := p.script("postinst", "configure", ""); !strings.Contains(out, "write /etc/postern/postern.toml") || strings.Contains(out, "chgrp") {
		t.Errorf("without a configuration: %s", out)
	}
	if !p.has("var/lib/postern") {
		t.Error("no data folder")
	}
	p.write("etc/postern/postern.toml", "")
	if out := p.script("postinst", "configure", ""); !strings.Contains(out, "edit /etc/postern/postern.toml") || !strings.Contains(out, "chgrp postern") || strings.Contains(out, "install") {
		t.Errorf("with one: %s", out)
	}
}

// TestAPurgeDeletesWhatThePackageMade, and mail that waits only when somebody says so.
func TestAPurgeDeletesWhatThePackageMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["relay.networks"] = `["127.0.0.1/32"]`
	w.Start("")
	w.Send("anna@home.test", "delivered", "anna@home.test")
	w.Await("anna@home.test", harness.In("delivered"))
	w.Stop()
	fresh := func(waits bool) *installed {
		p := install(t)
		p.make("var/lib")
		if out, err := exec.Command("cp", "-a", filepath.Join(w.Dir, "data"), p.path("var/lib/postern")).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		p.write("etc/postern/postern.toml", "hostname = \"gw.test\"\ndata = \""+p.path("var/lib/postern")+"\"\n")
		p.write("etc/postern/mine.key", "a key of the administrator")
		p.write("var/lib/postern/notes.txt", "of the administrator")
		out := p.script("prerm", "remove")
		if p.has("var/lib/postern/nothing-waits") == waits || !strings.Contains(out, "wait") {
			t.Errorf("mail waits: %v; prerm said: %s", waits, out)
		}
		p.script("postrm", "remove")
		if !p.has("var/lib/postern/queue.db") || !p.has("etc/postern/postern.toml") {
			t.Error("removing deleted something")
		}
		return p
	}

	p := fresh(false)
	out := p.script("postrm", "purge")
	if p.has("var/lib/postern/queue.db") || p.has("var/lib/postern/journal") || p.has("etc/postern/postern.toml") {
		t.Error("the queue is still there")
	}
	if !p.has("etc/postern/mine.key") || !p.has("var/lib/postern/notes.txt") || !strings.Contains(out, "holds other files") {
		t.Errorf("what is the administrator's is gone: %s", out)
	}

	w.Serve()
	w.Domain("late.test", w.Answers("mx.late.test", "RCPT", "451 4.3.0 later"))
	w.Send("anna@home.test", "waits", "bob@late.test")
	w.Stop()
	if a := w.Run("", "store", "waiting"); a.Code != 1 || !strings.Contains(a.Stderr, "1 delivery waiting") {
		t.Errorf("store waiting: code %d\n%s%s", a.Code, a.Stdout, a.Stderr)
	}
	p = fresh(true)
	if out = p.script("postrm", "purge"); !p.has("var/lib/postern/queue.db") || !strings.Contains(out, "so it stays") {
		t.Errorf("waiting mail was deleted without a question: %s", out)
	}
	t.Run("said", func(t *testing.T) {
		cmd := exec.Command("sh", "../../packaging/postrm", "purge")
		cmd.Env = append(os.Environ(), "DPKG_ROOT="+p.root, "POSTERN_PURGE_MAIL=yes")
		if out, err := cmd.CombinedOutput(); err != nil || p.has("var/lib/postern/queue.db") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// TestLinesForTheJournalHaveTheirPriority, and lines for anything else have none.
func TestLinesForTheJournalHaveTheirPriority(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		w := newWorld(t)
		w.Settings["log.format"] = `"` + format + `"`
		w.Settings["tls.certificates"] = "[]" // which is warned of
		w.Configure()
		run := func(stream func(os.FileInfo) string, until string) string {
			r, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			info, err := out.Stat()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(harness.Binary(), "serve", "--config", w.ConfigFile())
			cmd.Stderr, cmd.Env = out, append(os.Environ(), "JOURNAL_STREAM="+stream(info))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			out.Close()
			var got bytes.Buffer
			piece := make([]byte, 4096)
			for stopped := false; ; {
				n, err := r.Read(piece)
				got.Write(piece[:n])
				if err != nil {
					break
				}
				if !stopped && strings.Contains(got.String(), until) {
					stopped = true
					_ = cmd.Process.Signal(syscall.SIGTERM)
				}
			}
			_ = cmd.Wait() // what it said counts
			return got.String()
		}
		ours := func(info os.FileInfo) string {
			st := info.Sys().(*syscall.Stat_t)
			return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
		}
		log := run(ours, "listening")
		for line := range strings.Lines(log) {
			want := "<6>"
			if strings.Contains(line, "WARN") {
				want = "<4>"
			}
			if !strings.HasPrefix(line, want) {
				t.Errorf("%s: %s", format, line)
			}
		}
		if !strings.Contains(log, "<4>") || !strings.Contains(log, "<6>") {
			t.Errorf("%s: %s", format, log)
		}
		if log := run(func(os.FileInfo) string { return "1:2" }, "listening"); strings.Contains(log, "<4>") || !strings.Contains(log, "WARN") {
			t.Errorf("%s, another stream: %s", format, log)
		}
		w.Settings["hostname"] = `"192.0.2.1"`
		w.Configure()
		if log := run(ours, "hint"); !regexp.MustCompile(`\A(<3>.*\n)+\z`).MatchString(log) {
			t.Errorf("%s, a configuration that cannot be used: %s", format, log)
		}
	}
}
