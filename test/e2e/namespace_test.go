package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"postern/test/harness"
	"postern/test/peers"
)

// inside is set in the environment of a test that runs in a network of its own.
const inside = "POSTERN_TEST_INSIDE"

// aloneOnItsNetwork runs the calling test once more as a process in a network namespace of its own, where it has all
// ports, and files bound over others are seen by nobody else. In there it returns true, outside false: then the test is
// over.
func aloneOnItsNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		// Low ports are for all there: Exim binds after it has become another user.
		err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0o600)
		if err := errors.Join(err, loopbackUp(), keepMounts()); err != nil {
			t.Fatal(err)
		}
		return true
	}
	peers.NeedRoot(t)
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1", harness.BinaryVariable+"="+harness.Binary())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("inside: %v\n%s", err, out)
	}
	return false
}

// loopbackUp starts the only interface of a new network.
func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo)
}

// keepMounts sees that what is mounted from now on is seen by nobody else. The root of a chroot is no mount, so there
// it must be so already.
func keepMounts() error {
	err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil && bytes.Contains(mounts, []byte(" shared:")) {
		err = errors.New("others would see what is mounted here")
	}
	return err
}

// bind puts a file with a content in the place of one of the machine's, for the calling process's namespace only.
func bind(t *testing.T, path, content string) {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprint(file, content); err != nil {
		t.Fatal(err)
	}
	if err := file.Chmod(0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(file.Name(), path, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("binding %s: %v", path, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) }) // it goes with the namespace anyway
}
