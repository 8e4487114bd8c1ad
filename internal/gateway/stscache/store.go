package stscache

import (
	"context"
	"errors"
	"time"

	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy/sts"
)

// entry is a policy as it is stored. Of it fields are only ever added.
type entry struct {
	Domain string `json:"domain"` // an A-label
	ID     string `json:"id"`     // of the record that announced the policy
	// Mode, MX, MaxAge, in seconds, and Oddities are the policy.
	Mode     sts.Mode  `json:"mode"`
	MX       []string  `json:"mx,omitempty"`
	MaxAge   int64     `json:"max_age"`
	Oddities []string  `json:"oddities,omitempty"`
	Fetched  time.Time `json:"fetched"`
	Until    time.Time `json:"until"`
	// Due is when the record is asked for again; for one that nobody uses, its end.
	Due time.Time `json:"due"`
	// Tried is when the last renewal ended, and Used when mail went there last, to the day.
	Tried time.Time `json:"tried"`
	Used  time.Time `json:"used"`
	// Fault and FaultText are why the last renewal failed, and Failing since when; empty when it did not.
	Fault     Kind      `json:"fault,omitempty"`
	FaultText string    `json:"fault_text,omitempty"`
	Failing   time.Time `json:"failing,omitzero"`
}

var shelf = records.Shelf[entry]{Kind: "sts-policy", Key: func(e *entry) string { return e.Domain },
	At: func(e *entry) time.Time { return e.Due }}

// kept is an entry that was read. It never changes.
type kept struct {
	entry
	loose bool // the store has no place for it
}

func (k *kept) inForce(now time.Time) bool { return k != nil && now.Before(k.Until) }

// found is the policy as callers see it.
func (k *kept) found(source Source) *Found {
	p := sts.Policy{Mode: k.Mode, MX: k.MX, MaxAge: time.Duration(k.MaxAge) * time.Second, Oddities: k.Oddities}
	return &Found{Policy: p, ID: k.ID, Fetched: k.Fetched, Until: k.Until, Source: source,
		Fault: Note{k.Fault, k.FaultText}}
}

// open reads an entry. One that says what nobody knows is an error: it might ask for something.
func open(e entry) (*kept, error) {
	if e.Mode != sts.Enforce && e.Mode != sts.Testing && e.Mode != sts.None {
		return nil, errors.New("the stored MTA-STS policy of " + e.Domain + " has a mode that is not known here: " +
			said(string(e.Mode)))
	}
	return &kept{entry: e}, nil
}

// read returns what is stored of a domain, nil for nothing.
func (c *Cache) read(ctx context.Context, domain mail.Domain) (*kept, error) {
	e, err := records.Read(ctx, c.cfg.Store,
		func(r records.Reader) (entry, error) { return shelf.Get(r, domain.String()) })
	switch {
	case errors.Is(err, records.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return open(e)
}

// write stores what became of a renewal and returns what is stored then, nil for nothing. Without a fetch it only notes
// beside the policy that is there: one that was forgotten stays so, one that another gateway fetched meanwhile stays
// whole.
func (c *Cache) write(ctx context.Context, e entry, fetched bool) (*kept, error) {
	stored, err := records.Change(ctx, c.cfg.Store, func(t records.Tx) (*entry, error) {
		was, err := shelf.Get(t, e.Domain)
		switch {
		case errors.Is(err, records.ErrNotFound):
			if !fetched {
				return nil, nil
			}
			if n, err := t.Count(shelf.Kind); err != nil || n >= c.cfg.Most {
				return nil, err
			}
		case err != nil:
			return nil, err
		case was.Fetched.After(e.Fetched) || !fetched && !was.Fetched.Equal(e.Fetched):
			return &was, nil
		case was.Used.After(e.Used):
			e.Used = was.Used
		}
		return &e, shelf.Put(t, &e, records.Any)
	})
	if err != nil {
		return nil, err
	}
	if stored == nil {
		if !fetched {
			return nil, nil
		}
		k, err := open(e) // the store has as many as it may: it counts as long as memory has it
		if err == nil {
			k.loose = true
		}
		return k, err
	}
	return open(*stored)
}

// flush writes down which policies are used.
func (c *Cache) flush(ctx context.Context) error {
	used := c.memory.takeUsed()
	if len(used) == 0 {
		return nil
	}
	return c.cfg.Store.ChangeRecords(ctx, func(t records.Tx) error {
		for domain, at := range used {
			e, err := shelf.Get(t, domain.String())
			switch {
			case errors.Is(err, records.ErrNotFound), err == nil && at.Sub(e.Used) < day:
				continue
			case err != nil:
				return err
			}
			if at.Sub(e.Used) > unused { // it was left to its end
				e.Due = records.Moment(at)
			}
			e.Used = records.Moment(at)
			if err := shelf.Put(t, &e, records.Any); err != nil {
				return err
			}
		}
		return nil
	})
}

// claim returns the domains that are due, at most so many, and puts them off for as long as asking can take, so that no
// other gateway asks meanwhile. What has ended is deleted.
func (c *Cache) claim(ctx context.Context, now time.Time, most int) ([]mail.Domain, error) {
	due := records.Query{Kind: shelf.Kind, Before: now, Oldest: true, Limit: 1}
	some, err := records.Read(ctx, c.cfg.Store, func(r records.Reader) ([]records.Record, error) { return r.List(due) })
	if err != nil || len(some) == 0 {
		return nil, err
	}
	return records.Change(ctx, c.cfg.Store, func(t records.Tx) (out []mail.Domain, err error) {
		due.Limit = most
		list, err := shelf.List(t, due)
		for i := 0; i < len(list) && err == nil; i++ {
			e := &list[i]
			domain, bad := mail.ParseDomain(e.Domain)
			switch {
			case bad != nil || !now.Before(e.Until):
				_, err = t.Delete(shelf.Kind, e.Domain)
				continue
			case now.Sub(e.Used) > unused:
				e.Due = e.Until
			default:
				e.Due = records.Moment(now.Add(claimed))
				out = append(out, domain)
			}
			err = shelf.Put(t, e, records.Any)
		}
		return out, err
	})
}
