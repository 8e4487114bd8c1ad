// Package backlog fills a data folder with mail from before: deliveries that wait at broken sites, and finished ones.
// It goes through the port of the queue, so that what it makes is what a gateway would have made, whatever the store's
// form is.
package backlog

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/sqlstore"
)

// Config says what to make.
type Config struct {
	// Waiting messages of one recipient each, spread evenly over Sites sites that have failed and are not tried again
	// for two hours.
	Waiting, Sites int
	// Finished deliveries of messages with Recipients each, accepted and delivered over TLS in the last day; rounded
	// down to a hundred.
	Finished int
	// Now is the time the folder is made for.
	Now time.Time
}

// Recipients of a finished message, and how many of these messages are settled at once.
const (
	Recipients = 10
	settled    = 10
)

// writers is how many callers the store has; it commits them in groups.
const writers = 64

// body is what a message holds; that of a finished one is gone anyway.
func body() []byte {
	return []byte("Subject: backlog\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 16))
}

// Fill makes the folder's queue. The folder must exist and be unused.
func Fill(ctx context.Context, dir string, c Config) (err error) {
	s, err := sqlstore.Open(ctx, sqlstore.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer func() {
		if failed := s.Close(); err == nil {
			err = failed
		}
	}()
	f := filler{s, c}
	if err := each(ctx, c.Finished/Recipients/settled, f.history); err != nil {
		return err
	}
	if err := each(ctx, c.Waiting, f.waiting); err != nil {
		return err
	}
	return f.breakSites(ctx)
}

// each calls do for 0 to n-1 from many goroutines, in order as far as that goes.
func each(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

type filler struct {
	store *sqlstore.Store
	c     Config
}

// site is where mail for the n-th broken domain waits.
func site(n int) string { return fmt.Sprintf("mx:broken%d.test", n) }

func (f filler) waiting(ctx context.Context, n int) error {
	at := f.c.Now.Add(-time.Hour).Add(time.Duration(n) * time.Millisecond)
	where := n % f.c.Sites
	sub, err := f.submission(ctx, fmt.Sprintf("waiting%d", n), uint32(n), at)
	if err != nil {
		return err
	}
	sub.Deliveries = []queue.NewDelivery{f.delivery(fmt.Sprintf("user%d@broken%d.test", n, where), site(where), at)}
	return f.store.Accept(ctx, sub)
}

// breakSites notes that the sites failed, as an attempt would have.
func (f filler) breakSites(ctx context.Context) error {
	if f.c.Waiting == 0 {
		return nil
	}
	at := f.c.Now.Add(-time.Minute)
	last := &attempt.Attempt{At: at, TookMS: 30_000, Reason: policy.ConnectTimeout,
		Text: "the connection was not answered within 30s",
		Tries: []attempt.Try{{At: at, TookMS: 30_000, Host: "mx.broken.test", IP: netip.MustParseAddr("192.0.2.1"),
			Port: 25, Reason: policy.ConnectTimeout}}}
	const atOnce = 100
	for from := 0; from < f.c.Sites; from += atOnce {
		states := map[queue.SiteKey]queue.SiteState{}
		for n := from; n < min(from+atOnce, f.c.Sites, f.c.Waiting); n++ {
			states[queue.NewSiteKey(site(n), policy.Requirement{})] = queue.SiteState{Failures: 5,
				Since: at.Add(-time.Hour), RetryAt: f.c.Now.Add(2 * time.Hour), Last: last}
		}
		if err := f.store.Settle(ctx, queue.Batch{Sites: states, Now: f.c.Now}); err != nil {
			return err
		}
	}
	return nil
}

// history accepts some messages and delivers them.
func (f filler) history(ctx context.Context, n int) error {
	messages := f.c.Finished / Recipients
	var ids []queue.DeliveryID
	var at time.Time
	for k := range settled {
		m := n*settled + k
		at = f.c.Now.Add(-25 * time.Hour).Add(24 * time.Hour * time.Duration(m) / time.Duration(messages))
		sub, err := f.submission(ctx, fmt.Sprintf("finished%d", m), uint32(m), at)
		if err != nil {
			return err
		}
		for r := range Recipients {
			d := (m*Recipients + r) % 5000
			sub.Deliveries = append(sub.Deliveries,
				f.delivery(fmt.Sprintf("user%d@partner%d.test", (m*7919+r)%100_003, d),
					fmt.Sprintf("mx:partner%d.test", d), at))
		}
		if err := f.store.Accept(ctx, sub); err != nil {
			return err
		}
		for i := range sub.Deliveries {
			ids = append(ids, sub.Deliveries[i].ID)
		}
	}
	return f.deliver(ctx, ids, at.Add(time.Second))
}

// deliver settles deliveries as sent over TLS.
func (f filler) deliver(ctx context.Context, ids []queue.DeliveryID, at time.Time) error {
	work, err := f.store.Claim(ctx, queue.Claim{IDs: ids, Now: at, Until: at.Add(time.Minute), Limit: len(ids)})
	if err != nil {
		return err
	}
	if len(work) != len(ids) {
		return fmt.Errorf("%d of %d deliveries were claimed", len(work), len(ids))
	}
	batch := queue.Batch{Now: at}
	for _, w := range work {
		batch.Settlements = append(batch.Settlements,
			queue.Settlement{Lease: w.Lease, State: queue.Delivered, Reached: policy.Encrypted,
				Attempt: sent(w.Recipient.Address.Domain.String(), at)})
	}
	return f.store.Settle(ctx, batch)
}

// sent is what a delivery over TLS records.
func sent(domain string, at time.Time) *attempt.Attempt {
	host := "mx." + domain
	leaf := policy.Certificate{Subject: "CN=" + host, Issuer: "CN=Public CA,O=Public", NotBefore: at.AddDate(0, -1, 0),
		NotAfter: at.AddDate(0, 2, 0),
		SHA256:   strings.Repeat("ab", 32), SPKI: strings.Repeat("cd", 32), Key: "ECDSA P-256",
		Signature: "ECDSA-SHA256", DNSNames: []string{host}}
	return &attempt.Attempt{At: at, TookMS: 12,
		Reply: &attempt.Reply{Host: host, Command: ".", Code: 250, Status: "2.0.0", Text: "queued as 1234567"},
		Tries: []attempt.Try{{At: at, TookMS: 10, Host: host, IP: netip.MustParseAddr("192.0.2.2"), Port: 25,
			Rung: attempt.Modern, Used: true,
			Reached: policy.Encrypted, Evidence: &policy.Evidence{Chain: []policy.Certificate{leaf},
				Expected: []string{host}, Presented: []string{host},
				TLS: &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519MLKEM768",
					Signature: "ECDSA"}}}}}
}

// submission is a message without recipients.
func (f filler) submission(ctx context.Context, name string, random uint32, at time.Time) (*queue.Submission, error) {
	draft, err := f.store.NewDraft(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := draft.Write(body()); err != nil {
		return nil, err
	}
	m := queue.Message{ID: queue.NewID(at, random), AcceptedAt: at, MessageID: MessageID(name),
		Envelope: mail.Envelope{From: mail.MustAddress("office@sender.test")},
		Inbound: queue.Inbound{Client: netip.MustParseAddr("192.0.2.7"), Helo: "client.sender.test", Listener: "smtp",
			Protocol: "ESMTPS",
			TLS: &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128,
				Group: "X25519MLKEM768"}}}
	return &queue.Submission{Message: m, Body: draft}, nil
}

// MessageID is the Message-ID of a message; finished ones have the names "finished0", "finished1" and so on.
func MessageID(name string) string { return "<" + name + "@sender.test>" }

func (f filler) delivery(to, nextHop string, at time.Time) queue.NewDelivery {
	n := queue.NewDelivery{NextHop: nextHop}
	n.Recipient.Address = mail.MustAddress(to)
	n.Due, n.Deadline, n.ExpiresAt = at, f.c.Now.Add(4*time.Hour), at.Add(120*time.Hour)
	return n
}
