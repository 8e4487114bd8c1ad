package acceptance

import (
	"syscall"
	"unsafe"
)

// prlimit limits the file descriptors of a running process.
func prlimit(pid int, limit *syscall.Rlimit) error {
	_, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(limit)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
