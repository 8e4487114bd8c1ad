package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// slowWriter lets one write at a time through.
type slowWriter struct {
	gate   chan struct{}
	mu     sync.Mutex
	writes int
	got    bytes.Buffer
}

func (w *slowWriter) Write(p []byte) (int, error) {
	<-w.gate
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	return w.got.Write(p)
}

// TestLinesGoTogether: lines that come during a write go out with the next, whole, in order, and none is lost.
func TestLinesGoTogether(t *testing.T) {
	to := &slowWriter{gate: make(chan struct{}, 1000)}
	w := newLineWriter(to)
	var want strings.Builder
	for i := range 500 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	for range 1000 {
		to.gate <- struct{}{}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := to.got.String(); got != want.String() {
		t.Errorf("%d bytes were written, want %d", len(got), want.Len())
	}
	if to.writes > 2 {
		t.Errorf("%d writes for lines that came while the first was under way, want at most 2", to.writes)
	}
	if _, err := w.Write([]byte("late\n")); err != nil || !strings.HasSuffix(to.got.String(), "late\n") {
		t.Errorf("a line after Close: %v", err)
	}
}

// TestLinesWait: more than the bound waits for the write before it instead of growing without end.
func TestLinesWait(t *testing.T) {
	to := &slowWriter{gate: make(chan struct{}, 1000)}
	w := newLineWriter(to)
	big := bytes.Repeat([]byte("x"), linesHeld+1)
	_, _ = w.Write(big) // under way
	for len(held(w)) != 0 {
	}
	_, _ = w.Write(big) // waits in memory
	written := make(chan struct{})
	go func() {
		_, _ = w.Write([]byte("y"))
		close(written)
	}()
	select {
	case <-written:
		t.Fatal("a line was taken over the bound")
	default:
	}
	to.gate <- struct{}{}
	<-written
	to.gate <- struct{}{}
	to.gate <- struct{}{}
	w.Close()
	if got := to.got.Len(); got != 2*len(big)+1 {
		t.Errorf("%d bytes were written", got)
	}
}

func held(w *lineWriter) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending
}
