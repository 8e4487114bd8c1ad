package sqlstore

import (
	"fmt"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
)

// TestSearchAcrossBlocks: what is searched by an index is found on both sides of the border of two blocks, and where an
// older form left the day in the keys.
func TestSearchAcrossBlocks(t *testing.T) {
	s := open(t, fixture(t))
	defer s.Close()
	s.mu.Lock()
	s.order.LastSeq = 1<<16 - 3
	s.mu.Unlock()
	first := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i := range 5 {
		sub, err := benchMessage(t.Context(), s, int64(i), first.Add(time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		sub.Message.ID, sub.Message.MessageID = queue.ID(fmt.Sprintf("new%d", i)), "<waiting@sender.test>"
		sub.Deliveries[0].Recipient.Address = mail.MustAddress("a@b.test")
		if err := s.Accept(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]struct {
		f queue.Filter
		n int
	}{
		"message-id":             {queue.Filter{MessageID: "<waiting@sender.test>"}, 6},
		"recipient":              {queue.Filter{Recipient: "a@b.test"}, 8},
		"domain":                 {queue.Filter{Domain: "b.test"}, 8},
		"recipient since":        {queue.Filter{Recipient: "a@b.test", Since: first}, 5},
		"recipient until":        {queue.Filter{Recipient: "a@b.test", Until: first}, 3},
		"message-id, two hours":  {queue.Filter{MessageID: "waiting@sender.test", Since: first.Add(time.Hour), Until: first.Add(3 * time.Hour)}, 2},
		"message-id, other time": {queue.Filter{MessageID: "waiting@sender.test", Since: first.Add(24 * time.Hour)}, 0},
	} {
		got := 0
		for _, err := range s.List(t.Context(), want.f) {
			if err != nil {
				t.Fatal(err)
			}
			got++
		}
		if got != want.n {
			t.Errorf("%s: %d found, want %d", name, got, want.n)
		}
	}
}
