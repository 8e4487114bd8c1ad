package smtpserver

import (
	"errors"
	"io"
	"time"

	"postern/internal/smtp"
)

// Errors that reading a Content can end with, besides those of the connection. The engine answers for them.
var (
	// ErrTooBig: the content went over the size limit.
	ErrTooBig = errors.New("the message is over the size limit")
	// ErrForm: the content has a bare CR or LF, a NUL, or a line over the limit.
	ErrForm = errors.New("the content is not well-formed")

	// errAbandoned: a command between two BDAT chunks ended the message.
	errAbandoned = errors.New("the client abandoned the message")
)

// Content is the content of one message as it comes in: lines end in CRLF, also the last, dots are removed. It is valid
// until Session.Data returns, and not safe for concurrent use.
type Content struct {
	c     *Conn
	dec   smtp.Decoder
	size  int64 // content so far
	taken int64 // octets taken from the wire
	away  int64 // of these, read away after a refusal
	start time.Time

	chunked bool  // BDAT
	chunk   int64 // octets of the present chunk still to come
	last    bool  // it is the last

	fault   error // ErrTooBig or ErrForm: final for the Session, the engine goes on to the end
	lost    error // the end will not come
	ended   bool  // the end was seen
	whole   bool  // the Session was told io.EOF
	flooded bool  // so much came after a refusal that the end is not waited for
	small   [2]byte
	carry   []byte // the part of small not handed out
	tail    string // the CRLF that a chunked content lacked
}

func (b *Content) begin(c *Conn, chunked bool) {
	l := &c.srv.cfg.Limits
	*b = Content{c: c, chunked: chunked, start: time.Now()}
	bare := l.Bare
	if c.srv.cfg.Bare != nil {
		bare = c.srv.cfg.Bare(c.Info())
	}
	b.dec = smtp.Decoder{Raw: chunked, Convert: bare == ConvertBare, MaxLine: l.ContentLine}
}

// EightBit reports whether an octet above 127 was read so far.
func (b *Content) EightBit() bool { return b.dec.EightBit }

// Size returns the octets of content seen so far.
func (b *Content) Size() int64 { return b.size }

// Read reads content. io.EOF means that all of it was read and nothing is wrong with it; after any other error the
// message must be thrown away, and the engine answers itself.
func (b *Content) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(b.carry) > 0 {
		n := copy(p, b.carry)
		b.carry = b.carry[n:]
		return n, nil
	}
	if len(p) < len(b.small) { // the decoder needs room for two
		n, err := b.read(b.small[:])
		k := copy(p, b.small[:n])
		b.carry = b.small[k:n]
		return k, err
	}
	return b.read(p)
}

func (b *Content) read(p []byte) (int, error) {
	for {
		switch {
		case b.lost != nil:
			return 0, b.lost
		case b.fault != nil:
			return 0, b.fault
		case b.tail != "":
			n := copy(p, b.tail)
			b.tail = b.tail[n:]
			return n, nil
		case b.ended:
			b.whole = true
			return 0, io.EOF
		}
		n, err := b.step(p)
		if err != nil {
			b.lose(err)
			continue
		}
		b.judge(n)
		if n > 0 && b.fault == nil {
			return n, nil
		}
	}
}

// lose records that the end will not come. A connection that was closed must not look like the end of the content.
func (b *Content) lose(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.lost = err
}

// step decodes what is there, or waits for more. It may return 0.
func (b *Content) step(p []byte) (n int, err error) {
	if b.chunked && b.chunk == 0 {
		return 0, b.chunkDone()
	}
	w := &b.c.wire
	src := w.buffered()
	if b.chunked {
		src = src[:min(int64(len(src)), b.chunk)]
	}
	if len(src) == 0 {
		return 0, w.fill(b.deadline())
	}
	n, used, done := b.dec.Decode(p, src)
	w.r += used
	b.taken += int64(used)
	if b.chunked {
		b.chunk -= int64(used)
	}
	b.ended = b.ended || done
	return n, nil
}

// deadline is when the next octets must be here: DataBlock from now, and not later than the rate guard and the time of
// the transaction allow.
func (b *Content) deadline() time.Time {
	t := b.c.srv.cfg.Timeouts.DataBlock
	due := time.Now().Add(t)
	if rate := b.c.srv.cfg.Limits.DataRate; rate > 0 {
		due = earlier(due, b.start.Add(t+time.Duration(b.taken/int64(rate))*time.Second))
	}
	if !b.c.tx.open { // a chunk that is only taken off the wire
		return due
	}
	return b.c.transactionDue(due)
}

// judge looks at what n more octets did.
func (b *Content) judge(n int) {
	b.size += int64(n)
	const form = smtp.BareCR | smtp.BareLF
	switch f := b.dec.Faults; {
	case b.fault != nil:
	case b.size > b.c.srv.cfg.Limits.MessageSize:
		b.fault = ErrTooBig
	case f&(smtp.NUL|smtp.LongLine|smtp.LoneDot) != 0, f&form != 0 && !b.dec.Convert:
		b.fault = ErrForm
	}
}

// refusal is the engine's own answer to the content, nil if it has nothing against it.
func (b *Content) refusal() *smtp.Reply {
	text := "a line is too long"
	switch f := b.dec.Faults; {
	case b.fault == nil:
		return nil
	case b.fault == ErrTooBig:
		return b.c.srv.tooBig()
	case f&smtp.LoneDot != 0, f&(smtp.BareCR|smtp.BareLF) != 0 && !b.dec.Convert:
		text = "the message has a CR or LF that stands alone; lines must end in CRLF"
	case f&smtp.NUL != 0:
		text = "the message has a NUL octet"
	}
	return smtp.NewReply(554, "5.6.0", text)
}

// readAway goes to the end of the content, or of the present chunk, after the Session has returned. It gives up when
// as much has come as a whole message may have, since nobody has to wait for a client that does not stop.
func (b *Content) readAway() {
	scratch := make([]byte, smallBuffer)
	for !b.ended && b.lost == nil && !(b.chunked && b.chunk == 0) {
		before := b.taken
		n, err := b.step(scratch)
		if err != nil {
			b.lose(err)
			return
		}
		b.judge(n)
		b.away += b.taken - before
		if b.away > b.c.srv.cfg.Limits.MessageSize+1<<20 {
			b.flooded = true
			return
		}
	}
}
