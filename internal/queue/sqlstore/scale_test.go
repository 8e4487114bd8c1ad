package sqlstore

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/stored"
)

// TestScale measures a long queue and a long trace: with POSTERN_SCALE=1000000 a million deferred deliveries and ten
// million finished ones. It takes many minutes and some gigabytes, so it runs only when asked for.
//
// Figures of 2026-11-23 (2 cores shared with other work, virtio disk) are in docs/queue-internals.md.
func TestScale(t *testing.T) {
	n, _ := strconv.ParseInt(os.Getenv("POSTERN_SCALE"), 10, 64)
	if n == 0 {
		t.Skip("POSTERN_SCALE is not set")
	}
	dir := t.TempDir()
	s := open(t, dir)
	// The finished ones come first in time and so in number.
	if err := s.do(t.Context(), 0, func(txn *txn) error {
		txn.s.order.LastSeq = 10 * n
		return txn.Exec("DELETE FROM entry")
	}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := range n / 100 {
		if err := s.do(t.Context(), 0, func(txn *txn) error { return fill(t, txn, i*100, testTime.Add(time.Duration(i)*time.Millisecond)) }); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d deferred stored in %v", n, time.Since(start))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	start = time.Now()
	s = open(t, dir)
	t.Logf("Open: %v", time.Since(start))
	start = time.Now()
	sites, err := s.Sites(t.Context())
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("Sites: %v for %d sites (%v); heap %d MiB", time.Since(start), len(sites), err, m.HeapInuse>>20)
	start = time.Now()
	work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:broken.test", Now: testTime.Add(time.Hour), Until: testTime.Add(2 * time.Hour)})
	t.Logf("Claim of %d at the broken site: %v (%v)", len(work), time.Since(start), err)

	for k := int64(1); k <= 10; k++ {
		if err := s.do(t.Context(), 0, func(txn *txn) error { return history10(txn, n, k) }); err != nil {
			t.Fatal(err)
		}
	}
	var info os.FileInfo
	if info, err = os.Stat(s.file()); err == nil {
		t.Logf("the database has %d MiB", info.Size()>>20)
	}
	day := testTime.Add(-45 * 24 * time.Hour)
	for name, f := range map[string]queue.Filter{
		"recipient":        {Recipient: "user4711@d711.test", Limit: 100},
		"message-id":       {MessageID: "<4711.x@sender.test>", Limit: 100},
		"day":              {Since: day, Until: day.Add(24 * time.Hour), Limit: 100},
		"rare domain":      {Domain: "d711.test", Limit: 100},
		"common domain":    {Domain: "broken.test", Limit: 100},
		"newest":           {Limit: 100},
		"scope":            {Scope: scopeOf("d711.test"), Limit: 50, Look: 500},
		"empty scope":      {Scope: scopeOf("none.test"), Look: 500},
		"failed":           {States: []queue.State{queue.Failed}, Look: 500},
		"failed of scope":  {Scope: scopeOf("d711.test"), States: []queue.State{queue.Failed}, Look: 500},
		"waiting of scope": {Scope: scopeOf("d711.test"), States: []queue.State{queue.Queued, queue.Held}, Look: 500},
		"waiting":          {States: []queue.State{queue.Queued}, Limit: 100},
		"message":          {IDs: []queue.ID{"5-k4711"}, Limit: 100},
		"recipient of day": {Recipient: "user4711@d711.test", Since: day, Until: day.Add(24 * time.Hour)},
	} {
		start = time.Now()
		found, err := 0, error(nil)
		for _, e := range s.List(t.Context(), f) {
			err = e
			found++
		}
		t.Logf("List by %s: %d records in %v (%v)", name, found, time.Since(start), err)
	}
	start = time.Now()
	_, err = s.Stats(t.Context())
	t.Logf("Stats: %v (%v)", time.Since(start), err)
	start = time.Now()
	purged, err := s.Purge(t.Context(), testTime.Add(-89*24*time.Hour), 1000)
	t.Logf("Purge of %d: %v (%v)", purged, time.Since(start), err)
	start = time.Now()
	acted, err := s.Act(t.Context(), queue.Action{Kind: queue.Retry, Now: testTime.Add(time.Hour)})
	t.Logf("Act retry of %d: %v (%v)", acted.Changed, time.Since(start), err)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// fill stores 100 deferred messages, nine in ten for one broken partner.
func fill(t *testing.T, txn *txn, first int64, now time.Time) error {
	for i := first; i < first+100; i++ {
		sub, err := benchMessage(t.Context(), txn.s, i, now)
		if err != nil {
			return err
		}
		domain := "broken.test"
		if i%10 == 1 {
			domain = fmt.Sprintf("d%d.test", i%1000)
		}
		sub.Message.ID, sub.Message.MessageID = queue.ID(fmt.Sprintf("k%d", i)), fmt.Sprintf("<%d.x@sender.test>", i)
		sub.Deliveries[0].NextHop = "mx:" + domain
		sub.Deliveries[0].Recipient.Address = mail.MustAddress(fmt.Sprintf("user%d@%s", i, domain))
		n, _, err := txn.s.ready(sub)
		if err == nil {
			err = txn.insert(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// history10 copies the messages as finished ones of nine days, k times nine days ago.
func history10(txn *txn, n, k int64) error {
	const day = 24 * 3600 * 1e6
	first := 10 * n // seq of the copied ones begins above
	err := txn.Exec(`INSERT INTO message (seq, id, accepted, open, size, revision, message_id, sender, facts)
		SELECT seq - ?1, ?2 || '-' || id, accepted - ?3 + (seq - ?6) * 9 * ?5 / ?4, 0, size, revision,
		((seq - ?1) >> 16 << 40) | (message_id & ((1 << 40) - 1)), sender, facts
		FROM message WHERE seq > ?6`, k*n, strconv.FormatInt(k, 10), k*9*day, n, int64(day), first)
	if err != nil {
		return err
	}
	txn.Totals.States[stored.Delivered] += n
	return txn.Exec(`INSERT INTO delivery (id, site, state, expires, finished, attempts, noticed, reached, reason, recipient, address, facts)
		SELECT (seq - ?1) << 20, site, 3, expires, m.accepted - ?3 + (seq - ?6) * 9 * ?5 / ?4, 0, 0, 1, ?2,
		((seq - ?1) >> 16 << 40) | (recipient & ((1 << 40) - 1)), address, d.facts
		FROM message m CROSS JOIN delivery d ON d.id = m.Seq << 20 WHERE m.Seq > ?6`, k*n, "", k*9*day, n, int64(day), first)
}
