package leased

import (
	"context"
	"slices"
	"sync"
	"time"

	"postern/internal/queue"
)

// Bounds of what is kept, and how long.
const (
	keptFor    = time.Second
	keptMost   = 4096 // deliveries
	keptAtSite = 256
	keptBytes  = 16 << 20 // of bodies, those in hand included
)

// LookEvery is how often the owner asks for what is Old.
const LookEvery = keptFor / 4

// Mail is the mail that is kept. Use NewMail. Safe for concurrent use.
type Mail struct {
	lease time.Duration // of each; 0: nothing is kept
	mu    sync.Mutex    // guards what follows
	sites map[queue.SiteKey][]*delivery
	byID  map[queue.DeliveryID]*delivery
	// inHand is what was claimed of it and not settled yet, by its message; bodies are those of both.
	inHand map[queue.DeliveryID]queue.ID
	bodies map[queue.ID]*body
	bytes  int64
	// returning is what is being given back, by its site: nobody has begun with it either. Back is closed when some of
	// it is.
	returning map[queue.DeliveryID]queue.SiteKey
	back      chan struct{}
	// quiet are sites at which the database has nothing to claim; stirs counts what may have changed that.
	quiet map[queue.SiteKey]Quiet
	stirs uint64
}

type delivery struct {
	work  queue.Work
	until time.Time // by the clock of the store
	since time.Time
}

type body struct {
	data  []byte
	users int // deliveries
	since time.Time
}

// Quiet is what a claim in the database found at a site.
type Quiet struct {
	At          time.Time // when it began, by this machine
	Now, Beyond time.Time // of the claim
	Next        time.Time // nothing else is due before; zero is never
	Full        bool      // there was more than it could take
}

// NewMail keeps mail for leases that are so long; 0: it keeps nothing.
func NewMail(lease time.Duration) *Mail {
	return &Mail{lease: lease, sites: map[queue.SiteKey][]*delivery{}, byID: map[queue.DeliveryID]*delivery{},
		inHand: map[queue.DeliveryID]queue.ID{}, bodies: map[queue.ID]*body{},
		returning: map[queue.DeliveryID]queue.SiteKey{}, back: make(chan struct{}), quiet: map[queue.SiteKey]Quiet{}}
}

// Wants reports whether a delivery that is about to be stored should be kept.
func (k *Mail) Wants(d *queue.Delivery) bool {
	if k.lease == 0 || d.State != queue.Queued || d.Due.IsZero() || d.Due.After(d.AcceptedAt) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.byID) < keptMost && k.bytes < keptBytes && len(k.sites[d.Site]) < keptAtSite && !k.quiet[d.Site].Full
}

// Put keeps deliveries of a message that are leased, with its body where that is in memory.
func (k *Mail) Put(works []queue.Work, data []byte, now time.Time) {
	if len(works) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	m := &works[0].Message
	if data != nil {
		k.bodies[m.ID] = &body{data, len(works), now}
		k.bytes += int64(cap(data))
	}
	for i := range works {
		k.place(&delivery{works[i], m.AcceptedAt.Add(k.lease), now})
	}
}

// place puts a delivery among those of its site, in the order of Claim. The caller holds mu.
func (k *Mail) place(d *delivery) {
	at, c := k.sites[d.work.Site], queue.Claim{Site: d.work.Site}
	i, _ := slices.BinarySearchFunc(at, d, func(a, b *delivery) int { return c.Compare(&a.work, &b.work) })
	k.sites[d.work.Site] = slices.Insert(at, i, d)
	k.byID[d.work.ID] = d
}

// Take hands out what a claim at a site may have, up to most; with before only what comes before that.
func (k *Mail) Take(c *queue.Claim, most int, before *queue.Work) (out []queue.Work) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var rest []*delivery
	for _, d := range k.sites[c.Site] {
		enough := len(out) >= most || before != nil && c.Compare(&d.work, before) > 0
		if enough || d.work.Due.After(c.Now) || !k.suits(d, c) {
			rest = append(rest, d)
			continue
		}
		w := d.work
		w.State = queue.Sending
		out = append(out, w)
		delete(k.byID, w.ID)
		k.inHand[w.ID] = w.Message.ID
	}
	k.setSite(c.Site, rest)
	return out
}

// suits reports whether the lease of a delivery is one that a claim may have: not too near its end, for nobody may have
// prolonged it by then, and not longer than was asked for. Clocks are set by some milliseconds now and then.
func (k *Mail) suits(d *delivery, c *queue.Claim) bool {
	return d.until.Sub(c.Now) >= k.lease/2 && d.until.Sub(c.Until) <= 100*time.Millisecond
}

// setSite replaces what is kept of a site. The caller holds mu.
func (k *Mail) setSite(key queue.SiteKey, rest []*delivery) {
	if len(rest) == 0 {
		delete(k.sites, key)
	} else {
		k.sites[key] = rest
	}
}

// Drop takes what matches out of memory, and returns the leases, which the caller gives back. Of a site it looks only
// at what is kept there; "" is every site.
func (k *Mail) Drop(site queue.SiteKey, match func(d *queue.Delivery) bool) []queue.Lease {
	return k.drop(site, func(d *delivery) bool { return match(&d.work.Delivery) })
}

