package inbound

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/platform/flush"
	"postern/internal/smtp"
)

// Recorder is an event.Sink that counts sessions. Emit never waits for the book. Safe for concurrent use.
type Recorder struct {
	book  *Book
	hears func(listener string) bool
	warn  func(error)

	mu      sync.Mutex
	pending map[string]*Client // by key
	days    map[string]*Day    // what waits to be added
	shown   map[string]*Certificate
	known   map[string]map[netip.Prefix]bool // clients by day
	told    map[string]string                // the day a certificate was written on

	senders     map[string]*Sender // what waits to be added, by key
	senderDay   string
	senderKnown map[string]bool // domains of senderDay
}

// Open returns a Recorder that adds to book. hears says which listeners count; warn hears of failures, and must not
// wait.
func Open(ctx context.Context, book *Book, hears func(listener string) bool, warn func(error)) (*Recorder, error) {
	r := &Recorder{book: book, hears: hears, warn: warn, pending: map[string]*Client{}, days: map[string]*Day{},
		shown: map[string]*Certificate{}, known: map[string]map[netip.Prefix]bool{}, told: map[string]string{},
		senders: map[string]*Sender{}}
	today := DayOf(time.Now())
	list, err := book.Known(ctx, today)
	if err != nil {
		return nil, fmt.Errorf("what was counted today of sessions of strangers cannot be read: %w", err)
	}
	r.known[today] = map[netip.Prefix]bool{}
	for _, client := range list {
		r.known[today][client] = true
	}
	seen, _, err := book.Senders(ctx, today, today, SendersMost)
	if err != nil {
		return nil, fmt.Errorf("what was counted today of senders cannot be read: %w", err)
	}
	r.senderDay, r.senderKnown = today, map[string]bool{}
	for i := range seen {
		r.senderKnown[seen[i].Domain] = true
	}
	r.days[today] = &Day{Day: today, Since: time.Now().UTC()}
	return r, nil
}

// Emit counts a session, or mail that came.
func (r *Recorder) Emit(e event.Event) {
	switch e := e.(type) {
	case event.HandshakeFailed:
		if r.hears(e.Listener) {
			r.count(e.Client, Kind{Listener: e.Listener, Outcome: Failed, Text: e.Text}, e.Shown)
		}
	case event.Disconnected:
		if e.Broken || !r.hears(e.Listener) {
			return
		}
		k := Kind{Listener: e.Listener, Outcome: Plaintext, Messages: int64(e.Messages)}
		if e.TLS {
			k.Outcome = TLS
			if e.Messages == 0 {
				k.Text = e.Why
			}
		}
		r.count(e.Client, k, e.Shown)
	default:
		r.emitMail(e)
	}
}

func (r *Recorder) count(address netip.Addr, k Kind, der []byte) {
	now, client := time.Now().UTC(), Of(address)
	day := DayOf(now)
	k.Text, k.Sessions, k.First, k.Last = smtp.Printable(k.Text, 300), 1, now, now
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[day] == nil {
		r.known[day] = map[netip.Prefix]bool{}
		r.day(day, now.Truncate(24*time.Hour))
	}
	if !r.known[day][client] {
		if len(r.known[day]) >= ClientsMost {
			r.day(day, now).More++
			return
		}
		r.known[day][client] = true
	}
	if len(der) > 0 {
		k.Certificate = r.describe(der, now)
	}
	key := clientKey(day, client)
	c := r.pending[key]
	if c == nil {
		c = &Client{Day: day, Client: client}
		r.pending[key] = c
	}
	c.add(k)
}

// day is what waits to be added to a day. The caller holds the lock.
func (r *Recorder) day(day string, since time.Time) *Day {
	d := r.days[day]
	if d == nil {
		d = &Day{Day: day, Since: since}
		r.days[day] = d
	}
	return d
}

// describe has a certificate of ours written, once a day, and returns its digest. The caller holds the lock.
func (r *Recorder) describe(der []byte, now time.Time) string {
	sum := sha256.Sum256(der)
	digest, day := hex.EncodeToString(sum[:]), DayOf(now)
	if r.told[digest] == day {
		return digest
	}
	if len(r.told) >= shownMost {
		clear(r.told) // they are written once more
	}
	r.told[digest] = day
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return digest // it served for a handshake, so this does not happen
	}
	names := slices.Clone(cert.DNSNames)
	r.shown[digest] = &Certificate{SHA256: digest, Names: names[:min(len(names), 20)],
		Issuer:    smtp.Printable(cert.Issuer.String(), 300),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), Seen: now}
	return digest
}

// Run brings counts to the book until ctx ends, and once more then. It forgets what is too old, once a day.
func (r *Recorder) Run(ctx context.Context) { flush.Run(ctx, Interval, r.Flush, r.sweep) }

// Flush brings what was counted to the book. What cannot be written is kept for the next time.
func (r *Recorder) Flush(ctx context.Context) {
	r.mu.Lock()
	var p portion
	for _, c := range r.pending {
		p.clients = append(p.clients, c)
	}
	for _, d := range r.days {
		p.days = append(p.days, d)
	}
	for _, c := range r.shown {
		p.shown = append(p.shown, c)
	}
	for _, sender := range r.senders {
		p.senders = append(p.senders, sender)
	}
	r.senders = map[string]*Sender{}
	r.pending, r.days, r.shown = map[string]*Client{}, map[string]*Day{}, map[string]*Certificate{}
	r.mu.Unlock()
	if len(p.days)+len(p.shown) > 0 { // few
		if err := r.book.add(ctx, &portion{days: p.days, shown: p.shown}); err != nil {
			r.warn(err)
			r.giveBack(&p)
			return
		}
	}
	left, err := flush.Portions(p.clients,
		func(some []*Client) error { return r.book.add(ctx, &portion{clients: some}) })
	if err != nil {
		r.warn(err)
		r.giveBack(&portion{clients: left, senders: p.senders})
		return
	}
	rest, err := flush.Portions(p.senders, func(some []*Sender) error { return r.book.addSenders(ctx, some) })
	if err != nil {
		r.warn(err)
		r.giveBack(&portion{senders: rest})
	}
}

func (r *Recorder) giveBack(p *portion) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range p.clients {
		key := clientKey(c.Day, c.Client)
		if newer := r.pending[key]; newer != nil {
			c.merge(newer)
		}
		r.pending[key] = c
	}
	for _, d := range p.days {
		if newer := r.days[d.Day]; newer != nil {
			d.More, d.MoreSenders = d.More+newer.More, d.MoreSenders+newer.MoreSenders
		}
		r.days[d.Day] = d
	}
	for _, c := range p.shown {
		r.shown[c.SHA256] = c
	}
	r.giveBackSenders(p.senders)
}

func (r *Recorder) sweep(ctx context.Context, now time.Time) {
	if err := r.book.forget(ctx, now.Add(-Keep)); err != nil {
		r.warn(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for day := range r.known {
		if day < DayOf(now.AddDate(0, 0, -2)) {
			delete(r.known, day)
		}
	}
}
