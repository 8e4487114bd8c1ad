package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// maxDatagram is the largest UDP reply read. We ask for at most ednsSize; what is longer than that is read all the
// same.
const maxDatagram = 8192

// sockets is the Transport of the world. Each call opens its own socket, so the system picks a new random port, and a
// connected UDP socket hears only the server.
func sockets(ctx context.Context, network string, server netip.AddrPort, query []byte, accept func([]byte) bool) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) // cancelled before the deadline
	defer stop()
	if network == "tcp" {
		return overStream(conn, query, accept)
	}
	return overDatagrams(conn, query, accept)
}

func overDatagrams(conn net.Conn, query []byte, accept func([]byte) bool) error {
	if _, err := conn.Write(query); err != nil {
		return err
	}
	buf := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if accept(buf[:n]) {
			return nil
		}
	}
}

var errUnfit = errors.New("the reply does not fit the question")

// overStream speaks the framing of RFC 1035 §4.2.2. There is one question on a stream, so a reply that does not fit
// ends it.
func overStream(conn net.Conn, query []byte, accept func([]byte) bool) error {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(query)), uint16(len(query)))
	if _, err := conn.Write(append(framed, query...)); err != nil {
		return err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	reply := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, reply); err != nil {
		return err
	}
	if !accept(reply) {
		return errUnfit
	}
	return nil
}
