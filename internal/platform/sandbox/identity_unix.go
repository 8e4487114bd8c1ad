//go:build unix

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ownerOf reads the numbers of a file's owner and group.
func ownerOf(info fs.FileInfo) (uid, gid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}

// Become changes the whole process from root to the user, for good.
func (id Identity) Become() error {
	if err := syscall.Setgroups(id.Groups); err != nil {
		return fmt.Errorf("cannot take the groups of user %s: %w", id.Name, err)
	}
	if err := syscall.Setgid(id.GID); err != nil {
		return fmt.Errorf("cannot take the group of user %s: %w", id.Name, err)
	}
	if err := syscall.Setuid(id.UID); err != nil {
		return fmt.Errorf("cannot become user %s: %w", id.Name, err)
	}
	if id.UID != 0 && syscall.Setuid(0) == nil {
		return errors.New("root could be had again")
	}
	return nil
}

// OthersMay is what everybody on the machine may do with a file: the last three bits of its mode.
func OthersMay(info fs.FileInfo) fs.FileMode { return info.Mode().Perm() & 0o007 }
