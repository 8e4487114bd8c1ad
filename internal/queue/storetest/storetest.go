// Package storetest is the conformance suite of queue.Store: what every store must do, by the names of the guarantees.
// Run checks behaviour that needs one open store, RunDurable what must outlive closing it, RunShared what two gateways
// see of one queue; Model compares a store with the reference in memstore over random operations.
package storetest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Run runs the suite; open returns a new empty store each time, which the suite closes.
func Run(t *testing.T, open func(t *testing.T) queue.Store) {
	run(t, open)
	t.Run("Model", func(t *testing.T) { Model(t, open) })
}

// RunLeased is Run for a store that accepts mail under a lease of its own, which a claim hands on: it does not end when
// the claim says, and the model, which counts on that, lets it do so.
func RunLeased(t *testing.T, open func(t *testing.T) queue.Store) {
	run(t, open)
	t.Run("Model", func(t *testing.T) { LeasedModel(t, open) })
}

func run(t *testing.T, open func(t *testing.T) queue.Store) {
	for _, tests := range [][]test{guarantees(), claims(), settlements(), listings(), actions(), effects(), wishes(),
		bodies(), upkeep()} {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				tt.run(newSuite(t, open(t)))
			})
		}
	}
}

type test struct {
	name string
	run  func(k *suite)
}

// suite is one store under test with a hand-driven clock.
type suite struct {
	*testing.T
	s   queue.Store
	now time.Time
	n   uint32 // messages made
}

func newSuite(t *testing.T, s queue.Store) *suite {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &suite{T: t, s: s, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
}

// compare are the options under which two stores' answers are the same.
func compare() gocmp.Options {
	return gocmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(mail.Domain{}, netip.Addr{})}
}

// same fails the test when got is not want.
func (k *suite) same(what string, got, want any) {
	k.Helper()
	if diff := gocmp.Diff(want, got, compare()...); diff != "" {
		k.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func (k *suite) no(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *suite) is(err, want error) {
	k.Helper()
	if !errors.Is(err, want) {
		k.Fatalf("error %v, want %v", err, want)
	}
}

func (k *suite) later(d time.Duration) { k.now = k.now.Add(d) }

// draft writes a body.
func (k *suite) draft(body []byte) queue.Draft {
	k.Helper()
	d, err := k.s.NewDraft(k.Context())
	k.no(err)
	n, err := d.Write(body)
	k.no(err)
	if n != len(body) || d.Size() != int64(len(body)) {
		k.Fatalf("wrote %d of %d bytes, Size is %d", n, len(body), d.Size())
	}
	return d
}

// submission makes a message from s@sender.test to the deliveries.
func (k *suite) submission(body string, to ...queue.NewDelivery) *queue.Submission {
	k.Helper()
	k.n++
	return &queue.Submission{
		Message: queue.Message{
			ID:         queue.NewID(k.now, k.n),
			Envelope:   mail.Envelope{From: mail.MustAddress("s@sender.test")},
			MessageID:  fmt.Sprintf("<%d@sender.test>", k.n),
			AcceptedAt: k.now,
		},
		Deliveries: to,
		Body:       k.draft([]byte(body)),
	}
}

// to is a delivery that is due now, has its notice in two hours and its end in five days.
func (k *suite) to(address, nextHop string, r ...policy.Requirement) queue.NewDelivery {
	return queue.NewDelivery{NextHop: nextHop, Delivery: queue.Delivery{
		Recipient:   mail.Recipient{Address: mail.MustAddress(address)},
		Requirement: policy.Combine(r...),
		Due:         k.now, Deadline: k.now.Add(2 * time.Hour), ExpiresAt: k.now.Add(120 * time.Hour),
	}}
}

// accept stores a message with a short body.
func (k *suite) accept(to ...queue.NewDelivery) queue.ID {
	k.Helper()
	sub := k.submission("Subject: a\r\n\r\nbody\r\n", to...)
	k.no(k.s.Accept(k.Context(), sub))
	return sub.Message.ID
}

// claim leases what is due at a site for a minute.
func (k *suite) claim(site string) []queue.Work {
	k.Helper()
	return k.claimAs(queue.Claim{Site: queue.SiteKey(site)})
}

func (k *suite) claimAs(c queue.Claim) []queue.Work {
	k.Helper()
	c.Worker, c.Now, c.Until = "test", k.now, k.now.Add(time.Minute)
	work, err := k.s.Claim(k.Context(), c)
	k.no(err)
	return work
}

// one claims at a site and expects one delivery.
func (k *suite) one(site string) queue.Work {
	k.Helper()
	work := k.claim(site)
	if len(work) != 1 {
		k.Fatalf("claimed %d deliveries at %s, want 1", len(work), site)
	}
	return work[0]
}

// settle settles leases alike.
func (k *suite) settle(st queue.Settlement, work ...queue.Work) error {
	b := queue.Batch{Now: k.now}
	for _, w := range work {
		st.Lease = w.Lease
		b.Settlements = append(b.Settlements, st)
	}
	return k.s.Settle(k.Context(), b)
}

// list collects what List yields.
func (k *suite) list(f queue.Filter) []queue.Record {
	k.Helper()
	out, err := collect(k.T, k.s, f)
	k.no(err)
	return out
}

func collect(t *testing.T, s queue.Store, f queue.Filter) (out []queue.Record, err error) {
	for r, e := range s.List(t.Context(), f) {
		if e != nil {
			return out, e
		}
		out = append(out, r)
	}
	return out, nil
}

// record returns the one delivery of a recipient.
func (k *suite) record(recipient string) queue.Record {
	k.Helper()
	found := k.list(queue.Filter{Recipient: recipient})
	if len(found) != 1 {
		k.Fatalf("%d records for %s, want 1", len(found), recipient)
	}
	return found[0]
}

// wantState fails when a recipient's delivery is not in the state.
func (k *suite) wantState(recipient string, want queue.State) {
	k.Helper()
	if got := k.record(recipient).State; got != want {
		k.Errorf("%s is %s, want %s", recipient, got, want)
	}
}

// wantStates compares the counts of Stats.
func (k *suite) wantStates(want map[queue.State]int64) queue.Stats {
	k.Helper()
	st, err := k.s.Stats(k.Context())
	k.no(err)
	k.same("Stats.States", st.States, want)
	return st
}

// body reads the body of a message.
func (k *suite) body(id queue.ID) ([]byte, error) {
	r, err := k.s.Open(k.Context(), id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (k *suite) wantBody(id queue.ID, want []byte) {
	k.Helper()
	got, err := k.body(id)
	k.no(err)
	if !bytes.Equal(got, want) {
		k.Errorf("the body of %s has %d bytes and differs from the %d written", id, len(got), len(want))
	}
}

// recipients names the recipients of work in order.
func recipients(work []queue.Work) (out []string) {
	for _, w := range work {
		out = append(out, w.Recipient.Address.Local)
	}
	return out
}

// named names the recipients of records in order.
func named(rs []queue.Record) (out []string) {
	for _, r := range rs {
		out = append(out, r.Recipient.Address.Local)
	}
	return out
}

// sorted is named in alphabetical order.
func sorted(rs []queue.Record) []string {
	out := named(rs)
	slices.SortFunc(out, cmp.Compare[string])
	return out
}
