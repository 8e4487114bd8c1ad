package wal

import (
	"os"
	"syscall"
)

// syncData is fdatasync, which keeps data and size as durable as fsync and spares the time stamps.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
