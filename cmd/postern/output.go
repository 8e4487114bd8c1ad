package main

import (
	"io"
	"sync"
)

// output is standard output that remembers whether a write failed: what a verb prints in many small pieces is whole, or
// the exit code says that it is not. Safe for concurrent use.
type output struct {
	to io.Writer

	mu     sync.Mutex
	failed error // the first failure
}

// Write passes p on. After a failure nothing more is written, so that what is there is a beginning without gaps.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return 0, o.failed
	}
	n, err := o.to.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.failed = err
	return n, err
}

// err is the first failure.
func (o *output) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// beneath is what a writer of ours writes to in the end.
func beneath(w any) any {
	if o, ok := w.(*output); ok {
		return o.to
	}
	return w
}
