package web

import (
	"context"
	"iter"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/lab/testkit/tenants"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/platform/passhash"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// endless is a store so full that no search of it ends.
type endless struct{ *memstore.Store }

// List looks at one message and has more.
func (endless) List(_ context.Context, f queue.Filter) iter.Seq2[queue.Record, error] {
	return func(yield func(queue.Record, error) bool) {
		after := f.After
		if after == 0 {
			after = 1 << 50
		}
		yield(queue.Record{}, &queue.Unfinished{After: after - 1, AcceptedAt: backlog.Noon})
	}
}

// A search that did not look at everything is never "none": the pages of somebody who is limited to domains say how far
// they looked, and where the search goes on.
func TestAnUnfinishedSearchIsNeverNone(t *testing.T) {
	cfg, store, _ := tenants.Config(t)
	cfg.Store = endless{store}
	b := &browser{T: t, store: store, s: admin.New(cfg), a: accounts.New(accounts.Config{Book: accounts.NewBook(store), Ledger: store, Cost: passhash.Cost{KiB: 64, Passes: 1}})}
	h, err := New(Config{Service: b.s, Accounts: b.a})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	b.at = server.URL
	b.become("nina", access.Auditor, tenants.Domain)
	for path, more := range map[string]string{"/": "/trace?after=", "/trace": "/trace?after=", "/trace?any=partner.test": "after=", "/queue": "", "/destinations": "", "/destinations/partner.test": "/trace?after="} {
		p := b.get(path).has(b, 200, "ot everything was looked at", more)
		for _, none := range []string{"No mail yet", "Nothing waits", "None: no mail", "No server was talked to", "Nothing found.", "No mail went", "never written to"} {
			if strings.Contains(plain(p.tree), none) {
				t.Errorf("%s says %q of what it did not look at", path, none)
			}
		}
	}
	if p := b.get("/trace"); !strings.Contains(p.text, "data-search-on") {
		t.Error("no script would search on")
	}
}
