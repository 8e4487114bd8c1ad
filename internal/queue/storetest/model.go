package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// Model runs the same random operations on a store and on the reference and compares every answer. Two workers take
// part whose leases run out and cross, so it also shows that no interleaving breaks G2 and G4. A failure prints the
// seed and the step; ModelSeed repeats it.
func Model(t *testing.T, open func(t *testing.T) queue.Store) { seeds(t, open, ModelSeed) }

func seeds(t *testing.T, open func(t *testing.T) queue.Store, run func(*testing.T, queue.Store, uint64, int)) {
	for _, seed := range []uint64{1, 2, 3, rand.Uint64()} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { run(t, open(t), seed, 300) })
	}
}

// ModelSeed is one run of Model with so many operations.
func ModelSeed(t *testing.T, s queue.Store, seed uint64, steps int) {
	modelSeed(t, s, seed, steps, false)
}

// LeasedModel is Model for a store of RunLeased.
func LeasedModel(t *testing.T, open func(t *testing.T) queue.Store) { seeds(t, open, LeasedModelSeed) }

// LeasedModelSeed is one run of the model of RunLeased.
func LeasedModelSeed(t *testing.T, s queue.Store, seed uint64, steps int) {
	modelSeed(t, s, seed, steps, true)
}

func modelSeed(t *testing.T, s queue.Store, seed uint64, steps int, prolongs bool) {
	m := &model{
		prolongs: prolongs,
		T:        t, rng: rand.New(rand.NewPCG(seed, 0)), now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
		stores: [2]queue.Store{memstore.New(), s},
		names:  [2]map[queue.DeliveryID]string{{}, {}}, ids: [2]map[string]queue.DeliveryID{{}, {}},
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for m.step = range steps {
		m.operation()
		if m.step%50 == 0 || m.step == steps-1 {
			m.compareAll()
		}
		if t.Failed() {
			t.Fatalf("seed %d differs at step %d of the run: %s", seed, m.step, m.what)
		}
	}
}

// model drives the reference (0) and the store under test (1). Delivery IDs differ between them; the names "message/n"
// do not.
type model struct {
	*testing.T
	rng     *rand.Rand
	now     time.Time
	step    int
	what    string
	stores  [2]queue.Store
	names   [2]map[queue.DeliveryID]string
	ids     [2]map[string]queue.DeliveryID
	order   []string       // delivery names, oldest first
	made    []queue.ID     // messages
	holding [2][]pairLease // by worker
	// prolongs says that each claim at a site is prolonged to the end that it asked for.
	prolongs bool
}

// pairLease is the lease of one delivery in both stores.
type pairLease [2]queue.Lease

func (m *model) operation() {
	m.now = m.now.Add(time.Duration(m.rng.IntN(5000)) * time.Millisecond)
	ops := []struct {
		weight int
		name   string
		run    func()
	}{
		{20, "accept", m.accept}, {20, "claim", m.claim}, {20, "settle", m.settle}, {3, "extend", m.extend},
		{3, "forget leases", m.forget}, {6, "act", m.act}, {4, "wished", m.wished}, {3, "purge", m.purge},
		{6, "list", m.list},
		{2, "open", m.open}, {1, "jump", func() { m.now = m.now.Add(time.Duration(m.rng.IntN(7200)) * time.Second) }},
	}
	total := 0
	for _, op := range ops {
		total += op.weight
	}
	n := m.rng.IntN(total)
	for _, op := range ops {
		if n -= op.weight; n < 0 {
			m.what = op.name
			op.run()
			return
		}
	}
}

func (m *model) chance(percent int) bool { return m.rng.IntN(100) < percent }

func pick[T any](m *model, from []T) T { return from[m.rng.IntN(len(from))] }

// soon is a time around now, or none.
func (m *model) soon() time.Time {
	if m.chance(15) {
		return time.Time{}
	}
	return m.now.Add(time.Duration(m.rng.IntN(60)-20) * time.Second)
}

func (m *model) requirement() policy.Requirement {
	return pick(m, []policy.Requirement{{}, {}, {Channel: policy.Encrypted},
		{Channel: policy.Authenticated, WithoutTLS: policy.WithoutTLSReject}})
}

func (m *model) hop() string { return pick(m, []string{"mx:a.test", "mx:b.test", "to:relay:25"}) }

func (m *model) reason() policy.Reason {
	return pick(m, []policy.Reason{"", policy.CertExpired, policy.Remote4xx})
}

func (m *model) attempt() *attempt.Attempt {
	if m.chance(40) {
		return nil
	}
	return &attempt.Attempt{At: m.now, TookMS: int64(m.step), Reason: m.reason()}
}

// both calls f for each store and wants equal answers; it reports whether neither was an error.
func (m *model) both(f func(i int, s queue.Store) (any, error)) bool {
	m.Helper()
	difference, ok := m.differ(f)
	if difference != "" {
		m.Error(difference)
	}
	return ok
}

// differ calls f for each store and tells how the answers differ, and whether neither was an error.
func (m *model) differ(f func(i int, s queue.Store) (any, error)) (difference string, ok bool) {
	a, errA := f(0, m.stores[0])
	b, errB := f(1, m.stores[1])
	if kind(errA) != kind(errB) {
		difference = fmt.Sprintf("the reference answered %v, the store %v", errA, errB)
	} else if diff := gocmp.Diff(a, b, compare()...); errA == nil && diff != "" {
		difference = "the answers differ (-reference +store):\n" + diff
	}
	return difference, errA == nil && errB == nil
}

// kind is what of an error must be equal.
func kind(err error) string {
	for _, known := range []error{queue.ErrStaleLease, queue.ErrNotFound} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "an error"
	}
	return ""
}

