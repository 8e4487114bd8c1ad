package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

func bodies() []test {
	return []test{
		{"A body of any size comes back as it was written", bodySizes},
		{"A body can be read from any place, by many at once", bodySeeks},
		{"A body stays until the last open delivery of its message has ended", bodyStays},
		{"A draft that is discarded leaves nothing and takes nothing more", draftDiscarded},
		{"Discard after Accept does nothing", discardAfterAccept},
	}
}

// pattern is n bytes that no other offset repeats soon.
func pattern(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i*7 + i>>8*13 + i>>16)
	}
	return out
}

func bodySizes(k *suite) {
	for _, n := range []int{0, 1, 1000, 64<<10 + 1, 128 << 10, 128<<10 + 1, 1 << 20, 3<<20 + 7} {
		body := pattern(n)
		d, err := k.s.NewDraft(k.Context())
		k.no(err)
		for part := range bytes.Lines(body) { // pieces of all sizes
			_, err := d.Write(part)
			k.no(err)
		}
		sub := k.submission("", k.to("a@b.test", "mx:b.test"))
		sub.Body = d
		k.no(k.s.Accept(k.Context(), sub))
		if sub.Message.Size != int64(n) {
			k.Errorf("Size is %d, want %d", sub.Message.Size, n)
		}
		k.wantBody(sub.Message.ID, body)
	}
}

func bodySeeks(k *suite) {
	for _, n := range []int{100, 200 << 10} {
		sub := k.submission(string(pattern(n)), k.to("a@b.test", "mx:b.test"))
		k.no(k.s.Accept(k.Context(), sub))
		a, err := k.s.Open(k.Context(), sub.Message.ID)
		k.no(err)
		b, err := k.s.Open(k.Context(), sub.Message.ID)
		k.no(err)
		_, err = a.Seek(int64(n)-10, io.SeekStart)
		k.no(err)
		tail, err := io.ReadAll(a)
		k.no(err)
		whole, err := io.ReadAll(b)
		k.no(err)
		if !bytes.Equal(tail, pattern(n)[n-10:]) || !bytes.Equal(whole, pattern(n)) {
			k.Errorf("a body of %d bytes reads differently through two handles", n)
		}
		k.no(a.Close())
		k.no(b.Close())
	}
}

func bodyStays(k *suite) {
	for _, n := range []int{100, 200 << 10} {
		sub := k.submission(string(pattern(n)), k.to("a@b.test", "mx:b.test"), k.to("c@d.test", "mx:d.test"),
			k.to("e@d.test", "mx:d.test"))
		k.no(k.s.Accept(k.Context(), sub))
		st, err := k.s.Stats(k.Context())
		k.no(err)
		k.same("BodyBytes", st.BodyBytes, int64(n))
		k.no(k.settle(queue.Settlement{State: queue.Delivered}, k.claim("mx:b.test")...))
		last := k.claim("mx:d.test")
		k.no(k.settle(queue.Settlement{State: queue.Delivered}, last[0]))
		k.wantBody(sub.Message.ID, pattern(n))
		reading, err := k.s.Open(k.Context(), sub.Message.ID)
		k.no(err)
		k.no(k.settle(queue.Settlement{State: queue.Failed}, last[1]))
		_, err = k.body(sub.Message.ID)
		k.is(err, queue.ErrNotFound)
		got, err := io.ReadAll(reading)
		k.no(err)
		if !bytes.Equal(got, pattern(n)) {
			k.Error("a body that was open when its message ended reads differently")
		}
		k.no(reading.Close())
		st, err = k.s.Stats(k.Context())
		k.no(err)
		k.same("BodyBytes at the end", st.BodyBytes, int64(0))
	}
	_, err := k.body("none")
	k.is(err, queue.ErrNotFound)
}

func draftDiscarded(k *suite) {
	for _, n := range []int{10, 200 << 10} {
		d := k.draft(pattern(n))
		k.no(d.Discard())
		k.no(d.Discard())
		if _, err := d.Write([]byte("x")); err == nil {
			k.Error("a discarded draft took more")
		}
		sub := k.submission("", k.to("a@b.test", "mx:b.test"))
		sub.Body = d
		if err := k.s.Accept(k.Context(), sub); err == nil {
			k.Error("a message with a discarded body was accepted")
		}
	}
	k.same("records", k.list(queue.Filter{}), []queue.Record(nil))
}

