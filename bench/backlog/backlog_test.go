package backlog

import (
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/sqlstore"
)

func TestTheFolderHoldsWhatWasAskedFor(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if err := Fill(t.Context(), dir, Config{Waiting: 50, Sites: 7, Finished: 300, Now: now}); err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.Open(t.Context(), sqlstore.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stats, err := s.Stats(t.Context())
	if err != nil || stats.States[queue.Queued] != 50 || stats.States[queue.Delivered] != 300 {
		t.Errorf("%+v, %v", stats, err)
	}
	sites, err := s.Sites(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, site := range sites {
		if site.Queued == 0 {
			continue
		}
		broken++
		if site.Failures == 0 || site.RetryAt.Before(now.Add(time.Hour)) || site.Last == nil {
			t.Errorf("%s would be tried: %+v", site.Key, site.SiteState)
		}
	}
	if broken != 7 {
		t.Errorf("%d sites, want 7", broken)
	}
	for name, f := range map[string]queue.Filter{
		"message-id": {MessageID: MessageID("finished17")},
		"recipient":  {Recipient: mail.MustAddress("user7919@partner10.test").Canonical()},
		"day":        {Since: now.Add(-24 * time.Hour), States: []queue.State{queue.Delivered}},
	} {
		found := 0
		for r, err := range s.List(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			if r.State != queue.Delivered || len(r.History) != 1 || r.FinishedAt.IsZero() {
				t.Errorf("%+v", r)
			}
			found++
		}
		if found == 0 {
			t.Errorf("nothing is found by %s", name)
		}
	}
}
