//go:build !unix

package postgres

import "net"

// stirs would look whether a connection has ended; here the first statement tells.
func stirs(net.Conn) bool { return false }
