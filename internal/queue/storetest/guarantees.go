package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

func guarantees() []test {
	return []test{
		{"G1 an accepted message is there with its envelope and its body", acceptedIsThere},
		{"G1 a message that was refused leaves nothing", refusedLeavesNothing},
		{"G2 every accepted recipient is in exactly one state", oneState},
		{"G3 the end of a delivery, its record and its DSN come together", settledTogether},
		{"G3 a batch that is refused changes nothing", refusedChangesNothing},
		{"G4 a running lease is nobody else's", leaseIsExclusive},
		{"G4 claims of many workers never overlap", claimsNeverOverlap},
		{"G4 an expired lease can be claimed by another worker", expiredLease},
		{"G4 a late settle under an old lease is refused whole", lateSettle},
		{"G4 an expired lease nobody took still settles", expiredUnclaimed},
		{"G4 an extended lease does not expire before its new time", extended},
		{"G5 a delivery that ended cannot be settled again, so it has one DSN", oneDSN},
		{"G6 what is read is what was written", readsWhatWasWritten},
	}
}

func acceptedIsThere(k *suite) {
	id := k.accept(k.to("a@b.test", "mx:b.test"), k.to("c@d.test", "mx:d.test"))
	k.same("recipients", sorted(k.list(queue.Filter{IDs: []queue.ID{id}})), []string{"a", "c"})
	k.wantBody(id, []byte("Subject: a\r\n\r\nbody\r\n"))
}

func refusedLeavesNothing(k *suite) {
	first := k.submission("x", k.to("a@b.test", "mx:b.test"))
	k.no(k.s.Accept(k.Context(), first))
	again := k.submission("y", k.to("c@b.test", "mx:b.test"))
	again.Message.ID = first.Message.ID
	if err := k.s.Accept(k.Context(), again); err == nil {
		k.Fatal("two messages of one ID were accepted")
	}
	born := k.to("e@b.test", "mx:b.test")
	born.State = queue.Delivered
	for name, bad := range map[string]*queue.Submission{
		"no body":       {Message: again.Message, Deliveries: again.Deliveries},
		"no recipient":  k.submission("z"),
		"born finished": k.submission("z", born),
	} {
		if err := k.s.Accept(k.Context(), bad); err == nil {
			k.Errorf("%s: accepted", name)
		}
	}
	k.wantBody(first.Message.ID, []byte("x"))
	k.same("recipients", sorted(k.list(queue.Filter{})), []string{"a"})
	k.wantStates(map[queue.State]int64{queue.Queued: 1})
	again.Message.ID = queue.NewID(k.now, 99)
	k.no(k.s.Accept(k.Context(), again)) // the caller may go on with its draft
	k.wantBody(again.Message.ID, []byte("y"))
}

func oneState(k *suite) {
	held := k.to("held@b.test", "mx:b.test")
	held.State, held.Due, held.Deadline = queue.Held, time.Time{}, time.Time{}
	k.accept(k.to("queued@b.test", "mx:other.test"), held)
	for _, name := range []string{"sending", "delivered", "failed", "cancelled", "deferred", "parked"} {
		k.accept(k.to(name+"@b.test", "mx:"+name+".test"))
	}
	k.one("mx:sending.test")
	for name, state := range map[string]queue.State{"delivered": queue.Delivered, "failed": queue.Failed,
		"cancelled": queue.Cancelled, "deferred": queue.Queued, "parked": queue.Held} {
		k.no(k.settle(queue.Settlement{State: state}, k.one("mx:"+name+".test")))
		k.wantState(name+"@b.test", state)
	}
	k.wantState("sending@b.test", queue.Sending)
	k.wantState("queued@b.test", queue.Queued)
	k.wantState("held@b.test", queue.Held)
	k.wantStates(map[queue.State]int64{queue.Queued: 2, queue.Sending: 1, queue.Held: 2, queue.Delivered: 1,
		queue.Failed: 1, queue.Cancelled: 1})
}

