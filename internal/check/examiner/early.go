package examiner

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"postern/internal/attempt"
	"postern/internal/check"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
)

// earlyTime bounds the test on one address.
const earlyTime = 20 * time.Second

// early finds out whether the server takes bytes that arrive in the clear behind STARTTLS for bytes said inside TLS,
// as it must not (RFC 3207 §4.2): somebody on the way could then slip commands into a protected session. STARTTLS and a
// NOOP, which does nothing, go out in one write. A sound server forgets the NOOP, refuses, or breaks off the handshake.
// One with the fault answers it inside TLS, so that every later answer comes one command too late: the answer to QUIT
// is then not 221.
//
// This speaks SMTP by hand because our engine cannot be made to misbehave.
func (v *viewer) early(ctx context.Context, rung attempt.Rung) check.Early {
	ctx, cancel := context.WithTimeout(ctx, earlyTime)
	defer cancel()
	nc, hangUp, err := v.reach(ctx, earlyTime)
	if err != nil {
		return check.EarlyUnknown
	}
	defer hangUp()
	return v.inject(ctx, nc, v.c.deliverer.Profile(v.hop, v.require, rung))
}

// errNoStartTLS is the error of a conversation in which STARTTLS is not to be had.
var errNoStartTLS = errors.New("STARTTLS is not to be had")

// reach comes as far as the answer to EHLO that offers STARTTLS, and leaves the rest to the caller, within limit.
func (v *viewer) reach(ctx context.Context, limit time.Duration) (net.Conn, func(), error) {
	nc, err := v.c.cfg.Deliver.Dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(v.ip, v.hop.Port).String())
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	hangUp := func() {
		stop()
		_ = nc.Close() // nothing more is expected of it
	}
	conn := smtpclient.New(nc, v.c.cfg.Deliver.SMTP)
	if _, err = conn.Greet(ctx); err == nil {
		err = conn.Hello(ctx)
	}
	if err == nil && !conn.Extensions().StartTLS {
		err = errNoStartTLS
	}
	if err != nil {
		conn.Quit(ctx)
		hangUp()
		return nil, nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(limit))
	return nc, hangUp, nil
}

func (v *viewer) inject(ctx context.Context, nc net.Conn, profile *tls.Config) check.Early {
	clear := newSpeaker(nc)
	code, err := clear.say("STARTTLS\r\nNOOP\r\n")
	switch {
	case err != nil:
		return check.EarlyRefused // it hung up on us
	case code != 220:
		_, _ = clear.say("QUIT\r\n") // politeness
		return check.EarlyRefused
	}
	conn := tls.Client(nc, profile)
	if conn.HandshakeContext(ctx) != nil {
		return check.EarlyRefused
	}
	inside := &speaker{conn, bufio.NewReader(conn)}
	if _, err = inside.say("EHLO " + v.hello() + "\r\n"); err != nil {
		return check.EarlyUnknown
	}
	switch code, err = inside.say("QUIT\r\n"); {
	case err != nil:
		return check.EarlyUnknown
	case code == 221:
		return check.EarlyDiscarded
	}
	return check.EarlyAccepted
}

func (v *viewer) hello() string {
	if name := v.c.cfg.Deliver.SMTP.Hello; name != "" {
		return name
	}
	return "localhost"
}

// speaker says a line and reads one reply.
type speaker struct {
	w io.Writer
	r *bufio.Reader
}

// newSpeaker speaks in the clear and reads no further than the reply, so that nothing of a handshake is swallowed.
func newSpeaker(nc net.Conn) *speaker { return &speaker{nc, bufio.NewReaderSize(&single{nc}, 16)} }

// maxEarlyReply bounds one reply in octets.
const maxEarlyReply = 32 << 10

func (s *speaker) say(text string) (code int, err error) {
	if _, err := io.WriteString(s.w, text); err != nil {
		return 0, err
	}
	for octets, line := 0, []byte(nil); octets < maxEarlyReply; {
		part, long, err := s.r.ReadLine()
		if err != nil {
			return 0, err
		}
		octets += len(part)
		if line = append(line, part...); long {
			continue
		}
		code, more, _, err := smtp.ParseReplyLine(line)
		if err != nil || !more {
			return code, err
		}
		line = line[:0]
	}
	return 0, smtp.ErrReply
}

// single reads one octet at a time.
type single struct{ net.Conn }

// Read reads at most one octet.
func (s *single) Read(p []byte) (int, error) { return s.Conn.Read(p[:min(len(p), 1)]) }
