package proxyheader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
)

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixed     = 16 // the signature, what it is, and how long the rest is
)

// What stands in the octets after the signature (proxy-protocol.txt §2.2).
const (
	commandLocal, commandProxy = 0x0, 0x1
	noFamily                   = 0x0
	inet, inet6, unix          = 0x1, 0x2, 0x3
	stream                     = 0x1
	checksumType               = 0x03
	checksumSize               = 4
)

// parseOctets reads a header of version 2, of which b has the fixed part at least.
func parseOctets(b []byte) (h Header, n int, err error) {
	version, command := b[12]>>4, b[12]&0xf
	if version != 2 {
		return Header{}, 0, fmt.Errorf("a PROXY header that calls itself version %d in the form of version 2", version)
	}
	if command > commandProxy {
		return Header{}, 0, fmt.Errorf("a PROXY header with the command %d: there are LOCAL (0) and PROXY (1)", command)
	}
	n = fixed + int(binary.BigEndian.Uint16(b[14:]))
	if n > Max {
		return Header{}, 0, fmt.Errorf("a PROXY header of %d octets: %d is the most", n, Max)
	}
	if len(b) < n {
		return Header{}, 0, nil
	}
	if command == commandLocal || b[13]>>4 == noFamily {
		return Header{Version: 2, Local: true}, n, nil
	}
	if h, err = parseClient(b[:n]); err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// parseClient reads the addresses of a whole header, and judges what follows them.
func parseClient(b []byte) (Header, error) {
	family, transport := b[13]>>4, b[13]&0xf
	width := 4
	switch {
	case family == unix:
		return Header{}, errors.New("a PROXY header for a client at a UNIX socket, which has no address")
	case family != inet && family != inet6:
		return Header{}, fmt.Errorf("a PROXY header for the address family %d: there are 1 (IPv4) and 2 (IPv6)", family)
	case transport != stream:
		return Header{}, fmt.Errorf("a PROXY header for the transport %d: 1 (a stream) is what this is", transport)
	case family == inet6:
		width = 16
	}
	if len(b) < fixed+2*width+4 {
		return Header{}, fmt.Errorf("a PROXY header of %d octets, too few for two addresses and two ports", len(b))
	}
	client, _ := netip.AddrFromSlice(b[fixed : fixed+width]) // 4 and 16 octets always are one
	server, _ := netip.AddrFromSlice(b[fixed+width : fixed+2*width])
	ports := b[fixed+2*width:]
	if err := checkValues(b, fixed+2*width+4); err != nil {
		return Header{}, err
	}
	return told(2, plain(client, binary.BigEndian.Uint16(ports)), plain(server, binary.BigEndian.Uint16(ports[2:])))
}

// checkValues walks over the values that begin at an offset of a header, and holds the checksum against all of it.
func checkValues(b []byte, at int) error {
	for at < len(b) {
		if len(b)-at < 3 {
			return errors.New("a PROXY header with a value that is cut off")
		}
		kind, size := b[at], int(binary.BigEndian.Uint16(b[at+1:]))
		at += 3
		if len(b)-at < size {
			return fmt.Errorf("a PROXY header with a value (type %#x) that is longer than the header", kind)
		}
		if kind == checksumType && (size != checksumSize || checksum(b, at) != binary.BigEndian.Uint32(b[at:])) {
			return errors.New("a PROXY header whose checksum is wrong: it was damaged on the way")
		}
		at += size
	}
	return nil
}

// castagnoli is the polynomial of CRC32c.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of a header in which the checksum itself, at an offset, is zeros.
func checksum(b []byte, at int) uint32 {
	sum := crc32.Update(0, castagnoli, b[:at])
	sum = crc32.Update(sum, castagnoli, make([]byte, checksumSize))
	return crc32.Update(sum, castagnoli, b[at+checksumSize:])
}