// Unfit is Drop of what a claim at a site may not have for the sake of its lease.
func (k *Mail) Unfit(c *queue.Claim) []queue.Lease {
	return k.drop(c.Site, func(d *delivery) bool { return !k.suits(d, c) })
}

func (k *Mail) drop(site queue.SiteKey, match func(d *delivery) bool) (leases []queue.Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if site != "" {
		return k.dropAt(site, match)
	}
	for key := range k.sites {
		leases = append(leases, k.dropAt(key, match)...)
	}
	return leases
}

// dropAt is drop at one site. The caller holds mu.
func (k *Mail) dropAt(site queue.SiteKey, match func(d *delivery) bool) (leases []queue.Lease) {
	if !slices.ContainsFunc(k.sites[site], match) {
		return nil
	}
	k.setSite(site, slices.DeleteFunc(k.sites[site], func(d *delivery) bool {
		if !match(d) {
			return false
		}
		leases = append(leases, d.work.Lease)
		delete(k.byID, d.work.ID)
		k.returning[d.work.ID] = site
		k.release(d.work.Message.ID)
		return true
	}))
	return leases
}

// Settled forgets what was in hand, or waits here, and is not this gateway's any more.
func (k *Mail) Settled(ids []int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range ids {
		id := queue.DeliveryID(n)
		if m, held := k.inHand[id]; held {
			delete(k.inHand, id)
			k.release(m)
		}
		if d := k.byID[id]; d != nil {
			delete(k.byID, id)
			k.setSite(d.work.Site, slices.DeleteFunc(k.sites[d.work.Site],
				func(o *delivery) bool { return o == d }))
			k.release(d.work.Message.ID)
		}
	}
}

// release ends the use that a delivery has of a body. The caller holds mu.
func (k *Mail) release(m queue.ID) {
	if b := k.bodies[m]; b != nil {
		if b.users--; b.users <= 0 {
			k.bytes -= int64(cap(b.data))
			delete(k.bodies, m)
		}
	}
}

// Body is the body of a message that is kept, or in hand; nil where that is not known here.
func (k *Mail) Body(id queue.ID) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.bodies[id]; b != nil {
		return b.data
	}
	return nil
}

// Old drops what nobody asked for in time. Of what has been in hand for longer than a lease the body is forgotten.
func (k *Mail) Old(now time.Time) []queue.Lease {
	k.mu.Lock()
	for id, b := range k.bodies {
		if now.Sub(b.since) > k.lease {
			b.users = 1
			k.release(id)
		}
	}
	for id, m := range k.inHand {
		if k.bodies[m] == nil {
			delete(k.inHand, id)
		}
	}
	k.mu.Unlock()
	return k.drop("", func(d *delivery) bool { return now.Sub(d.since) > keptFor })
}

// Waiting are the numbers of what is here and nobody has begun.
func (k *Mail) Waiting() []int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]int64, 0, len(k.byID)+len(k.returning))
	for id := range k.byID {
		out = append(out, int64(id))
	}
	for id := range k.returning {
		out = append(out, int64(id))
	}
	return out
}

// Returned ends what drop began.
func (k *Mail) Returned(leases []queue.Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range leases {
		delete(k.returning, l.Delivery)
	}
	close(k.back)
	k.back = make(chan struct{})
}

// Rest waits until nothing of a site is being given back, "" is any: meanwhile it is neither here nor to be claimed in
// the database.
func (k *Mail) Rest(ctx context.Context, site queue.SiteKey) error {
	for {
		k.mu.Lock()
		moving, back := false, k.back
		for _, at := range k.returning {
			moving = moving || site == "" || at == site
		}
		k.mu.Unlock()
		if !moving {
			return nil
		}
		select {
		case <-back:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stir notes that the database may have something to claim at sites; none are all, and so is one that is not known.
func (k *Mail) Stir(sites ...queue.SiteKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stirs++
	for _, key := range sites {
		delete(k.quiet, key)
	}
	if len(sites) == 0 || slices.Contains(sites, "") {
		clear(k.quiet)
	}
}

// Stirred is what counts stirs.
func (k *Mail) Stirred() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stirs
}

// quietMost bounds the memory of sites, quietFor how long is believed what a claim found.
const (
	quietMost = 8192
	quietFor  = time.Second
)

// Note remembers what a claim found that began when so many stirs had been counted.
func (k *Mail) Note(key queue.SiteKey, q Quiet, stirs uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lease == 0 || k.stirs != stirs {
		return
	}
	if len(k.quiet) >= quietMost {
		clear(k.quiet)
	}
	k.quiet[key] = q
}

// IsQuiet reports whether the database has nothing for a claim.
func (k *Mail) IsQuiet(c *queue.Claim, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	q, known := k.quiet[c.Site]
	return known && !q.Full && now.Sub(q.At) < quietFor && !c.Now.Before(q.Now) && c.Now.Sub(q.Now) < quietFor &&
		(q.Next.IsZero() || c.Now.Before(q.Next)) &&
		(c.Beyond.IsZero() || !q.Beyond.IsZero() && !c.Beyond.Before(q.Beyond))
}
