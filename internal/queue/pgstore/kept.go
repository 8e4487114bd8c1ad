package pgstore

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"postern/internal/queue"
)

// Most mail leaves the queue within a second of its acceptance, by the gateway that accepted it. Such mail is accepted
// with its lease already held, where the site has never failed as far as the database knows, and stays in memory: who
// claims at the site gets it from here, its body too. For every other gateway it is leased, and can be taken over when
// the lease ends. What nobody asks for in time is given back, and comes from the database like all other mail.

// Bounds of what is kept, and how long: what is not asked for within keptFor is given back.
const (
	keptFor    = time.Second
	keptMost   = 4096 // deliveries
	keptAtSite = 256
	keptBytes  = 16 << 20 // of bodies, those in hand included
)

// keptMark stands in the place of the worker in a lease of mail that may still be waiting in memory.
const keptMark = "(kept)"

// kept is the mail that is kept. Use newKept. Safe for concurrent use.
type kept struct {
	lease time.Duration // of each; 0: nothing is kept
	mu    sync.Mutex    // guards what follows
	sites map[queue.SiteKey][]*keptDelivery
	byID  map[queue.DeliveryID]*keptDelivery
	// inHand is what was claimed of it and not settled yet, by its message; bodies are those of both.
	inHand map[queue.DeliveryID]queue.ID
	bodies map[queue.ID]*keptBody
	bytes  int64
	// returning is what is being given back: nobody has begun with it either.
	returning map[queue.DeliveryID]bool
	// quiet are sites at which the database has nothing to claim; stirs counts what may have changed that.
	quiet map[queue.SiteKey]quiet
	stirs uint64
}

type keptDelivery struct {
	work  queue.Work
	until time.Time // by the clock of the store
	since time.Time
}

type keptBody struct {
	data  []byte
	users int // deliveries
	since time.Time
}

// quiet is what a claim found at a site: nothing but what it took, and nothing due before next, zero for ever. Full
// says that there was more than it could take.
type quiet struct {
	at, now, next, beyond time.Time
	full                  bool
}

func newKept(lease time.Duration) *kept {
	return &kept{lease: lease, sites: map[queue.SiteKey][]*keptDelivery{}, byID: map[queue.DeliveryID]*keptDelivery{},
		inHand: map[queue.DeliveryID]queue.ID{}, bodies: map[queue.ID]*keptBody{},
		returning: map[queue.DeliveryID]bool{}, quiet: map[queue.SiteKey]quiet{}}
}

// wants reports whether a delivery that is about to be stored should be kept.
func (k *kept) wants(d *queue.Delivery) bool {
	if k.lease == 0 || d.State != queue.Queued || d.Due.IsZero() || d.Due.After(d.AcceptedAt) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.byID) < keptMost && k.bytes < keptBytes && len(k.sites[d.Site]) < keptAtSite && !k.quiet[d.Site].full
}

// put keeps deliveries of a message that are leased, with its body where that is in memory.
func (k *kept) put(works []queue.Work, data []byte, now time.Time) {
	if len(works) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	m := &works[0].Message
	if data != nil {
		k.bodies[m.ID] = &keptBody{data, len(works), now}
		k.bytes += int64(cap(data))
	}
	for i := range works {
		k.place(&keptDelivery{works[i], m.AcceptedAt.Add(k.lease), now})
	}
}

// place puts a delivery among those of its site, in the order of Claim. The caller holds mu.
func (k *kept) place(d *keptDelivery) {
	at := k.sites[d.work.Site]
	i, _ := slices.BinarySearchFunc(at, d, func(a, b *keptDelivery) int { return inTurn(&a.work, &b.work) })
	k.sites[d.work.Site] = slices.Insert(at, i, d)
	k.byID[d.work.ID] = d
}

// inTurn is the order of a claim at a site.
func inTurn(a, b *queue.Work) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) }

