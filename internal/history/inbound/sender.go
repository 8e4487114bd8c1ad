package inbound

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/smtp"
)

// The bounds of what is remembered of senders.
const (
	// SendersMost is how many domains of senders a day has, WaysMost how many ways a domain.
	SendersMost = 5_000
	WaysMost    = 8
	// senderNames is how many names of a certificate are kept.
	senderNames = 5
)

// Way is how mail of a domain came in: over which TLS, with which certificate. What is "" was not there. The names of
// its fields stay for ever.
type Way struct {
	Version     string   `json:"tls_version,omitempty"` // "" without TLS
	Cipher      string   `json:"cipher,omitempty"`
	Bits        int      `json:"bits,omitempty"`
	Group       string   `json:"group,omitempty"`
	Certificate string   `json:"certificate,omitempty"` // subject of the client's; escaped and bounded
	Names       []string `json:"names,omitempty"`       // of it, as far as a rule had them looked at
	// Reason is why a rule refused it, or would have if it were not on trial; "" of what rules let pass.
	Reason string `json:"reason,omitempty"`
	Rule   string `json:"rule,omitempty"`
	// Messages came in, Refused are commands that were refused, Trials messages that rules on trial would have refused.
	Messages int64 `json:"messages"`
	Refused  int64 `json:"refused,omitempty"`
	Trials   int64 `json:"trials,omitempty"`
	// Client is the last one, First and Last are when.
	Client string    `json:"client"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

// same reports whether two are one way.
func (w *Way) same(o *Way) bool {
	return w.Version == o.Version && w.Cipher == o.Cipher && w.Group == o.Group && w.Certificate == o.Certificate &&
		w.Reason == o.Reason && w.Rule == o.Rule
}

// Sender is how mail of one domain came in on one day.
type Sender struct {
	Day string `json:"day"` // UTC
	// Domain is of the envelope sender, "<>" for the null sender.
	Domain string `json:"domain"`
	Ways   []Way  `json:"ways"`
	// More are messages and refusals of further ways.
	More int64 `json:"more,omitempty"`
}

// Add adds mail that came one way.
func (s *Sender) Add(w Way) {
	for i := range s.Ways {
		old := &s.Ways[i]
		if !old.same(&w) {
			continue
		}
		old.Messages, old.Refused, old.Trials = old.Messages+w.Messages, old.Refused+w.Refused, old.Trials+w.Trials
		if w.First.Before(old.First) {
			old.First = w.First
		}
		if !w.Last.Before(old.Last) {
			old.Last, old.Client = w.Last, w.Client
		}
		if len(old.Names) == 0 {
			old.Names = w.Names
		}
		return
	}
	if len(s.Ways) >= WaysMost {
		s.More += w.Messages + w.Refused
		return
	}
	s.Ways = append(s.Ways, w)
}

// Merge adds what another counted of the same domain.
func (s *Sender) Merge(o *Sender) {
	for _, w := range o.Ways {
		s.Add(w)
	}
	s.More += o.More
}

var senders = records.Shelf[Sender]{Kind: "inbound sender",
	Key: func(s *Sender) string { return senderKey(s.Day, s.Domain) }}

func senderKey(day, domain string) string { return day + " " + domain }

// addSenders adds to what is there, all or nothing.
func (b *Book) addSenders(ctx context.Context, list []*Sender) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		for _, s := range list {
			sum := *s
			old, err := senders.Get(t, senderKey(s.Day, s.Domain))
			if err == nil {
				old.Merge(s)
				sum = old
			}
			if err := put(t, senders, &sum, err); err != nil {
				return err
			}
		}
		return nil
	})
}

// Senders lists how mail came in from one day to another, both included: the domains of a day after those of the day
// before. At most most of them, 0 for all; more says that there are further ones.
func (b *Book) Senders(ctx context.Context, from, to string, most int) (list []Sender, more bool, err error) {
	q := records.Query{From: from + " ", To: to + "!"}
	if most > 0 {
		q.Limit = most + 1
	}
	list, err = records.Read(ctx, b.store, func(r records.Reader) ([]Sender, error) { return senders.List(r, q) })
	if most > 0 && len(list) > most {
		return list[:most], true, err
	}
	return list, false, err
}

// DaysOf lists the days of a span on which anything was counted.
func (b *Book) DaysOf(ctx context.Context, from, to string) ([]Day, error) {
	return records.Read(ctx, b.store, func(r records.Reader) ([]Day,
		error) {
		return days.List(r, records.Query{From: from, To: to + "!"})
	})
}

// emitMail counts mail of strangers, what came in and what was refused.
func (r *Recorder) emitMail(e event.Event) {
	switch e := e.(type) {
	case event.Accepted:
		if e.Leg == event.InWorld {
			w := wayOf(e.TLS)
			w.Messages, w.Client = 1, e.Client.String()
			r.countSender(e.From, w)
		}
	case event.FellShort:
		w := wayOf(e.TLS)
		w.Names, w.Reason, w.Client = slices.Clone(e.Names[:min(len(e.Names), senderNames)]), string(e.Reason),
			e.Client.String()
		w.Rule = smtp.Printable(strings.Join(e.Rules, ", "), 200)
		if w.Refused = 1; e.Trial { // the message itself is counted where it is accepted
			w.Refused, w.Trials = 0, 1
		}
		r.countSender(e.From, w)
	}
}

func wayOf(t *mail.TLS) Way {
	if t == nil {
		return Way{}
	}
	w := Way{Version: t.Version, Cipher: t.Cipher, Bits: t.Bits, Group: t.Group}
	if t.Client != nil && t.Client.Presented {
		w.Certificate = smtp.Printable(t.Client.Subject, 200)
	}
	return w
}

func (r *Recorder) countSender(from mail.Address, w Way) {
	now := time.Now().UTC()
	day, domain := DayOf(now), cmp.Or(from.Domain.String(), "<>")
	w.First, w.Last = now, now
	key := senderKey(day, domain)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.senderDay != day {
		r.senderDay, r.senderKnown = day, map[string]bool{}
	}
	if !r.senderKnown[domain] {
		if len(r.senderKnown) >= SendersMost {
			r.day(day, now.Truncate(24*time.Hour)).MoreSenders++
			return
		}
		r.senderKnown[domain] = true
	}
	s := r.senders[key]
	if s == nil {
		s = &Sender{Day: day, Domain: domain}
		r.senders[key] = s
	}
	s.Add(w)
}

// giveBackSenders keeps what could not be written. The caller holds the lock.
func (r *Recorder) giveBackSenders(list []*Sender) {
	for _, s := range list {
		key := senderKey(s.Day, s.Domain)
		if newer := r.senders[key]; newer != nil {
			s.Merge(newer)
		}
		r.senders[key] = s
	}
}