func settledTogether(k *suite) {
	id := k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	k.later(time.Second)
	dsn := k.submission("bounce", k.to("s@sender.test", "mx:sender.test"))
	dsn.Message.Kind, dsn.Message.About = queue.DSN, id
	tried := &attempt.Attempt{At: k.now, Reason: policy.Remote5xx, Reply: &attempt.Reply{Code: 550, Text: "no"}}
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now, New: []*queue.Submission{dsn}, Settlements: []queue.Settlement{
		{Lease: w.Lease, State: queue.Failed, Reason: policy.Remote5xx, Reached: policy.Encrypted, Attempt: tried},
	}}))
	r := k.record("a@b.test")
	if r.State != queue.Failed || r.Reason != policy.Remote5xx || r.Reached != policy.Encrypted || r.Attempts != 1 ||
		!r.FinishedAt.Equal(k.now) || !r.Due.IsZero() || !r.Deadline.IsZero() {
		k.Errorf("the record is %+v", r.Delivery)
	}
	k.same("History", r.History, []attempt.Attempt{*tried})
	if n := k.record("s@sender.test"); n.State != queue.Queued || n.Message.About != id || n.Message.Kind != queue.DSN {
		k.Errorf("the notice is %+v", n)
	}
	if dsn.Deliveries[0].ID == 0 {
		k.Error("the notice's delivery got no ID")
	}
	k.wantBody(dsn.Message.ID, []byte("bounce"))
	_, err := k.body(id)
	k.is(err, queue.ErrNotFound)
}

func refusedChangesNothing(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"), k.to("c@b.test", "mx:b.test"))
	work := k.claim("mx:b.test")
	before := k.list(queue.Filter{})
	dsn := k.submission("bounce", k.to("s@sender.test", "mx:sender.test"))
	good := queue.Batch{Now: k.now, New: []*queue.Submission{dsn}, Settlements: []queue.Settlement{
		{Lease: work[0].Lease, State: queue.Failed, Attempt: &attempt.Attempt{}},
		{Lease: work[1].Lease, State: queue.Delivered},
	}}
	spoil := map[string]func(b *queue.Batch) error{
		"a stale lease": func(b *queue.Batch) error {
			b.Settlements[1].Lease.Token += 1000
			return queue.ErrStaleLease
		},
		"a lease named twice": func(b *queue.Batch) error {
			b.Settlements[1].Lease = b.Settlements[0].Lease
			return queue.ErrStaleLease
		},
		"a site that does not exist": func(b *queue.Batch) error {
			b.Sites = map[queue.SiteKey]queue.SiteState{"mx:nowhere.test": {Failures: 1}}
			return queue.ErrNotFound
		},
		"a state that is none": func(b *queue.Batch) error {
			b.Settlements[1].State = queue.Sending
			return nil
		},
		"the same new message twice": func(b *queue.Batch) error {
			b.New = append(b.New, &queue.Submission{Message: dsn.Message, Deliveries: dsn.Deliveries,
				Body: k.draft(nil)})
			return nil
		},
	}
	for name, spoiled := range spoil {
		b := good
		b.Settlements = append([]queue.Settlement{}, good.Settlements...)
		want := spoiled(&b)
		err := k.s.Settle(k.Context(), b)
		if err == nil || want != nil && !errors.Is(err, want) {
			k.Errorf("%s: error %v, want %v", name, err, want)
		}
		k.same(name+": the records", k.list(queue.Filter{}), before)
	}
	k.no(k.s.Settle(k.Context(), good)) // the leases and the draft are still good
	k.wantStates(map[queue.State]int64{queue.Failed: 1, queue.Delivered: 1, queue.Queued: 1})
}

func leaseIsExclusive(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	k.later(59 * time.Second)
	k.same("claims of what is leased", [][]queue.Work{
		k.claim("mx:b.test"), k.claimAs(queue.Claim{IDs: []queue.DeliveryID{w.ID}}),
	}, [][]queue.Work{nil, nil})
	k.later(3 * time.Hour)
	k.no(k.s.Extend(k.Context(), []queue.Lease{w.Lease}, k.now.Add(time.Minute)))
	if got := k.claimAs(queue.Claim{Overdue: true}); len(got) != 0 {
		k.Error("an overdue delivery was claimed under a running lease")
	}
}