// take hands out what a claim at a site may have, up to most; with before only what comes before that.
func (k *kept) take(c *queue.Claim, most int, before *queue.Work) (out []queue.Work) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var rest []*keptDelivery
	for _, d := range k.sites[c.Site] {
		enough := len(out) >= most || before != nil && inTurn(&d.work, before) > 0
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
func (k *kept) suits(d *keptDelivery, c *queue.Claim) bool {
	return d.until.Sub(c.Now) >= k.lease/2 && d.until.Sub(c.Until) <= 100*time.Millisecond
}

// setSite replaces what is kept of a site. The caller holds mu.
func (k *kept) setSite(key queue.SiteKey, rest []*keptDelivery) {
	if len(rest) == 0 {
		delete(k.sites, key)
	} else {
		k.sites[key] = rest
	}
}

// drop takes what matches out of memory, and returns the leases, which the caller gives back. Of a site it looks only
// at what is kept there; "" is every site.
func (k *kept) drop(site queue.SiteKey, match func(d *keptDelivery) bool) (leases []queue.Lease) {
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
func (k *kept) dropAt(site queue.SiteKey, match func(d *keptDelivery) bool) (leases []queue.Lease) {
	if !slices.ContainsFunc(k.sites[site], match) {
		return nil
	}
	k.setSite(site, slices.DeleteFunc(k.sites[site], func(d *keptDelivery) bool {
		if !match(d) {
			return false
		}
		leases = append(leases, d.work.Lease)
		delete(k.byID, d.work.ID)
		k.returning[d.work.ID] = true
		k.release(d.work.Message.ID)
		return true
	}))
	return leases
}

// settled forgets what was in hand, or waits here, and is not this gateway's any more.
func (k *kept) settled(ids []int64) {
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
				func(o *keptDelivery) bool { return o == d }))
			k.release(d.work.Message.ID)
		}
	}
}

// release ends the use that a delivery has of a body. The caller holds mu.
func (k *kept) release(m queue.ID) {
	if b := k.bodies[m]; b != nil {
		if b.users--; b.users <= 0 {
			k.bytes -= int64(cap(b.data))
			delete(k.bodies, m)
		}
	}
}

// body is the body of a message that is kept, or in hand; nil where that is not known here.
func (k *kept) body(id queue.ID) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.bodies[id]; b != nil {
		return b.data
	}
	return nil
}

// old drops what nobody asked for in time. Of what has been in hand for longer than a lease the body is forgotten.
func (k *kept) old(now time.Time) []queue.Lease {
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
	return k.drop("", func(d *keptDelivery) bool { return now.Sub(d.since) > keptFor })
}

// waiting are the numbers of what is here and nobody has begun.
func (k *kept) waiting() []int64 {
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

// returned ends what drop began.
func (k *kept) returned(leases []queue.Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range leases {
		delete(k.returning, l.Delivery)
	}
}

// stir notes that the database may have something to claim at sites; none are all, and so is one that is not known.
func (k *kept) stir(sites ...queue.SiteKey) {
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

// stirred is what counts stirs.
func (k *kept) stirred() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stirs
}

// quietMost bounds the memory of sites, quietFor how long is believed what a claim found.
const (
	quietMost = 8192
	quietFor  = time.Second
)

// note remembers what a claim found that began when so many stirs had been counted.
func (k *kept) note(key queue.SiteKey, q quiet, stirs uint64) {
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

// isQuiet reports whether the database has nothing for a claim.
func (k *kept) isQuiet(c *queue.Claim, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	q, known := k.quiet[c.Site]
	return known && !q.full && now.Sub(q.at) < quietFor && !c.Now.Before(q.now) && c.Now.Sub(q.now) < quietFor &&
		(q.next.IsZero() || c.Now.Before(q.next)) &&
		(c.Beyond.IsZero() || !q.beyond.IsZero() && !c.Beyond.Before(q.beyond))
}
