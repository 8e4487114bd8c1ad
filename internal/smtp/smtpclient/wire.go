package smtpclient

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"postern/internal/smtp"
)

// aLongTimeAgo is a deadline that ends every read and write at once.
var aLongTimeAgo = time.Unix(1, 0)

// watch makes the cancellation of ctx end whatever the connection is doing. The function it returns must be called
// when the call ends; after it the context has no more effect.
func (c *Conn) watch(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.tcp.SetDeadline(aLongTimeAgo)
		close(ended)
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}

// limit sets the deadline of the next reads and writes: d from now, or the context's if that is earlier. The context is
// looked at after setting, so that a cancellation just before is not overwritten.
func (c *Conn) limit(ctx context.Context, d time.Duration) error {
	t := time.Now().Add(d)
	if end, ok := ctx.Deadline(); ok && end.Before(t) {
		t = end
	}
	if err := c.tcp.SetDeadline(t); err != nil {
		return err
	}
	return ctx.Err()
}

// flush writes out in one piece and empties it.
func (c *Conn) flush(ctx context.Context, phase Phase, d time.Duration) error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.limit(ctx, d)
	if err == nil {
		_, err = c.nc.Write(c.out)
	}
	c.out = c.out[:0]
	if err == nil {
		return nil
	}
	if c.unproven && isNetwork(err) {
		err = c.alertBehind(err)
	}
	return c.broke(ctx, phase, err)
}

// alertBehind looks for the alert that explains why the peer closed right after the handshake, before we could write.
func (c *Conn) alertBehind(err error) error {
	_ = c.tcp.SetDeadline(time.Now().Add(time.Second))
	readErr := c.fill()
	if _, ok := alertIn(readErr, opRemote); ok {
		return readErr
	}
	return err
}

// readReply reads one whole reply within d, counted for the reply and not for each read. With keep unset the text of a
// positive reply is dropped, which is all that most replies deserve.
func (c *Conn) readReply(ctx context.Context, phase Phase, d time.Duration, keep bool) (smtp.Reply, error) {
	if err := c.limit(ctx, d); err != nil {
		return smtp.Reply{}, c.broke(ctx, phase, err)
	}
	var reply smtp.Reply
	for octets, lines := 0, 1; ; lines++ {
		line, err := c.readLine()
		if err != nil {
			return smtp.Reply{}, c.broke(ctx, phase, err)
		}
		octets += len(line)
		code, more, text, err := smtp.ParseReplyLine(line)
		switch {
		case err == nil && lines > 1 && code != reply.Code:
			err = fmt.Errorf("%w: its lines have different codes", smtp.ErrReply)
		case err == nil && lines > c.cfg.MaxReplyLines:
			err = fmt.Errorf("%w: over %d lines", smtp.ErrReply, c.cfg.MaxReplyLines)
		case err == nil && octets > c.cfg.MaxReplyBytes:
			err = fmt.Errorf("%w: over %d octets", smtp.ErrReply, c.cfg.MaxReplyBytes)
		}
		if err != nil {
			return smtp.Reply{}, c.malformed(phase, line, err)
		}
		reply.Code = code
		if keep || code >= 400 {
			reply.AddLine(string(text))
		}
		if !more {
			c.noteClosing(reply)
			return reply, nil
		}
	}
}

// noteClosing remembers a 421, after which the peer closes (RFC 5321 §3.8).
func (c *Conn) noteClosing(reply smtp.Reply) {
	if reply.Code == 421 && c.closing == nil {
		kept := reply // so that other replies need not live on the heap
		c.closing, c.dead = &kept, true
	}
}

// errLongLine is the cause when a line of a reply does not end in time.
var errLongLine = fmt.Errorf("%w: a line is too long", smtp.ErrReply)

// readLine returns the next line without its end, valid until the next read. A bare LF ends a line too: peers of that
// kind exist, and what follows a reply is never trusted anyway. On errLongLine it returns the beginning of the line.
func (c *Conn) readLine() ([]byte, error) {
	searched := c.r
	for {
		if i := bytes.IndexByte(c.in[searched:c.w], '\n'); i >= 0 {
			line := c.in[c.r : searched+i]
			c.r = searched + i + 1
			if len(line) >= c.cfg.MaxReplyLine {
				return nil, &longLine{line}
			}
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		if c.w-c.r >= c.cfg.MaxReplyLine {
			return nil, &longLine{c.in[c.r:c.w]}
		}
		searched = c.w - c.r // after the shift in fill
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// longLine carries the beginning of an overlong line.
type longLine struct{ begin []byte }

func (l *longLine) Error() string { return errLongLine.Error() }
func (l *longLine) Unwrap() error { return errLongLine }

// fill moves what is left to the front of the buffer and reads once.
func (c *Conn) fill() error {
	if c.in == nil {
		c.in = make([]byte, c.cfg.MaxReplyLine)
	}
	c.w = copy(c.in, c.in[c.r:c.w])
	c.r = 0
	n, err := c.nc.Read(c.in[c.w:])
	c.w += n
	if n > 0 {
		c.unproven = false
		return nil
	}
	return err
}
