package main

import (
	"io"
	"sync"
)

// lineWriter passes log lines on in as few writes as it can: what came while one write was under way goes out with the
// next. A single line is written at once. Safe for concurrent use.
type lineWriter struct {
	to io.Writer

	mu      sync.Mutex
	changed *sync.Cond // there is something to write, or there is room again
	pending []byte
	closed  bool
	done    chan struct{}
}

// linesHeld bounds what waits to be written, in bytes. Whoever logs then waits too: no line is lost.
const linesHeld = 1 << 20

func newLineWriter(to io.Writer) *lineWriter {
	w := &lineWriter{to: to, done: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write takes one or more whole lines. It never fails: there is nobody to tell.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > linesHeld && !w.closed {
		w.changed.Wait()
	}
	if w.closed {
		return w.to.Write(p)
	}
	w.pending = append(w.pending, p...)
	w.changed.Broadcast()
	return len(p), nil
}

func (w *lineWriter) run() {
	defer close(w.done)
	var spare []byte
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.pending) == 0 && !w.closed {
			w.changed.Wait()
		}
		if len(w.pending) == 0 {
			return
		}
		out := w.pending
		w.pending = spare[:0]
		w.mu.Unlock()
		_, _ = w.to.Write(out)
		spare = out
		w.mu.Lock()
		w.changed.Broadcast()
	}
}

// Close returns when everything was written. Lines that come later are written directly.
func (w *lineWriter) Close() error {
	w.mu.Lock()
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	<-w.done
	return nil
}
