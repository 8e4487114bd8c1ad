//go:build unix

package logging

import (
	"io"
	"os"
	"syscall"
)

// nonblocking is unwaiting for a pipe or a socket.
func nonblocking(f *os.File) (to io.Writer, restore func()) {
	fd := int(f.Fd())
	again, err := syscall.Dup(fd)
	if err != nil {
		return f, func() {}
	}
	syscall.CloseOnExec(again)
	if err := syscall.SetNonblock(fd, true); err != nil {
		return f, func() { _ = syscall.Close(again) }
	}
	return os.NewFile(uintptr(again), f.Name()), func() { _ = syscall.SetNonblock(fd, false) }
}
