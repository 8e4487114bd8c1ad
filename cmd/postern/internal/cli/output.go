package cli

import (
	"io"
	"sync"
)

// Output is standard output that remembers whether a write failed: what a verb prints in many small pieces is whole, or
// the exit code says that it is not. Safe for concurrent use.
type Output struct {
	To io.Writer

	mu     sync.Mutex
	failed error // the first failure
}

// Write passes p on. After a failure nothing more is written, so that what is there is a beginning without gaps.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return 0, o.failed
	}
	n, err := o.To.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.failed = err
	return n, err
}

// Err is the first failure.
func (o *Output) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// Beneath is what a writer of ours writes to in the end.
func Beneath(w any) any {
	if o, ok := w.(*Output); ok {
		return o.To
	}
	return w
}
