package proxyheader

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	lineStart = "PROXY "
	maxLine   = 107 // with CRLF (proxy-protocol.txt §2.1)
)

// parseLine reads a header of version 1.
func parseLine(b []byte) (h Header, n int, err error) {
	end := bytes.IndexByte(b[:min(len(b), maxLine)], '\n')
	switch {
	case end < 0 && len(b) < maxLine:
		return Header{}, 0, nil
	case end < 0:
		return Header{}, 0, fmt.Errorf("a PROXY header of version 1 that does not end within %d octets", maxLine)
	case b[end-1] != '\r':
		return Header{}, 0, errors.New("a PROXY header of version 1 whose line ends without CR")
	}
	h, err = fields(string(b[:end-1]))
	if err != nil {
		return Header{}, 0, err
	}
	return h, end + 1, nil
}

// fields reads "PROXY TCP4 client server port port", or "PROXY UNKNOWN", after which anything may stand.
func fields(line string) (Header, error) {
	f := strings.Split(line, " ")
	if f[1] == "UNKNOWN" {
		return Header{Version: 1, Local: true}, nil
	}
	if f[1] != "TCP4" && f[1] != "TCP6" {
		return Header{}, fmt.Errorf("a PROXY header of version 1 for %+q: there are TCP4, TCP6 and UNKNOWN", f[1])
	}
	if len(f) != 6 {
		return Header{}, fmt.Errorf(
			"a PROXY header of version 1 that is not two addresses and two ports with one space between: %+q", line)
	}
	var at [2]netip.AddrPort
	for i := range at {
		a, ok := address(f[1], f[2+i])
		if !ok {
			return Header{}, fmt.Errorf("a PROXY header of version 1 for %s with the address %+q", f[1], f[2+i])
		}
		port, ok := number(f[4+i])
		if !ok {
			return Header{}, fmt.Errorf("a PROXY header of version 1 with the port %+q", f[4+i])
		}
		at[i] = plain(a, port)
	}
	return told(1, at[0], at[1])
}

// address reads an address of a line.
func address(family, text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text) // takes no leading zeros in IPv4
	return a, err == nil && a.Zone() == "" && (family == "TCP6" || a.Is4())
}

// number reads a port: digits alone, and no zero before others.
func number(text string) (uint16, bool) {
	port, err := strconv.ParseUint(text, 10, 16) // takes no sign, no space and no underscore
	return uint16(port), err == nil && (text == "0" || text[0] != '0')
}
