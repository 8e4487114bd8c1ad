package smtpserver

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"postern/internal/smtp"
)

const (
	smallBuffer = 2 << 10  // what an idle connection holds
	largeBuffer = 32 << 10 // what content is read through
	flushAt     = 8 << 10  // replies held back at most
	lineFlood   = 4 << 20  // of one endless line that are read away before the connection is cut
)

// Errors of reading a line. The connection goes on after the first two.
var (
	errLineTooLong = errors.New("line too long")
	errLineEnd     = errors.New("line does not end in CRLF")
	errLineFlood   = errors.New("line without an end")
	errNoMemory    = errors.New("no memory for a long line")
)

// wire is the buffered connection of one session. Replies wait in out until input is wanted and none is there, so that
// a peer that pipelines gets them together. Only the session's goroutine uses it.
type wire struct {
	nc      net.Conn // plain or TLS
	in      []byte
	r, w    int        // in[r:w] is input not used yet
	pool    *sync.Pool // of *[]byte, largeBuffer each
	memory  *Memory    // what large is taken from
	large   *[]byte    // what in is while content is read, from the pool
	small   []byte     // what in was before
	grown   share      // what in takes beyond a small buffer, while it is not large
	out     []byte
	writeIn time.Duration // for one write
	broken  error         // of a write that failed: nothing is written after it
	// before is called before each read, with the time by which something must come.
	before func(deadline time.Time) error
	after  func()
}

// buffered is input received and not used.
func (w *wire) buffered() []byte { return w.in[w.r:w.w] }

// forget drops everything that was received or is waiting to be sent.
func (w *wire) forget() {
	w.r, w.w, w.out = 0, 0, nil
	w.shrink()
	w.in = nil
	w.grown.release()
}

// flush writes the replies held back.
func (w *wire) flush() error {
	if len(w.out) == 0 || w.broken != nil {
		return w.broken
	}
	w.nc.SetWriteDeadline(time.Now().Add(w.writeIn)) // an error shows in Write
	_, w.broken = w.nc.Write(w.out)
	w.out = w.out[:0]
	if cap(w.out) > smallBuffer {
		w.out = nil
	}
	return w.broken
}

// fill sends what is held back and reads at least one octet. There must be room.
func (w *wire) fill(deadline time.Time) error {
	if err := w.flush(); err != nil {
		return err
	}
	if w.r == w.w {
		w.r, w.w = 0, 0
		w.shrinkIfIdle()
	}
	if w.in == nil {
		w.in = make([]byte, smallBuffer)
	}
	if err := w.before(deadline); err != nil {
		return err
	}
	n, err := w.nc.Read(w.in[w.w:])
	w.after()
	w.w += n
	if n > 0 {
		return nil
	}
	return err
}

// line returns the next line without CRLF; it is valid until the next read. limit says how many octets, CRLF
// included, a line that begins so may have. A line that is refused was read to its end.
func (w *wire) line(deadline time.Time, limit func(begin []byte) int) ([]byte, error) {
	for scanned := 0; ; {
		in := w.buffered()
		if i := bytes.IndexByte(in[scanned:], '\n'); i >= 0 {
			line := in[:scanned+i+1]
			w.r += len(line)
			return checkLine(line, limit(line))
		}
		scanned = len(in)
		if max := limit(in); scanned >= max {
			return nil, w.skipLine(deadline)
		}
		if !w.makeRoom() {
			return nil, errNoMemory
		}
		if err := w.fill(deadline); err != nil {
			return nil, err
		}
	}
}

func checkLine(line []byte, limit int) ([]byte, error) {
	if len(line) > limit {
		return nil, errLineTooLong
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, errLineEnd
	}
	return text, nil
}

func (w *wire) skipLine(deadline time.Time) error {
	for skipped := 0; skipped < lineFlood; {
		in := w.buffered()
		if i := bytes.IndexByte(in, '\n'); i >= 0 {
			w.r += i + 1
			return errLineTooLong
		}
		skipped += len(in)
		w.r, w.w = 0, 0
		if err := w.fill(deadline); err != nil {
			return err
		}
	}
	return errLineFlood
}

// makeRoom moves the input to the front and, if the buffer is full, doubles it; false: there is no memory for that.
func (w *wire) makeRoom() bool {
	if w.w < len(w.in) || w.in == nil {
		return true
	}
	if w.r == 0 {
		if !w.grown.reach(2*len(w.in) - smallBuffer) {
			return false
		}
		w.in = append(w.in, make([]byte, len(w.in))...)
		return true
	}
	w.w = copy(w.in, w.in[w.r:w.w])
	w.r = 0
	return true
}

// enlarge takes a large buffer for content, if the memory for it is left; without one content is read through what an
// idle connection holds, in smaller pieces.
func (w *wire) enlarge() {
	if w.large != nil || len(w.buffered()) > largeBuffer || !w.memory.TakeSpare(largeBuffer) {
		return // after a flood of pipelined commands what we have is large enough
	}
	w.large = w.pool.Get().(*[]byte)
	w.w = copy(*w.large, w.buffered())
	w.r, w.in, w.small = 0, *w.large, w.in
}

// shrinkIfIdle gives a large buffer back when nothing is in it and content is not being read.
func (w *wire) shrinkIfIdle() {
	if w.large == nil && len(w.in) > smallBuffer {
		w.in = nil
		w.grown.release()
	}
}

// shrink ends the use of a large buffer; input in it is kept.
func (w *wire) shrink() {
	if w.large == nil {
		return
	}
	rest := w.buffered()
	if w.in = w.small; len(w.in) < max(smallBuffer, len(rest)) {
		w.in = make([]byte, max(smallBuffer, len(rest)))
	}
	w.w, w.small = copy(w.in, rest), nil
	w.r = 0
	w.pool.Put(w.large)
	w.memory.Give(largeBuffer)
	w.large = nil
}

// say appends a reply of one line whose text is ours.
func (w *wire) say(code int, status, text string) {
	b := strconv.AppendInt(w.out, int64(code), 10)
	b = append(b, ' ')
	if status != "" {
		b = append(append(b, status...), ' ')
	}
	b = append(b, text...)
	w.out = append(b, '\r', '\n')
}

// send appends any reply.
func (w *wire) send(r *smtp.Reply) { w.out = r.AppendTo(w.out) }

// overflowing reports whether enough replies are held back that they should go even while input waits.
func (w *wire) overflowing() bool { return len(w.out) >= flushAt }
