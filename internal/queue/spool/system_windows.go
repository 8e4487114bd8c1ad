package spool

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// noFollow: the flag is not known here. Making links needs a right that few have.
const noFollow = 0

// tryLock locks a file for its handle; held says that another has it. Folders cannot be locked here: their file is.
func tryLock(f *os.File) (held bool, err error) {
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return false, err
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION), err
}

// space is what this user may still write below path, and what there is.
func space(path string) (free, total uint64, err error) {
	name, err := windows.UTF16PtrFromString(path)
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(name, &free, &total, nil)
	}
	return free, total, err
}

// IsFull reports whether a write failed for want of room.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_NOT_ENOUGH_QUOTA)
}
