//go:build unix

package api

import (
	"os"
	"strconv"
)

// making is the path under which a socket is made.
func making(path string) string { return path + "." + strconv.Itoa(os.Getpid()) }

// private lets nobody else ask at a socket.
func private(path string) error { return os.Chmod(path, 0o600) }
