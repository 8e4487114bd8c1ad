//go:build unix

package confcheck

import "syscall"

// mayWrite says why this process cannot make files in a folder; nil when it can.
func mayWrite(dir string) error { return syscall.Access(dir, 0x2|0x1) }