func claimsNeverOverlap(k *suite) {
	const messages, workers = 60, 8
	for i := range messages {
		k.accept(k.to(fmt.Sprintf("r%d@b.test", i), "mx:b.test"))
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	times := map[queue.DeliveryID]int{}
	for range workers {
		wg.Go(func() {
			for {
				work, err := k.s.Claim(k.Context(),
					queue.Claim{Site: "mx:b.test", Now: k.now, Until: k.now.Add(time.Minute), Limit: 3})
				if err != nil || len(work) == 0 {
					if err != nil {
						k.Error(err)
					}
					return
				}
				mu.Lock()
				for _, w := range work {
					times[w.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(times) != messages {
		k.Errorf("%d deliveries were claimed, want %d", len(times), messages)
	}
	for id, n := range times {
		if n != 1 {
			k.Errorf("delivery %d was claimed %d times", id, n)
		}
	}
}

func expiredLease(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	first := k.one("mx:b.test")
	k.later(time.Minute)
	second := k.one("mx:b.test")
	if second.ID != first.ID || second.Lease.Token == first.Lease.Token || second.Was != queue.Queued {
		k.Errorf("claimed %+v after %+v", second.Lease, first.Lease)
	}
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, second))
	k.wantState("a@b.test", queue.Delivered)
}

func lateSettle(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	k.accept(k.to("c@d.test", "mx:d.test"))
	late := k.one("mx:b.test")
	k.later(time.Minute)
	taken, mine := k.one("mx:b.test"), k.one("mx:d.test")
	k.is(k.settle(queue.Settlement{State: queue.Delivered}, mine, late), queue.ErrStaleLease)
	k.is(k.s.Extend(k.Context(), []queue.Lease{mine.Lease, late.Lease}, k.now.Add(time.Hour)), queue.ErrStaleLease)
	k.wantState("a@b.test", queue.Sending)
	k.wantState("c@d.test", queue.Sending)
	k.no(k.settle(queue.Settlement{State: queue.Queued, Due: k.now}, taken))
	k.is(k.settle(queue.Settlement{State: queue.Failed}, late), queue.ErrStaleLease)
	k.wantState("a@b.test", queue.Queued)
}

func expiredUnclaimed(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	k.later(time.Hour)
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, w))
	k.wantState("a@b.test", queue.Delivered)
}

func extended(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	k.no(k.s.Extend(k.Context(), []queue.Lease{w.Lease}, k.now.Add(time.Hour)))
	k.later(59 * time.Minute)
	if len(k.claim("mx:b.test")) != 0 {
		k.Error("an extended lease was given away")
	}
	k.later(time.Minute)
	k.one("mx:b.test")
	k.is(k.s.Extend(k.Context(), []queue.Lease{w.Lease}, k.now), queue.ErrStaleLease)
}

func oneDSN(k *suite) {
	id := k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	bounce := func() error {
		dsn := k.submission("bounce", k.to("s@sender.test", "mx:sender.test"))
		dsn.Message.Kind, dsn.Message.About = queue.DSN, id
		return k.s.Settle(k.Context(), queue.Batch{Now: k.now, New: []*queue.Submission{dsn},
			Settlements: []queue.Settlement{{Lease: w.Lease, State: queue.Failed}}})
	}
	k.no(bounce())
	k.is(bounce(), queue.ErrStaleLease)
	k.record("s@sender.test")
	k.later(time.Hour)
	if n := len(k.claimAs(queue.Claim{IDs: []queue.DeliveryID{w.ID}})) + len(k.claim("mx:b.test")); n != 0 {
		k.Error("a finished delivery was claimed")
	}
}

// readsWhatWasWritten gives every field a value.
func readsWhatWasWritten(k *suite) {
	requirement := policy.Combine(policy.Requirement{Channel: policy.Authenticated, Aim: policy.Authenticated,
		MX:         policy.MXPinned,
		Revocation: policy.RevocationCheck, MinTLS: 0x0304, WithoutTLS: policy.WithoutTLSReject, RequireTLS: true,
		Peer: []policy.PeerDemand{{Trust: "ca.pem", Pins: []string{"sha256:00"},
			Names: policy.Names{MX: true, Domain: true, List: []string{"*.b.test"}}}}})
	tls := &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519", Signature: "RSA",
		ServerName: "gw.test", Resumed: true, Client: &mail.ClientCertificate{Presented: true, Subject: "CN=é\u2028"}}
	tried := attempt.Attempt{At: k.now, TookMS: 5, Reason: policy.CertExpired, Text: "t",
		Notes: []string{"mx-unproven"},
		Reply: &attempt.Reply{Host: "mx.b.test", Command: "RCPT", Code: 450, Status: "4.2.0", Text: "later"},
		Tries: []attempt.Try{{At: k.now, Host: "mx.b.test", IP: netip.MustParseAddr("2001:db8::1"), Port: 25,
			Rung: attempt.Modern, Reached: policy.Encrypted, Reason: policy.CertExpired, Remote: "r", Alert: "a",
			Shortfalls: []policy.Shortfall{{Reason: policy.CertExpired, Text: "x"}},
			Evidence: &policy.Evidence{TLS: tls, Expected: []string{"mx.b.test"},
				Chain: []policy.Certificate{{Subject: "s", NotAfter: k.now}}}}}}
	d := k.to("\"A b\"@b.test", "to:x:25", requirement)
	d.Recipient.ORCPT, d.Recipient.Notify = "rfc822;a+20b@b.test", mail.NotifyDelay|mail.NotifyFailure
	d.Rules, d.Matched, d.Tested = []string{"clinic", "bank"}, true, []string{"probe"}
	d.Effects = policy.Effects{{Rule: "portal", Kind: policy.EffectRedirect, Route: "portal"},
		{Rule: "mark", Kind: policy.EffectAddHeader, Fields: []policy.Field{{Name: "X-A", Value: "b"}}},
		{Rule: "later", Kind: policy.EffectHold, Days: 7, Then: policy.ThenReturn, Test: true}}
	d.Demands = []policy.Demand{{Source: policy.FromRule("clinic"), Requirement: requirement},
		{Source: policy.FromRule("bank")}}
	sub := k.submission("head\r\n\r\nbody", d)
	m := &sub.Message
	m.Kind, m.About, m.RulesRevision, m.Judged, m.HeaderSize = queue.Alert, "0000000000000001", 7, 9, 8
	m.Stamped, m.EightBit, m.HeaderUTF8, m.Waives = 6, true, true, true
	m.Digest = &mail.Digest{Names: []string{"subject", "x-class"}, Text: []byte("Subject: one\r\n two \xe9\r\n")}
	m.Envelope = mail.Envelope{From: mail.MustAddress("é@sender.test"), Body: mail.Body8BitMIME, UTF8: true,
		Ret: mail.ReturnHeaders, EnvID: "QQ+2B", RequireTLS: true}
	m.Inbound = queue.Inbound{Client: netip.MustParseAddr("192.0.2.1"), Helo: "client.test", Listener: ":25",
		Relayed: true, Bound: []string{"example.com", "*.example.org"}, Protocol: "UTF8SMTPS", User: "u", TLS: tls}
	k.no(k.s.Accept(k.Context(), sub))
	if m.Size != 12 || sub.Deliveries[0].ID == 0 {
		k.Errorf("Accept left Size %d, delivery ID %d", m.Size, sub.Deliveries[0].ID)
	}

	key := queue.NewSiteKey("to:x:25", requirement)
	state := queue.SiteState{Failures: 3, Since: k.now, RetryAt: k.now.Add(time.Minute), Last: &tried}
	w := k.one(string(key))
	k.same("Work.Message", w.Message, *m)
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now, Sites: map[queue.SiteKey]queue.SiteState{key: state},
		Settlements: []queue.Settlement{{Lease: w.Lease, State: queue.Queued, Due: k.now.Add(time.Hour),
			Deadline: k.now.Add(2 * time.Hour), Attempt: &tried, Reason: policy.CertExpired, Noticed: true}}}))

	want := queue.Record{Delivery: d.Delivery, Message: *m, NextHop: "to:x:25", SiteState: state}
	want.ID, want.Delivery.Message, want.State, want.Site = sub.Deliveries[0].ID, m.ID, queue.Queued, key
	want.AcceptedAt, want.Due, want.Noticed, want.Attempts = k.now, k.now.Add(time.Hour), true, 1
	want.Reason, want.History = policy.CertExpired, []attempt.Attempt{tried}
	k.same("Record", k.list(queue.Filter{}), []queue.Record{want})
	sites, err := k.s.Sites(k.Context())
	k.no(err)
	k.same("Sites", sites, []queue.Site{{Key: key, NextHop: "to:x:25", Requirement: requirement, SiteState: state,
		Queued: 1, Earliest: k.now.Add(time.Hour)}})
}
