//go:build unix

package server

import (
	"math"
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
