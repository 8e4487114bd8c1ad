package group

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// world is what is written and when it is locked.
type world struct {
	written []int
	groups  int
	locked  int // so many attempts more
}

var (
	errLocked = errors.New("locked")
	errWrote  = errors.New("failed after it wrote")
	errBefore = errors.New("failed before it wrote")
)

// attempt is a transaction: all or nothing, but for those that fail before they write.
func (w *world) attempt(changes []Change[*world]) ([]error, error) {
	w.locked--
	results, before := make([]error, len(changes)), len(w.written)
	for i, change := range changes {
		err := change(w)
		if errors.Is(err, errLocked) || errors.Is(err, errWrote) {
			w.written = w.written[:before]
			return nil, err
		}
		results[i] = err
	}
	w.groups++
	return results, nil
}

func write(n int) Change[*world] {
	return func(w *world) error {
		w.written = append(w.written, n)
		return nil
	}
}

func isLocked(err error) bool { return errors.Is(err, errLocked) }

// start hands changes over in order and serves them when all are there.
func start(t *testing.T, w *world, patience time.Duration, changes ...Change[*world]) []error {
	t.Helper()
	out := New(w.attempt, isLocked)
	errs := make([]error, len(changes))
	var wg sync.WaitGroup
	for i, change := range changes {
		wg.Go(func() { errs[i] = out.Do(t.Context(), patience, 1, change) })
		for out.Queued() <= i {
			time.Sleep(time.Microsecond)
		}
	}
	ended := make(chan struct{})
	go func() { out.Loop(); close(ended) }()
	wg.Wait()
	out.Close()
	<-ended
	return errs
}

// What came in together is one group, in its order.
func TestOneCommitForAll(t *testing.T) {
	w := &world{}
	start(t, w, 0, write(1), write(2), write(3))
	if w.groups != 1 || !slices.Equal(w.written, []int{1, 2, 3}) {
		t.Errorf("%d groups wrote %v", w.groups, w.written)
	}
}

// What cannot be done takes no others with it, whether it wrote before it failed or not.
func TestAFailureStaysAlone(t *testing.T) {
	w := &world{}
	errs := start(t, w, 0, write(1), func(w *world) error { return errBefore }, write(2), func(w *world) error {
		w.written = append(w.written, 9)
		return errWrote
	}, write(3))
	if !slices.Equal(errs, []error{nil, errBefore, nil, errWrote, nil}) || !slices.Equal(w.written, []int{1, 2, 3}) {
		t.Errorf("%v, written %v", errs, w.written)
	}
}

// While the database is locked, what needs no lock goes on; what needs it waits for its end, or as long as it has
// patience.
func TestTheLockIsWaitedFor(t *testing.T) {
	w := &world{locked: 6}
	needs := func(w *world) error {
		if w.locked > 0 {
			return errLocked
		}
		return write(1)(w)
	}
	errs := start(t, w, time.Minute, needs, write(3), needs)
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) || len(w.written) != 3 || w.written[0] != 3 {
		t.Errorf("%v, written %v", errs, w.written)
	}
	if errs := start(t, &world{locked: 1000}, 0, needs, write(3)); errs[0] != errLocked || errs[1] != nil {
		t.Errorf("without patience: %v", errs)
	}
}