func discardAfterAccept(k *suite) {
	for _, n := range []int{10, 200 << 10} {
		sub := k.submission(string(pattern(n)), k.to("a@b.test", "mx:b.test"))
		k.no(k.s.Accept(k.Context(), sub))
		k.no(sub.Body.Discard())
		k.wantBody(sub.Message.ID, pattern(n))
		again := &queue.Submission{Message: sub.Message, Deliveries: sub.Deliveries, Body: sub.Body}
		again.Message.ID = queue.NewID(k.now, uint32(n))
		if err := k.s.Accept(k.Context(), again); err == nil {
			k.Error("one body was accepted for two messages")
		}
	}
}

func upkeep() []test {
	return []test{
		{"Sites lists where mail waits or what fails, once, with what waits there", sitesList},
		{"TookMail tells which sites took mail of somebody lately, as far as the newest deliveries tell", tookMail},
		{"Purge deletes what has ended and nothing that waits", purges},
		{"Purge forgets sites that nothing refers to", purgesSites},
		{"Stats counts, and knows the oldest that waits", stats},
		{"An ended context is an error before anything happens", endedContext},
		{"A closed store answers with errors", closedStore},
	}
}

func sitesList(k *suite) {
	forced := policy.Combine(policy.Requirement{Channel: policy.Authenticated})
	held, later := k.to("held@h.test", "mx:h.test"), k.to("later@b.test", "mx:b.test")
	held.State, held.Due, later.Due = queue.Held, time.Time{}, k.now.Add(time.Hour)
	k.accept(k.to("a@b.test", "mx:b.test"), later, held, k.to("f@b.test", "mx:b.test", forced),
		k.to("x@done.test", "mx:done.test"), k.to("x@broken.test", "mx:broken.test"))
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, k.one("mx:done.test")))
	broken := queue.SiteState{Failures: 1, Since: k.now, RetryAt: k.now.Add(time.Minute)}
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now,
		Sites:       map[queue.SiteKey]queue.SiteState{"mx:broken.test": broken},
		Settlements: []queue.Settlement{{Lease: k.one("mx:broken.test").Lease, State: queue.Failed}}}))
	k.one("mx:b.test") // what is leased still waits
	sites, err := k.s.Sites(k.Context())
	k.no(err)
	k.same("Sites", sites, []queue.Site{
		{Key: "mx:b.test", NextHop: "mx:b.test", Queued: 2, Earliest: k.now},
		{Key: queue.NewSiteKey("mx:b.test", forced), NextHop: "mx:b.test", Requirement: forced, Queued: 1,
			Earliest: k.now}, {Key: "mx:broken.test", NextHop: "mx:broken.test", SiteState: broken},
		{Key: "mx:h.test", NextHop: "mx:h.test", Held: 1},
	})
}

func (k *suite) purge(before time.Time, limit int) int {
	k.Helper()
	n, err := k.s.Purge(k.Context(), before, limit)
	k.no(err)
	return n
}

func purges(k *suite) {
	for i := range 5 {
		k.accept(k.to(fmt.Sprintf("a%d@b.test", i), "mx:b.test"), k.to(fmt.Sprintf("b%d@b.test", i), "mx:c.test"))
	}
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, k.claim("mx:b.test")...))
	work := k.claim("mx:c.test")
	k.no(k.settle(queue.Settlement{State: queue.Failed}, work[0], work[1], work[2]))
	k.later(time.Hour)
	k.no(k.settle(queue.Settlement{State: queue.Failed}, work[3]))
	k.same("purged too early", k.purge(k.now.Add(-time.Hour), 10), 0)
	k.same("purged", []int{k.purge(k.now, 2), k.purge(k.now, 2), k.purge(k.now, 2)}, []int{2, 1, 0})
	k.same("left", named(k.list(queue.Filter{})), []string{"b4", "a4", "b3", "a3"})
	k.same("by a purged recipient", named(k.list(queue.Filter{Recipient: "a0@b.test"})), []string(nil))
	k.wantStates(map[queue.State]int64{queue.Sending: 1, queue.Delivered: 2, queue.Failed: 1})
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, work[4]))
	k.later(time.Hour)
	k.same("purged at last", k.purge(k.now, 10), 2)
	k.wantStates(map[queue.State]int64{})
}

func purgesSites(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"), k.to("c@d.test", "mx:d.test"))
	failing := queue.SiteState{Failures: 1, RetryAt: k.now.Add(2 * time.Hour)}
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now,
		Sites: map[queue.SiteKey]queue.SiteState{"mx:d.test": failing}}))
	k.no(k.settle(queue.Settlement{State: queue.Failed}, k.one("mx:b.test"), k.one("mx:d.test")))
	setting := func(key queue.SiteKey) error {
		return k.s.Settle(k.Context(), queue.Batch{Now: k.now, Sites: map[queue.SiteKey]queue.SiteState{key: failing}})
	}
	k.later(time.Hour)
	k.same("purged", k.purge(k.now, 10), 1)
	k.is(setting("mx:b.test"), queue.ErrNotFound)
	k.no(setting("mx:d.test"))
	k.later(2 * time.Hour)
	k.same("purged later", k.purge(k.now, 10), 0)
	k.is(setting("mx:d.test"), queue.ErrNotFound)
	k.accept(k.to("a@b.test", "mx:b.test")) // the site is made anew
	k.one("mx:b.test")
}

