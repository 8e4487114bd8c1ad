// Package source is the load: it hands messages to a mail server over many connections and measures how long each took.
// The bytes of a message are made once, commands are pipelined, and nothing is looked at that need not be, so that it
// takes as little as it can of the processors that the server under test runs on.
package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/bench/measure"
	"postern/bench/wire"
)

// Mark is the header field that carries a message's number; see Number.
const Mark = "X-Bench: "

// idMark stands before the same number in the Message-ID.
const idMark = "Message-ID: <"

// Load says what to send.
type Load struct {
	// Address of the server, "host:port".
	Address string
	// TLS, when set, is put on by STARTTLS.
	TLS *tls.Config
	// Run tells this load's messages from those of other runs at the same sink.
	Run uint32
	// Messages in all; over Connections at a time; PerConnection on each before it is closed and opened anew.
	Messages, Connections, PerConnection int
	// Recipients of each message, at Domains domains in turn: d0.bench.test, d1.bench.test and so on.
	Recipients, Domains int
	// Size of a message in bytes, header included; at least 512.
	Size int
}

// Result is what a load came to.
type Result struct {
	// Start is when the first connection was opened, End when the last message was accepted.
	Start, End time.Time
	// Accepted messages. Retried counts tries that failed and were made again.
	Accepted, Retried int
	// Reply is the time from the last byte of the content, with its dot, handed to the system until 250; Whole that
	// from MAIL until 250. Sorted.
	Reply, Whole measure.Samples
}

// tries is how often a message is tried before the load is given up.
const tries = 10

// ErrGivenUp means that a message was not accepted after many tries; it wraps the last failure.
var ErrGivenUp = errors.New("the server does not take the load")

// Run sends the load and returns when all of it was accepted. A failure ends it early, with what was accepted by then.
func Run(ctx context.Context, l Load) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	workers := make([]worker, min(l.Connections, l.Messages))
	var all sync.WaitGroup
	result := Result{Start: time.Now()}
	for i := range workers {
		workers[i] = newWorker(l, &next)
		all.Go(func() {
			if err := workers[i].run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	var replies, wholes []measure.Samples
	for _, w := range workers {
		result.Retried += w.retried
		if w.last.After(result.End) {
			result.End = w.last
		}
		replies, wholes = append(replies, w.reply), append(wholes, w.whole)
	}
	result.Reply, result.Whole = measure.Merge(replies...), measure.Merge(wholes...)
	result.Accepted = len(result.Reply)
	return result, context.Cause(ctx)
}

// Number is how Mark numbers a message: the run and its number in it, 16 hexadecimal digits.
func Number(run uint32, n int) string { return fmt.Sprintf("%08x%08x", run, uint32(n)) }

// Message makes the bytes of a message of a size, with the line of one dot behind it and zeros where its number goes.
func Message(size int) []byte {
	head := "From: <load@source.test>\r\nTo: <somebody@bench.test>\r\nSubject: load\r\nDate: Mon, 23 Nov 2026 " +
		"12:00:00 +0000\r\n" +
		idMark + "0000000000000000@source.test>\r\n" + Mark + "0000000000000000\r\n\r\n"
	const line = "The quick brown fox jumps over the lazy dog, and so on until the line is full.\r\n"
	body := strings.Repeat(line, max(size-len(head), 0)/len(line)+1)
	text := head + body[:max(size-len(head)-2, 0)]
	return []byte(strings.TrimRight(text, "\r\n") + "\r\n.\r\n")
}

// worker is one connection at a time.
type worker struct {
	load    Load
	message []byte // its own copy, with the line of one dot
	numbers [2]int // where its number is written in it
	next    *atomic.Int64
	pending []int // taken from next and not accepted yet
	failed  int   // tries in a row
	retried int
	last    time.Time // the newest acceptance
	reply   measure.Samples
	whole   measure.Samples
}

func newWorker(l Load, next *atomic.Int64) worker {
	w := worker{load: l, message: Message(l.Size), next: next}
	for i, before := range []string{idMark, Mark} {
		w.numbers[i] = bytes.Index(w.message, []byte(before)) + len(before)
	}
	return w
}

func (w *worker) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if len(w.pending) == 0 && !w.take() {
			return nil
		}
		err := w.connection(ctx)
		if err == nil {
			continue
		}
		w.retried++
		if w.failed++; w.failed == tries {
			return fmt.Errorf("%w: %w", ErrGivenUp, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(w.failed) * 20 * time.Millisecond):
		}
	}
	return nil
}

// take gets the next message's number; false when there are no more.
func (w *worker) take() bool {
	n := int(w.next.Add(1)) - 1
	if n >= w.load.Messages {
		return false
	}
	w.pending = append(w.pending, n)
	return true
}

// connection sends up to PerConnection messages over one connection. What is pending afterwards was not accepted.
func (w *worker) connection(ctx context.Context) error {
	c, err := wire.Dial(w.load.Address, "source.test", w.load.TLS)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for range w.load.PerConnection {
		if len(w.pending) == 0 && !w.take() {
			break
		}
		if err := w.send(c, w.pending[0]); err != nil {
			c.Close()
			return err
		}
		w.pending, w.failed = w.pending[:0], 0
	}
	c.Quit()
	return nil
}

// send hands over one message.
func (w *worker) send(c *wire.Conn, n int) error {
	number := Number(w.load.Run, n)
	for _, at := range w.numbers {
		copy(w.message[at:], number)
	}
	start := time.Now()
	if err := w.open(c, n); err != nil {
		return err
	}
	if err := c.Send(w.message); err != nil {
		return err
	}
	sent := time.Now()
	if err := c.Expect(250); err != nil {
		return err
	}
	now := time.Now()
	w.last = now
	w.reply, w.whole = append(w.reply, now.Sub(sent)), append(w.whole, now.Sub(start))
	return nil
}

// open says everything before the content, in one go where the server offers PIPELINING.
func (w *worker) open(c *wire.Conn, n int) error {
	envelope := w.envelope(n)
	if c.Pipelining {
		if err := c.Send(envelope); err != nil {
			return err
		}
	}
	for i := range w.load.Recipients + 2 {
		if !c.Pipelining {
			command, rest, _ := bytes.Cut(envelope, []byte("\n"))
			if err := c.Send(envelope[:len(command)+1]); err != nil {
				return err
			}
			envelope = rest
		}
		code := 250
		if i == w.load.Recipients+1 {
			code = 354
		}
		if err := c.Expect(code); err != nil {
			return err
		}
	}
	return nil
}

// envelope is MAIL, all RCPT and DATA in one.
func (w *worker) envelope(n int) []byte {
	out := fmt.Appendf(make([]byte, 0, 128+48*w.load.Recipients), "MAIL FROM:<load@source.test> SIZE=%d\r\n",
		len(w.message)-len(".\r\n"))
	for i := range w.load.Recipients {
		out = fmt.Appendf(out, "RCPT TO:<r%d@d%d.bench.test>\r\n", i, (n*w.load.Recipients+i)%w.load.Domains)
	}
	return append(out, "DATA\r\n"...)
}
