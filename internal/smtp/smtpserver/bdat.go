package smtpserver

import (
	"bytes"
	"math"
	"slices"
	"time"

	"postern/internal/smtp"
)

// tinyChunk is the size below which a chunk counts as a command that does nothing, so that a message cannot be dripped
// in one octet a command.
const tinyChunk = 512

// bdat does the first BDAT of a message, and every BDAT that stands where none is expected. The chunk's octets follow
// the command whatever the answer, so they are taken off the wire in any case (RFC 3030 §2).
func (c *Conn) bdat(arg []byte) {
	size, last, ok := parseChunk(arg)
	if !ok { // nobody knows what of the following is a command
		c.wrong("BDAT", 501, "5.5.4", "syntax: BDAT size [LAST]")
		c.stop("BDAT without a size")
		return
	}
	c.content.begin(c, true)
	c.content.open(size, last)
	switch {
	case c.discard:
		c.discardChunk()
	case !c.readyForContent("BDAT"):
		c.skipChunk()
	default:
		c.transfer()
	}
}

// discardChunk takes a chunk that was under way when its message was refused. That is no fault of the client's, unless
// it drips.
func (c *Conn) discardChunk() {
	c.wire.say(503, "5.5.1", "the message was refused")
	c.discard = !c.content.last
	if c.content.chunk < tinyChunk {
		c.didNothing()
	}
	c.skipChunk()
}

// open begins a chunk. One that would lead over the limit is refused before its first octet.
func (b *Content) open(size int64, last bool) {
	b.chunk, b.last = size, last
	if b.fault == nil && size > b.c.srv.cfg.Limits.MessageSize-b.size {
		b.fault = ErrTooBig
	}
}

// skipChunk takes a chunk off the wire that was refused already.
func (c *Conn) skipChunk() {
	b := &c.content
	b.last = true
	b.readAway()
	if b.lost != nil {
		c.check(b.lost)
	}
	if b.flooded {
		c.stop("content far over the limit")
	}
	*b = Content{}
}

// parseChunk reads the argument of BDAT. A number beyond an int64 is math.MaxInt64.
func parseChunk(arg []byte) (size int64, last, ok bool) {
	number, rest, more := bytes.Cut(arg, []byte(" "))
	if more {
		if !bytes.EqualFold(rest, []byte("LAST")) {
			return 0, false, false
		}
		last = true
	}
	if len(number) == 0 || len(number) > 20 {
		return 0, false, false
	}
	for _, d := range number {
		if d < '0' || d > '9' {
			return 0, false, false
		}
		if size > (math.MaxInt64-9)/10 {
			size = math.MaxInt64
			continue
		}
		size = size*10 + int64(d-'0')
	}
	return size, last, true
}

// chunkDone is called when all octets of a chunk were taken: the content ends, or the next chunk is asked for.
func (b *Content) chunkDone() error {
	if b.last {
		b.tail = b.dec.Finish()
		b.ended = true
		b.judge(len(b.tail))
		return nil
	}
	b.c.wire.say(250, "2.0.0", "chunk received")
	began := time.Now()
	err := b.c.nextChunk(b)
	b.start = b.start.Add(time.Since(began)) // waiting for a command is not slow content; Timeouts.Command bounds it
	return err
}

// nextChunk reads commands until one is BDAT. Commands that end the message are left for the session to do.
func (c *Conn) nextChunk(b *Content) error {
	for c.why == "" {
		due, _ := c.commandDue() // a read after it ends the session
		line, err := c.wire.line(due, c.srv.cfg.Limits.lineLimit)
		if err != nil {
			if c.lineFailedInside(err) {
				continue
			}
			return err
		}
		switch cmd := smtp.ParseCommand(line); cmd.Verb {
		case smtp.VerbBDAT:
			size, last, ok := parseChunk(cmd.Arg)
			if !ok {
				c.wrong("BDAT", 501, "5.5.4", "syntax: BDAT size [LAST]")
				c.stop("BDAT without a size")
				return errAbandoned
			}
			b.open(size, last)
			if size < tinyChunk && !last {
				c.didNothing()
			}
			if c.why == "" {
				return nil
			}
		case smtp.VerbRSET, smtp.VerbQUIT, smtp.VerbEHLO, smtp.VerbHELO, smtp.VerbForeign, smtp.VerbSTARTTLS:
			c.again = slices.Clone(line)
			return errAbandoned
		case smtp.VerbNOOP:
			c.idleCommand(cmd)
		default:
			c.wrong(cmd.Verb.String(), 503, "5.5.1", "a message is being sent by BDAT")
		}
	}
	return errAbandoned
}

// lineFailedInside answers a line that could not be read but does not end the session.
func (c *Conn) lineFailedInside(err error) bool {
	if err != errLineTooLong && err != errLineEnd {
		return false
	}
	c.lineFailed(err)
	return true
}