// submissions makes the same new message for both stores.
func (m *model) submissions(kind queue.Kind) [2]*queue.Submission {
	id := queue.NewID(m.now, uint32(m.step)<<8|uint32(m.rng.IntN(256)))
	if m.chance(3) && len(m.made) > 0 {
		id = pick(m, m.made) // taken: an error
	}
	body := bytes.Repeat([]byte{byte(m.step)}, m.rng.IntN(300))
	message := queue.Message{ID: id, Kind: kind, AcceptedAt: m.now.Add(-time.Duration(m.rng.IntN(3)) * time.Second),
		Judged: int64(m.step / 100), MessageID: fmt.Sprintf("<%d@x>", m.rng.IntN(20))}
	message.Envelope.From = pick(m, []mail.Address{{}, mail.MustAddress("A@s.test"), mail.MustAddress("b@t.test")})
	var to []queue.NewDelivery
	for i := range 1 + m.rng.IntN(4) {
		d := queue.NewDelivery{NextHop: m.hop()}
		d.Recipient.Address = mail.MustAddress(fmt.Sprintf("r%d@%s.test", i, pick(m, []string{"a", "b", "c"})))
		d.Requirement, d.Due, d.Deadline, d.ExpiresAt = m.requirement(), m.soon(), m.soon(), m.now.Add(time.Minute)
		if m.chance(10) {
			d.State = queue.Held
		}
		if m.chance(30) {
			d.Rules = []string{pick(m, []string{"x", "y"})}
		}
		to = append(to, d)
	}
	var out [2]*queue.Submission
	for i, s := range m.stores {
		draft, err := s.NewDraft(m.Context())
		if err == nil {
			_, err = draft.Write(body)
		}
		if err != nil {
			m.Fatal(err)
		}
		out[i] = &queue.Submission{Message: message, Deliveries: slices.Clone(to), Body: draft}
	}
	return out
}

// stored remembers the names of what was stored.
func (m *model) stored(subs [2]*queue.Submission) {
	m.made = append(m.made, subs[0].Message.ID)
	for i, sub := range subs {
		for n, d := range sub.Deliveries {
			name := fmt.Sprintf("%s/%d", sub.Message.ID, n)
			m.names[i][d.ID], m.ids[i][name] = name, d.ID
			if i == 0 {
				m.order = append(m.order, name)
			}
		}
	}
}

