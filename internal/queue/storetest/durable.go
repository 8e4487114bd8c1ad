package storetest

import (
	"errors"
	"testing"
	"time"

	"postern/internal/operator/audit"
	"postern/internal/policy"
	"postern/internal/queue"
)

// DurableStore is a store that outlives its handle, with the ledger it keeps.
type DurableStore interface {
	queue.Store
	audit.Ledger
}

// RunDurable runs the tests of what must be there after closing and opening again. open opens the store at a place: a
// folder that is the test's own.
func RunDurable(t *testing.T, open func(t *testing.T, place string) DurableStore) {
	t.Run("G1 what was accepted is there after opening again", func(t *testing.T) { outlives(t, open) })
	t.Run("G3 what ended is the same record after opening again", func(t *testing.T) { recordOutlives(t, open) })
	t.Run("A wish outlives the process and its lease", func(t *testing.T) { wishOutlives(t, open) })
	t.Run("The ledger is there after opening again", func(t *testing.T) { ledgerOutlives(t, open) })
}

// reopen closes the store and opens it again.
func (k *suite) reopen(place string, open func(t *testing.T, place string) DurableStore) {
	k.Helper()
	k.no(k.s.Close())
	s := open(k.T, place)
	k.Cleanup(func() { k.no(s.Close()) })
	k.s = s
}

func outlives(t *testing.T, open func(t *testing.T, place string) DurableStore) {
	place := t.TempDir()
	k := newSuite(t, open(t, place))
	sizes := map[queue.ID]int{}
	for _, n := range []int{0, 100, 64 << 10, 128 << 10, 300 << 10} {
		sub := k.submission(string(pattern(n)),
			k.to("a@b.test", "mx:b.test", policy.Requirement{Channel: policy.Authenticated}),
			k.to("c@d.test", "mx:d.test"))
		k.no(k.s.Accept(k.Context(), sub))
		sizes[sub.Message.ID] = n
	}
	before := k.list(queue.Filter{})
	sites, err := k.s.Sites(k.Context())
	k.no(err)
	k.reopen(place, open)
	k.same("records", k.list(queue.Filter{}), before)
	again, err := k.s.Sites(k.Context())
	k.no(err)
	k.same("Sites", again, sites)
	for id, n := range sizes {
		k.wantBody(id, pattern(n))
	}
	k.wantStates(map[queue.State]int64{queue.Queued: 10})
	k.accept(k.to("new@b.test", "mx:b.test"))
	k.same("newest", k.list(queue.Filter{Limit: 1})[0].Recipient.Address.Local, "new")
}

func recordOutlives(t *testing.T, open func(t *testing.T, place string) DurableStore) {
	place := t.TempDir()
	k := newSuite(t, open(t, place))
	id := k.accept(k.to("a@b.test", "mx:b.test"))
	k.accept(k.to("c@d.test", "mx:d.test"))
	dsn := k.submission("bounce", k.to("s@sender.test", "mx:sender.test"))
	dsn.Message.Kind, dsn.Message.About = queue.DSN, id
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now, New: []*queue.Submission{dsn},
		Settlements: []queue.Settlement{{Lease: k.one("mx:b.test").Lease, State: queue.Failed,
			Reason: policy.Remote5xx}},
		Sites: map[queue.SiteKey]queue.SiteState{"mx:d.test": {Failures: 3, Since: k.now,
			RetryAt: k.now.Add(time.Hour)}}}))
	k.act(queue.Hold, queue.Action{Domains: []string{"d.test"}})
	before := k.list(queue.Filter{})
	k.reopen(place, open)
	k.same("records", k.list(queue.Filter{}), before)
	k.wantStates(map[queue.State]int64{queue.Failed: 1, queue.Held: 1, queue.Queued: 1})
	_, err := k.body(id)
	k.is(err, queue.ErrNotFound)
	k.wantBody(dsn.Message.ID, []byte("bounce"))
}

func ledgerOutlives(t *testing.T, open func(t *testing.T, place string) DurableStore) {
	place := t.TempDir()
	k := newSuite(t, open(t, place))
	testLedger(k, k.s.(audit.Ledger))
	k.reopen(place, open)
	kept, err := k.s.(audit.Ledger).Entries(k.Context(), 0, 10)
	k.no(err)
	k.same("entries", len(kept), 3)
	rules, err := k.s.(audit.Ledger).Rules(k.Context())
	k.no(err)
	k.same("revision", rules, audit.Revision{Number: 2, Text: "second", AppliedAt: k.now, By: "b"})
	newest, err := k.s.(audit.Ledger).Judgement(k.Context())
	k.no(err)
	k.same("judgement", newest, audit.Judgement{Number: 7, Rules: 1, Tables: "t2", Files: "f2"})
}

