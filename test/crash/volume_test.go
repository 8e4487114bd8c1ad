package crash

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"postern/test/harness"
)

// volume is a file system of its own in an image file.
type volume struct {
	t     *testing.T
	kind  string // "ext4" or "xfs"
	image string
	at    string // where it is mounted, when it is
}

// newVolume makes a file system of a size in bytes, in an image file that takes space only as it is filled.
func newVolume(t *testing.T, kind, image string, size int64) *volume {
	t.Helper()
	if os.Getuid() != 0 {
		unavailable(t, "mounting needs root")
	}
	mkfs, err := exec.LookPath("mkfs." + kind)
	if err != nil {
		unavailable(t, "there is no mkfs."+kind+"; run test/prepare.sh crash")
	}
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	errSize, errClose := f.Truncate(size), f.Close()
	if errSize != nil || errClose != nil {
		t.Fatal(errSize, errClose)
	}
	if out, err := exec.Command(mkfs, image).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", mkfs, err, out)
	}
	return &volume{t: t, kind: kind, image: image}
}

// mount mounts it until the end of the test.
func (v *volume) mount(at string) {
	v.t.Helper()
	if err := os.MkdirAll(at, 0o700); err != nil {
		v.t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", v.kind, "-o", "loop", v.image, at).CombinedOutput(); err != nil {
		if v.at == "" {
			v.t.Skipf("this kernel does not mount %s from a file: %v %s", v.kind, err, out)
		}
		v.t.Fatalf("%s is not to be mounted again: %v\n%s", v.kind, err, out)
	}
	v.at = at
	v.t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) }) // as a rule it is not mounted any more
}

func (v *volume) unmount() {
	v.t.Helper()
	var err error
	for range 100 {
		if err = syscall.Unmount(v.at, 0); err == nil {
			return
		}
		harness.Eventually(v.t, harness.Patience, "the volume is not busy", func() bool { return !heldBelow(v.at) })
	}
	v.t.Fatal(err)
}

// heldBelow reports whether a process has a file open below a folder.
func heldBelow(dir string) bool {
	return anyOpen(func(path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
}

// cut is the power cut: nothing reaches the disk any more, nor does the file system's own log. It is what `xfs_io -x -c
// shutdown` asks the kernel for, made here without starting a program, so that it follows the 250 at once.
func (v *volume) cut() {
	v.t.Helper()
	const goingDown, noLogFlush = 0x8004587d, 2 // XFS_IOC_GOINGDOWN, which ext4 obeys too
	dir, err := os.Open(v.at)
	if err != nil {
		v.t.Fatal(err)
	}
	defer dir.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), goingDown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		v.t.Skipf("this kernel does not shut %s down: %v", v.kind, errno)
	}
}

// copy makes a copy of the image as it is at one instant, which needs an image on a file system that shares blocks.
func (v *volume) copy(to string) *volume {
	v.t.Helper()
	from, err := os.Open(v.image)
	if err != nil {
		v.t.Fatal(err)
	}
	defer from.Close()
	f, err := os.Create(to)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	const clone = 0x40049409 // FICLONE
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), clone, from.Fd()); errno != 0 {
		v.t.Skipf("this kernel does not copy an image at one instant: %v", errno)
	}
	return &volume{t: v.t, kind: v.kind, image: to}
}