func (m *model) accept() {
	subs := m.submissions(queue.Ordinary)
	if m.both(func(i int, s queue.Store) (any, error) {
		err := s.Accept(m.Context(), subs[i])
		return subs[i].Message, err
	}) {
		m.stored(subs)
	}
}

// take removes up to n leases from what a worker believes to hold.
func (m *model) take(n int) (leases []pairLease) {
	h := &m.holding[m.rng.IntN(2)]
	for range min(n, len(*h)) {
		at := m.rng.IntN(len(*h))
		leases = append(leases, (*h)[at])
		*h = slices.Delete(*h, at, at+1)
	}
	return leases
}

func (m *model) settle() {
	var settlements []queue.Settlement
	leases := m.take(1 + m.rng.IntN(4))
	plain := m.chance(40) // delivered, and nothing else: what most batches are
	for range leases {
		st := queue.Settlement{State: pick(m, []queue.State{queue.Queued, queue.Held, queue.Delivered, queue.Failed,
			queue.Cancelled}),
			Due: m.soon(), Deadline: m.soon(), Attempt: m.attempt(), Reason: m.reason(), Noticed: m.chance(20),
			Reached: policy.Encrypted}
		if plain {
			st.State = queue.Delivered
		} else if m.chance(15) {
			st.Move = &queue.Move{NextHop: m.hop(), Requirement: m.requirement(), Rules: []string{"moved"},
				Matched: true, ExpiresAt: m.soon()}
		}
		settlements = append(settlements, st)
	}
	if len(leases) > 0 && m.chance(3) {
		leases, settlements = append(leases, leases[0]), append(settlements, settlements[0]) // twice: an error
	}
	sites := map[queue.SiteKey]queue.SiteState{}
	if !plain && m.chance(20) {
		state := queue.SiteState{Failures: m.rng.IntN(3), Since: m.soon(), RetryAt: m.soon(), Last: m.attempt()}
		sites[queue.NewSiteKey(m.hop(), m.requirement())] = state
	}
	var dsns [2]*queue.Submission
	if !plain && m.chance(20) {
		dsns = m.submissions(queue.DSN)
	}
	if m.both(func(i int, s queue.Store) (any, error) {
		b := queue.Batch{Now: m.now, Sites: sites}
		for n, st := range settlements {
			st.Lease = leases[n][i]
			b.Settlements = append(b.Settlements, st)
		}
		if dsns[i] != nil {
			b.New = append(b.New, dsns[i])
		}
		err := s.Settle(m.Context(), b)
		var became []any
		for _, st := range b.Settlements {
			became = append(became, st.Became, st.Wished)
		}
		return became, err
	}) && dsns[0] != nil {
		m.stored(dsns)
	}
}

func (m *model) extend() {
	leases := m.take(1 + m.rng.IntN(3))
	until := m.now.Add(time.Duration(m.rng.IntN(60)) * time.Second)
	if m.both(func(i int, s queue.Store) (any, error) {
		var mine []queue.Lease
		for _, l := range leases {
			mine = append(mine, l[i])
		}
		return nil, s.Extend(m.Context(), mine, until)
	}) {
		m.holding[0] = append(m.holding[0], leases...)
	}
}

// forget lets a worker die.
func (m *model) forget() { m.take(5) }

func (m *model) act() {
	a := queue.Action{Kind: pick(m, []queue.ActionKind{queue.Retry, queue.Hold, queue.Release, queue.Cancel}),
		Now: m.now, By: "model", KeepHolds: m.chance(30)}
	if a.Kind == queue.Cancel || m.chance(70) {
		switch m.rng.IntN(3) {
		case 0:
			a.Domains = []string{pick(m, []string{"a.test", "B.test", "none.test"})}
		case 1:
			a.Sites = []queue.SiteKey{queue.NewSiteKey(m.hop(), m.requirement())}
		case 2:
			if len(m.made) > 0 {
				a.Messages = []queue.ID{pick(m, m.made)}
			}
		}
	}
	m.both(func(i int, s queue.Store) (any, error) {
		acted, err := s.Act(m.Context(), a)
		var pending []string
		for n, p := range acted.Pending {
			pending = append(pending, m.names[i][p.Delivery])
			acted.Pending[n].Delivery = 0
		}
		return []any{acted, pending}, err
	})
}

