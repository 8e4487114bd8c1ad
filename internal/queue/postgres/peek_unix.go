//go:build unix

package postgres

import (
	"crypto/tls"
	"net"
	"syscall"
)

// stirs reports whether something came over a connection that nobody reads from: mostly that it has ended. It takes
// nothing away and does not wait.
func stirs(c net.Conn) bool {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	came := false
	err = raw.Control(func(fd uintptr) { // not Read: the driver may still be at that, and it would be waited for
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		came = err != syscall.EAGAIN && err != syscall.EWOULDBLOCK && err != syscall.EINTR
	})
	return came || err != nil
}
