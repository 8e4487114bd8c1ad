package api

import (
	"net"
	"syscall"
)

// peerUID asks the kernel for the user on the other side.
func peerUID(c *net.UnixConn) (uid uint32, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		cred, credErr := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		if credErr == nil {
			uid, ok = cred.Uid, true
		}
	})
	return uid, ok && err == nil
}