// named gives deliveries of one store their neutral names.
func (m *model) named(i int, ids []queue.DeliveryID) (names []string) {
	for _, id := range ids {
		names = append(names, m.names[i][id])
	}
	return names
}

// wished asks what is not to be sent of what the workers hold.
func (m *model) wished() {
	m.both(func(i int, s queue.Store) (any, error) {
		var ids []queue.DeliveryID
		for _, pair := range append(slices.Clone(m.holding[0]), m.holding[1]...) {
			ids = append(ids, pair[i].Delivery)
		}
		found, err := s.Wished(m.Context(), ids)
		return m.named(i, slices.Compact(found)), err
	})
}

func (m *model) purge() {
	before, limit := m.now.Add(-time.Duration(m.rng.IntN(600))*time.Second), 1+m.rng.IntN(10)
	m.both(func(_ int, s queue.Store) (any, error) { return s.Purge(m.Context(), before, limit) })
}

func (m *model) open() {
	if len(m.made) == 0 {
		return
	}
	id := pick(m, m.made)
	m.both(func(_ int, s queue.Store) (any, error) {
		k := &suite{T: m.T, s: s}
		return k.body(id)
	})
}

func (m *model) list() {
	f := queue.Filter{Limit: m.rng.IntN(8)}
	set := []func(){
		func() { f.States = []queue.State{queue.State(1 + m.rng.IntN(6)), queue.State(1 + m.rng.IntN(6))} },
		func() { f.Sender = pick(m, []string{"<>", "s.test", "a@*", "none@t.test"}) },
		func() { f.Recipient = pick(m, []string{"r0@a.test", "a.test", "r?@b.test", "R1@*"}) },
		func() { f.Domain = pick(m, []string{"a.test", "c.test"}) },
		func() { f.MessageID = fmt.Sprintf("%d@x", m.rng.IntN(20)) },
		func() { f.Reason = m.reason() },
		func() { f.Rule = pick(m, []string{"x", "moved"}) },
		func() { f.Site = queue.NewSiteKey(m.hop(), m.requirement()) },
		func() { f.Since = m.now.Add(-time.Duration(m.rng.IntN(1200)) * time.Second) },
		func() { f.Until = m.now.Add(-time.Duration(m.rng.IntN(1200)) * time.Second) },
		func() { f.JudgedBelow = int64(m.step / 100) },
	}
	for range m.rng.IntN(3) {
		pick(m, set)()
	}
	after := ""
	if m.chance(20) && len(m.order) > 0 {
		after = pick(m, m.order)
	}
	m.both(func(i int, s queue.Store) (any, error) {
		mine := f
		mine.After = m.ids[i][after]
		return m.records(i, s, mine)
	})
}

// records lists with neutral names in the place of IDs.
func (m *model) records(i int, s queue.Store, f queue.Filter) (out []any, err error) {
	found, err := collect(m.T, s, f)
	for _, r := range found {
		name := m.names[i][r.ID]
		r.ID = 0
		out = append(out, name, r)
	}
	return out, err
}

// entries is what of a ledger is compared.
type entries interface {
	Entries(ctx context.Context, below int64, limit int) ([]audit.Entry, error)
}

func (m *model) compareAll() {
	m.what += ", then comparing everything"
	m.both(func(i int, s queue.Store) (any, error) { return m.records(i, s, queue.Filter{}) })
	m.both(func(_ int, s queue.Store) (any, error) { return s.Sites(m.Context()) })
	m.both(func(_ int, s queue.Store) (any, error) { return s.(entries).Entries(m.Context(), 0, 1000) })
	m.both(func(_ int, s queue.Store) (any, error) {
		st, err := s.Stats(m.Context())
		states := slices.Sorted(maps.Keys(st.States))
		return []any{st, states}, err
	})
}
