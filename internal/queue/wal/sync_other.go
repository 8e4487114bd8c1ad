//go:build !linux

package wal

import "os"

// syncData is fsync; on macOS it also empties the disk's own cache (F_FULLFSYNC).
func syncData(f *os.File) error { return f.Sync() }
