// Command prisoner confines itself to a folder and tells what it can still do. Its arguments are the folder, a folder
// outside, and the address of a TCP listener.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"postern/internal/platform/sandbox"
)

func main() {
	inside, outside, address := os.Args[1], os.Args[2], os.Args[3]
	tell("no dumps", sandbox.NoDumps())
	early, err := os.Create(filepath.Join(outside, "early"))
	tell("open a file early", err)
	if os.Getuid() != 0 {
		tell("no capabilities", sandbox.NoCapabilities())
	}
	version, err := sandbox.WriteOnly(inside)
	if errors.Is(err, sandbox.ErrUnsupported) {
		fmt.Println("unsupported", err)
		return
	}
	tell("confine", err)
	fmt.Fprintln(os.Stderr, "landlock", version)

	write := func(dir string) error { return os.WriteFile(filepath.Join(dir, "new"), []byte("x"), 0o600) }
	tell("write inside", write(inside))
	tell("write outside", write(outside))
	var group sync.WaitGroup
	var mu sync.Mutex
	denied := 0
	for range 20 { // on other threads too
		group.Go(func() {
			runtime.LockOSThread()
			if err := write(outside); errors.Is(err, fs.ErrPermission) {
				mu.Lock()
				denied++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	fmt.Println("denied on threads:", denied)
	_, err = early.WriteString("late")
	tell("write to an open file", err)
	_, err = os.ReadFile(filepath.Join(outside, "there"))
	tell("read outside", err)
	tell("truncate outside", os.Truncate(filepath.Join(outside, "there"), 0))
	tell("remove outside", os.Remove(filepath.Join(outside, "there")))
	tell("link outside", os.Symlink("x", filepath.Join(outside, "link")))
	tell("make a folder inside", os.Mkdir(filepath.Join(inside, "sub"), 0o700))
	tell("move inside", os.Rename(filepath.Join(inside, "new"), filepath.Join(inside, "sub", "moved")))
	tell("remove inside", os.Remove(filepath.Join(inside, "sub", "moved")))
	tell("execute", exec.Command("/bin/true").Run())
	_, err = net.Listen("unix", filepath.Join(inside, "sock"))
	tell("listen inside", err)
	_, err = net.Dial("tcp", address)
	tell("connect", err)
	_, err = net.LookupHost("localhost")
	tell("look up", err)
}

func tell(what string, err error) {
	switch {
	case err == nil:
		fmt.Println(what+":", "yes")
	case errors.Is(err, fs.ErrPermission):
		fmt.Println(what+":", "denied")
	default:
		fmt.Println(what+":", err)
	}
}
