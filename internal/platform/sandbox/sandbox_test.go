package sandbox_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postern/internal/platform/sandbox"
)

// prisoner builds testdata/prisoner without cgo, as the gateway is built.
func prisoner(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(open(t), "prisoner")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./testdata/prisoner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// open is a folder that another user can enter.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAPrisonerReadsEverythingAndWritesAtHome(t *testing.T) {
	binary := prisoner(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want := strings.Split(`no dumps: yes
open a file early: yes
confine: yes
write inside: yes
write outside: denied
denied on threads: 20
write to an open file: yes
read outside: yes
truncate outside: denied
remove outside: denied
link outside: denied
make a folder inside: yes
move inside: yes
remove inside: yes
execute: denied
listen inside: yes
connect: yes
look up: yes
`, "\n")
	for name, uid := range map[string]uint32{"root": 0, "an ordinary user": 65534} {
		if os.Getuid() != 0 && uid == 0 || os.Getuid() == 0 && testing.Short() {
			continue
		}
		inside, outside := open(t), open(t)
		if err := os.WriteFile(filepath.Join(outside, "there"), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, inside, outside, l.Addr().String())
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s%s", name, err, out, stderr.Bytes())
		}
		if strings.Contains(string(out), "unsupported") {
			t.Skipf("%s", out)
		}
		var off strings.Builder
		for i, line := range strings.Split(strings.Replace(string(out), "no capabilities: yes\n", "", 1), "\n") {
			if i >= len(want) || line != want[i] {
				off.WriteString(line + "\n")
			}
		}
		if off.Len() > 0 {
			t.Errorf("%s (%s): not as wanted:\n%s", name, strings.TrimSpace(stderr.String()), off.String())
		}
	}
}

func TestUsersAreFound(t *testing.T) {
	dir := t.TempDir()
	id, err := sandbox.Owner(dir)
	if err != nil || id.UID != os.Getuid() {
		t.Errorf("the owner of a folder of ours is %+v, %v", id, err)
	}
	same, err := sandbox.Lookup(id.Name)
	if err != nil || same.UID != id.UID || same.GID != id.GID {
		t.Errorf("by name: %+v, %v", same, err)
	}
	if _, err := sandbox.Lookup("no-such-user-here"); err == nil {
		t.Error("a user who does not exist was found")
	}
	if err := id.Own(filepath.Join(dir, "new", "data")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "new", "data")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder made is %v, %v", info, err)
	}
	stranger := id
	stranger.UID, stranger.Name = id.UID+1, "stranger"
	if err := stranger.Own(dir); err == nil || !strings.Contains(err.Error(), "not to stranger") {
		t.Errorf("a folder of somebody else: %v", err)
	}
	if _, err := sandbox.Owner(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("the owner of nothing: %v", err)
	}
}
