//go:build unix

package main

import (
	"io"
	"math"
	"os"
	"syscall"
)

// openFiles is how many files this process may have open.
func openFiles() (n int, known bool) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, false
	}
	return int(min(files.Cur, math.MaxInt32)), true
}

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
