//go:build unix

package spool

import (
	"errors"
	"os"
	"syscall"
)

// noFollow opens no symbolic link.
const noFollow = syscall.O_NOFOLLOW

// tryLock locks a file or a folder for its handle; held says that another has it.
func tryLock(f *os.File) (held bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return errors.Is(err, syscall.EWOULDBLOCK), err
}

// space is what an ordinary user may still write below path, and what there is.
func space(path string) (free, total uint64, err error) {
	var st syscall.Statfs_t
	err = syscall.Statfs(path, &st)
	return uint64(st.Bavail) * uint64(st.Bsize), uint64(st.Blocks) * uint64(st.Bsize), err
}

// IsFull reports whether a write failed for want of room.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