func tookMail(k *suite) {
	deliver := func(from, site string, state queue.State) {
		sub := k.submission("x", k.to("a@x.test", site))
		sub.Message.Envelope.From = mail.Address{}
		if from != "" {
			sub.Message.Envelope.From = mail.MustAddress(from)
		}
		k.no(k.s.Accept(k.Context(), sub))
		k.no(k.settle(queue.Settlement{State: state}, k.one(site)))
		k.later(time.Minute)
	}
	first := k.now
	deliver("u@home.test", "mx:old.test", queue.Delivered)
	second := k.now
	deliver("u@home.test", "mx:a.test", queue.Delivered)
	deliver("u@home.test", "mx:refuses.test", queue.Failed)
	deliver("", "mx:reported.test", queue.Delivered)
	deliver("u@home.test", "mx:b.test", queue.Delivered)
	last := k.now
	deliver("u@home.test", "mx:a.test", queue.Delivered)
	k.accept(k.to("a@x.test", "mx:waits.test"))
	took := func(since time.Time, limit int) map[queue.SiteKey]time.Time {
		got, err := k.s.TookMail(k.Context(), since, limit)
		k.no(err)
		return got
	}
	b := last.Add(-time.Minute)
	k.same("all", took(first, 100),
		map[queue.SiteKey]time.Time{"mx:old.test": first, "mx:a.test": last, "mx:b.test": b})
	k.same("since", took(second, 100), map[queue.SiteKey]time.Time{"mx:a.test": last, "mx:b.test": b})
	k.same("the newest", took(first, 2), map[queue.SiteKey]time.Time{"mx:a.test": last})
}

func stats(k *suite) {
	st := k.wantStates(map[queue.State]int64{})
	k.same("Oldest of nothing", st.Oldest, time.Time{})
	first := k.now
	k.accept(k.to("a@b.test", "mx:b.test"))
	k.later(time.Hour)
	k.accept(k.to("c@d.test", "mx:d.test"))
	st = k.wantStates(map[queue.State]int64{queue.Queued: 2})
	k.same("Oldest", st.Oldest, first)
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, k.one("mx:b.test")))
	st = k.wantStates(map[queue.State]int64{queue.Queued: 1, queue.Delivered: 1})
	k.same("Oldest after the first ended", st.Oldest, k.now)
}

// everyMethod calls each method that takes a context and returns its error.
func (k *suite) everyMethod(ctx context.Context, sub *queue.Submission) map[string]error {
	out := map[string]error{}
	_, out["NewDraft"] = k.s.NewDraft(ctx)
	out["Accept"] = k.s.Accept(ctx, sub)
	_, out["Claim"] = k.s.Claim(ctx, queue.Claim{Overdue: true, Now: k.now})
	out["Settle"] = k.s.Settle(ctx, queue.Batch{Now: k.now})
	out["Extend"] = k.s.Extend(ctx, nil, k.now)
	_, out["Open"] = k.s.Open(ctx, sub.Message.ID)
	_, out["Sites"] = k.s.Sites(ctx)
	_, out["TookMail"] = k.s.TookMail(ctx, k.now, 1)
	_, out["Act"] = k.s.Act(ctx, queue.Action{Kind: queue.Retry, Now: k.now})
	_, out["Purge"] = k.s.Purge(ctx, k.now, 1)
	_, out["Stats"] = k.s.Stats(ctx)
	for _, err := range k.s.List(ctx, queue.Filter{}) {
		out["List"] = err
	}
	return out
}

func endedContext(k *suite) {
	ctx, cancel := context.WithCancel(k.Context())
	cancel()
	for name, err := range k.everyMethod(ctx, k.submission("x", k.to("a@b.test", "mx:b.test"))) {
		if err == nil {
			k.Errorf("%s went on under an ended context", name)
		}
	}
	k.wantStates(map[queue.State]int64{})
}

func closedStore(k *suite) {
	sub := k.submission("x", k.to("a@b.test", "mx:b.test"))
	k.no(k.s.Close())
	for name, err := range k.everyMethod(k.Context(), sub) {
		if err == nil {
			k.Errorf("%s was answered", name)
		}
	}
	k.no(k.s.Close())
}
