package proxyheader

import (
	"bytes"
	"errors"
	"net/netip"
)

// Max is how many octets a header may have.
const Max = 4096

// ErrNone says that what was sent does not begin with a header of either version.
var ErrNone = errors.New("no PROXY header")

// Header is what a balancer said of a connection. The zero value is nothing.
type Header struct {
	Version int // 1 or 2
	// Local says that the connection is the balancer's own, a check for example, or that of a client it does not know.
	// The addresses are zero then, and those of the connection count.
	Local bool
	// Client is who connected to the balancer, and Server the address there.
	Client, Server netip.AddrPort
}

// Parse reads the header that b begins with, and says how many octets it has. 0 without an error asks for more octets.
// An error is final: whatever follows, this is no header. ErrNone is its kind where somebody did not mean to send one.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case begins(b, lineStart):
		if len(b) < len(lineStart) {
			return Header{}, 0, nil
		}
		return parseLine(b)
	case begins(b, signature):
		if len(b) < fixed {
			return Header{}, 0, nil
		}
		return parseOctets(b)
	}
	return Header{}, 0, ErrNone
}

// begins reports whether b may be, or begins with, a start.
func begins(b []byte, start string) bool {
	n := min(len(b), len(start))
	return bytes.Equal(b[:n], []byte(start[:n]))
}

// told makes the header of a client at an address.
func told(version int, client, server netip.AddrPort) (Header, error) {
	if client.Addr().IsUnspecified() {
		return Header{}, errors.New("the PROXY header names no client: its address is " + client.Addr().String())
	}
	return Header{Version: version, Client: client, Server: server}, nil
}

// plain is an address without IPv4 in IPv6 clothes.
func plain(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a.Unmap(), port) }
