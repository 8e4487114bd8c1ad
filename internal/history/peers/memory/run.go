package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"postern/internal/event"
	"postern/internal/history/peers"
)

// Run tells what changed and keeps the book until ctx ends; what is known then is written down before it returns. It
// starts no goroutine. The error is always nil: a book that cannot be written is warned of, and memory goes on.
func (m *Memory) Run(ctx context.Context) error {
	flush, look := time.NewTicker(flushPause), time.NewTicker(watchPause)
	defer flush.Stop()
	defer look.Stop()
	var failing bool
	for {
		select {
		case <-ctx.Done():
			m.emit()
			_ = m.flush(context.WithoutCancel(ctx), failing) // warned of
			return nil
		case <-m.wake:
			m.emit()
		case <-look.C:
			m.watchAll(time.Now())
		case <-flush.C:
			failing = m.flush(ctx, failing)
		}
	}
}

// emit passes on what is to be told.
func (m *Memory) emit() {
	m.mu.Lock()
	news, untold := m.news, m.untold
	m.news, m.untold = nil, 0
	m.mu.Unlock()
	for _, e := range news {
		m.cfg.Sink.Emit(e)
	}
	if untold > 0 {
		m.cfg.Sink.Emit(event.Warned{What: "peers", Text: fmt.Sprintf("%d changes of peers came too fast to be "+
			"told one by one", untold),
			Hint: "`postern peers list` shows how they stand"})
	}
}

// flush writes what changed to the book, a portion at a time. What cannot be written stays to be written. It warns when
// writing begins to fail.
func (m *Memory) flush(ctx context.Context, failing bool) bool {
	for {
		n, err := m.flushPortion(ctx)
		if err != nil {
			if !failing {
				m.cfg.Sink.Emit(event.Warned{What: "peers",
					Text: "what is remembered of peers cannot be written down: " + err.Error(),
					Hint: "look at the data folder; it is remembered until the gateway stops, and written as soon " +
						"as that works"})
			}
			return true
		}
		if n < portion {
			return false
		}
	}
}

func (m *Memory) flushPortion(ctx context.Context) (int, error) {
	m.disk.Lock()
	defer m.disk.Unlock()
	var put []peers.Record
	m.mu.Lock()
	for key := range m.dirty {
		if len(put) == portion {
			break
		}
		put = append(put, *m.records[key])
		delete(m.dirty, key)
	}
	m.mu.Unlock()
	if len(put) == 0 {
		return 0, nil
	}
	err := m.cfg.Book.KeepPeers(ctx, put, nil, m.cfg.Most)
	if err == nil {
		return len(put), nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range put {
		if key := put[i].Key(); m.records[key] != nil {
			m.dirty[key] = true
		}
	}
	return len(put), err
}

// watchAll looks for certificates that run out while no mail goes there.
func (m *Memory) watchAll(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Collect(maps.Keys(m.records)) { // watch replaces records
		m.watch(m.records[key], now)
	}
}

// Forget drops the records that match chooses, here and in the book, and returns them.
func (m *Memory) Forget(ctx context.Context, match func(*peers.Record) bool) ([]peers.Record, error) {
	m.disk.Lock()
	defer m.disk.Unlock()
	var gone []peers.Record
	var names []peers.Key
	m.mu.Lock()
	for key, r := range m.records {
		if match(r) {
			gone, names = append(gone, *r), append(names, key)
			delete(m.records, key)
			delete(m.dirty, key)
		}
	}
	m.mu.Unlock()
	if len(gone) == 0 {
		return nil, nil
	}
	if err := m.cfg.Book.KeepPeers(ctx, nil, names, m.cfg.Most); err != nil {
		return gone, fmt.Errorf("forgotten until the next start only; the book cannot be written: %w", err)
	}
	return gone, nil
}
