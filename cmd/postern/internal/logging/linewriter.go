package logging

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// LineWriter passes log lines on in as few writes as it can: what came while one write was under way goes out with the
// next. A single line is written at once. Safe for concurrent use.
//
// Whoever logs never waits for whoever reads: mail goes on when the log's reader stands still or is gone. Then so many
// bytes of lines wait in memory, and those that come later are lost and counted. What waits is the oldest, so that a
// log has one gap and not many; where the gap is, a line says how many were lost and when, as soon as lines can be
// written again. What could not be written because the writing failed is lost and counted in the same way.
type LineWriter struct {
	to   io.Writer
	most int // bytes that wait; one line more may
	// say makes the line about a gap.
	say func(gap) []byte

	mu      sync.Mutex
	changed *sync.Cond // there is something to write, it was written, or the writer was closed
	pending []byte
	behind  gap // lost since pending was full
	lost    int64
	busy    bool // a write is under way
	closed  bool

	torn bool // the last write ended inside a line; of run
}

// gap is what was lost at one place of a log.
type gap struct {
	lines       int64
	from, until time.Time
}

// add notes the loss of a text and returns how many lines it is.
func (g *gap) add(text []byte, now time.Time) (lines int64) {
	lines = int64(bytes.Count(text, []byte{'\n'}))
	if g.lines += lines; g.from.IsZero() {
		g.from = now
	}
	g.until = now
	return lines
}

// join adds a gap that came later.
func (g *gap) join(later gap) {
	if later.lines == 0 {
		return
	}
	if g.lines == 0 {
		*g = later
		return
	}
	g.lines, g.until = g.lines+later.lines, later.until
}

// flushTime is how long the end of the process waits for the log's reader.
const flushTime = 5 * time.Second

func newLineWriter(to io.Writer, most int, say func(gap) []byte) *LineWriter {
	w := &LineWriter{to: to, most: most, say: say}
	w.changed = sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write takes one or more whole lines. It never fails and never waits. Lines after Close are lost.
func (w *LineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if full := len(w.pending) > 0 && len(w.pending)+len(p) > w.most; full || w.behind.lines > 0 || w.closed {
		w.lost += w.behind.add(p, time.Now())
		return len(p), nil
	}
	w.pending = append(w.pending, p...)
	w.changed.Broadcast()
	return len(p), nil
}

// Lost is how many lines were lost so far.
func (w *LineWriter) Lost() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// run writes until the writer is closed and nothing waits.
func (w *LineWriter) run() {
	var spare []byte
	var before gap // lost, and not said yet
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.pending) == 0 && !w.closed {
			w.changed.Wait()
		}
		if len(w.pending) == 0 {
			return
		}
		out, behind := w.pending, w.behind
		w.pending, w.behind, w.busy = spare[:0], gap{}, true
		w.mu.Unlock()
		var lost int64
		before, lost = w.put(before, out, behind)
		spare = out
		w.mu.Lock()
		w.lost += lost
		w.busy = false
		w.changed.Broadcast()
	}
}

// put writes what was lost before some lines, the lines, and what was lost behind them. It returns what is still to be
// said, and how many of the lines were lost.
func (w *LineWriter) put(before gap, out []byte, behind gap) (left gap, lost int64) {
	if before.lines > 0 {
		if _, err := w.write(w.say(before)); err != nil {
			lost = before.add(out, time.Now())
			before.join(behind)
			return before, lost
		}
	}
	if n, err := w.write(out); err != nil {
		lost = left.add(out[n:], time.Now())
		left.join(behind)
		return left, lost
	}
	if behind.lines > 0 {
		if _, err := w.write(w.say(behind)); err != nil {
			return behind, 0
		}
	}
	return gap{}, 0
}

// write begins a new line where the write before broke off inside one.
func (w *LineWriter) write(text []byte) (int, error) {
	if w.torn {
		if _, err := w.to.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		w.torn = false
	}
	n, err := w.to.Write(text)
	w.torn = n > 0 && text[n-1] != '\n'
	return n, err
}

// Close waits until all is written, at most flushTime.
func (w *LineWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.changed.Broadcast()
	late := false
	timer := time.AfterFunc(flushTime, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		late = true
		w.changed.Broadcast()
	})
	defer timer.Stop()
	for (len(w.pending) > 0 || w.busy) && !late {
		w.changed.Wait()
	}
	return nil
}
