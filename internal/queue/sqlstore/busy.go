package sqlstore

import (
	"context"
	"time"

	"postern/internal/queue/sqlite"
	"postern/internal/queue/young"
)

// Another program may lock the database for writing. Then what needs no lock goes on: mail is accepted, claimed, sent and
// settled in the journal, and the database is read. What does need it waits in the writer, which tries again and again and
// serves the others meanwhile; so no more than those who asked for it wait.
const (
	busyPause    = 20 * time.Millisecond // between two tries
	busyPatience = 10 * time.Second      // then it is told that the database is locked
	busyAgain    = 100 * time.Millisecond
)

// next returns what is to be served, nil when the store is closed. What waits for the lock comes again after each pause.
func (w *writer) next() []*request {
	if len(w.waiting) == 0 {
		first, ok := <-w.s.requests
		if !ok {
			return nil
		}
		return gather(w.s.requests, first)
	}
	pause := time.NewTimer(time.Until(w.retry))
	defer pause.Stop()
	select {
	case first, ok := <-w.s.requests:
		if ok {
			return gather(w.s.requests, first)
		}
		<-pause.C
	case <-pause.C:
	}
	again := w.waiting
	w.waiting = nil
	return again
}

// locked is what becomes of a group that met the lock: whoever has not yet been tried alone is, for it may need no lock.
func (w *writer) locked(group []*request, err error) {
	now := time.Now()
	w.retry = now.Add(busyPause)
	for _, r := range group {
		switch {
		case !r.alone && len(group) > 1:
			r.alone = true
			w.serve([]*request{r})
		case now.Sub(r.since) >= r.patience:
			r.done <- err
		default:
			r.alone = true
			w.waiting = append(w.waiting, r)
		}
	}
}

// settleAgain is settleDownOf that is tried again while another program has the database locked. Nothing is frozen in
// between, so that it can be sent.
func (s *Store) settleAgain(ctx context.Context, ms []*young.Message, since time.Time) error {
	err := s.bring(ctx, ms, nil)
	if sqlite.Primary(err) != sqlite.Busy || time.Since(since) >= busyPatience {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(busyAgain):
		return nil
	}
}
