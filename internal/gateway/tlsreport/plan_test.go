package tlsreport

import (
	"testing"
	"time"

	"postern/internal/history/tlscounts"
	"postern/internal/queue/memstore"
)

// A clock that was a year ahead for a while keeps no report from being sent when it is right again.
func TestAClockThatWasAhead(t *testing.T) {
	store := memstore.New()
	s := New(Config{Counts: tlscounts.NewBook(store), States: NewStates(store)})
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	if err := s.plan(t.Context(), now.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if err := s.cfg.Counts.Add(t.Context(), []tlscounts.Counts{{Day: "2026-11-28", Domain: "clinic.test"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.plan(t.Context(), now); err != nil || len(s.due) != 1 {
			t.Errorf("%v, %d reports are planned", err, len(s.due))
		}
	}
}