// RunLedger runs the tests of a new empty ledger.
func RunLedger(t *testing.T, l audit.Ledger) {
	testLedger(&suite{T: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}, l)
}

func testLedger(k *suite, l audit.Ledger) {
	none, err := l.Rules(k.Context())
	k.no(err)
	k.same("rules of an empty ledger", none, audit.Revision{})
	entries, err := l.Entries(k.Context(), 0, 10)
	k.no(err)
	k.same("entries of an empty ledger", len(entries), 0)
	first := audit.Entry{At: k.now, By: "a", Action: "rules apply", Target: "t", Before: "", After: "first", Count: 1}
	r, err := l.AppendRules(k.Context(), "first", first)
	k.no(err)
	k.same("first revision", r, audit.Revision{Number: 1, Text: "first", AppliedAt: k.now, By: "a"})
	k.no(l.Append(k.Context(), audit.Entry{At: k.now, By: "x", Action: "queue cancel"}))
	r, err = l.AppendRules(k.Context(), "second", audit.Entry{At: k.now, By: "b", Action: "rules apply"})
	k.no(err)
	k.same("second revision", r, audit.Revision{Number: 2, Text: "second", AppliedAt: k.now, By: "b"})
	newest, err := l.Rules(k.Context())
	k.no(err)
	k.same("newest revision", newest, r)
	entries, err = l.Entries(k.Context(), 0, 2)
	k.no(err)
	k.same("newest entries", entries, []audit.Entry{{ID: 3, At: k.now, By: "b", Action: "rules apply"},
		{ID: 2, At: k.now, By: "x", Action: "queue cancel"}})
	entries, err = l.Entries(k.Context(), 0, 10)
	k.no(err)
	first.ID = 1
	k.same("oldest entry", entries[len(entries)-1], first)
	entries, err = l.Entries(k.Context(), 3, 1)
	k.no(err)
	k.same("the entry below the third", entries, []audit.Entry{{ID: 2, At: k.now, By: "x", Action: "queue cancel"}})
	testRevisions(k, l, r)
	testJudgement(k, l)
}

// testJudgement: the number grows with every difference and where one asks, and is above every revision.
func testJudgement(k *suite, l audit.Ledger) {
	none, err := l.Judgement(k.Context())
	k.no(err)
	k.same("judgement of an empty ledger", none, audit.Judgement{})
	j := audit.Judgement{Rules: 2, Tables: "t", Files: "f"}
	judge := func(what string, j audit.Judgement, anew bool, want int64) {
		k.Helper()
		got, err := l.Judge(k.Context(), j, anew)
		k.no(err)
		j.Number = want
		k.same(what, got, j)
		newest, err := l.Judgement(k.Context())
		k.no(err)
		k.same("the newest after "+what, newest, j)
	}
	judge("the first is above the revisions", j, false, 3)
	judge("the same again", j, false, 3)
	judge("the same, judged anew", j, true, 4)
	j.Tables = "t2"
	judge("other tables", j, false, 5)
	j.Files = "f2"
	judge("other files", j, false, 6)
	j.Rules = 1
	judge("other rules", j, false, 7)
	judge("the last again", j, false, 7)
}

// testRevisions: older revisions stay as they were applied. second is the newest of two.
func testRevisions(k *suite, l audit.Ledger, second audit.Revision) {
	all, err := l.Revisions(k.Context(), 0, 10)
	k.no(err)
	k.same("revisions", len(all), 2)
	k.same("the newest of all", all[0], second)
	older, err := l.Revisions(k.Context(), 2, 10)
	k.no(err)
	k.same("those below the second", older, all[1:])
	one, err := l.Revision(k.Context(), 1)
	k.no(err)
	k.same("the first", one, all[1])
	for _, number := range []int64{0, 3, -1} {
		if _, err := l.Revision(k.Context(), number); !errors.Is(err, audit.ErrNotFound) {
			k.Errorf("revision %d: %v", number, err)
		}
	}
}
