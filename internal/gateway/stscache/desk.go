package stscache

import (
	"context"
	"errors"
	"time"

	"postern/internal/mail"
	"postern/internal/platform/records"
)

// Kept is a policy as the store has it.
type Kept struct {
	Domain mail.Domain
	Found
	Due     time.Time // when the domain is asked again; its end for one that no mail needs
	Tried   time.Time // when it was asked last
	Used    time.Time // when mail needed it last, to the day
	Failing time.Time // since when it cannot be renewed; zero when it can
}

func (k *kept) shown() (Kept, error) {
	domain, err := mail.ParseDomain(k.Domain)
	return Kept{domain, *k.found(FromCache), k.Due, k.Tried, k.Used, k.Failing}, err
}

// List returns the policies that are kept, in the order of domains: at most so many of those that come after one ("":
// from the first on). What has ended and is not deleted yet is left out.
func (c *Cache) List(ctx context.Context, after string, most int) ([]Kept, error) {
	from := ""
	if after != "" {
		from = after + "\x00"
	}
	var out []Kept
	for len(out) < most {
		page, err := records.Read(ctx, c.cfg.Store, func(r records.Reader) ([]entry, error) {
			return shelf.List(r, records.Query{From: from, Limit: most - len(out)})
		})
		if err != nil || len(page) == 0 {
			return out, err
		}
		for _, e := range page {
			from = e.Domain + "\x00"
			k, err := open(e)
			if err != nil {
				return out, err
			}
			if !k.inForce(time.Now()) {
				continue
			}
			shown, err := k.shown()
			if err != nil {
				return out, err
			}
			out = append(out, shown)
		}
	}
	return out, nil
}

// Show returns what is kept of a domain, nil for nothing; the Note says why, where that is known. Nobody is asked.
func (c *Cache) Show(ctx context.Context, domain mail.Domain) (*Kept, Note, error) {
	k, err := c.read(ctx, domain)
	if err != nil {
		return nil, Note{}, err
	}
	if k.inForce(time.Now()) {
		shown, err := k.shown()
		return &shown, Note{}, err
	}
	if held := c.memory.get(domain); held != nil && !held.policy.inForce(time.Now()) {
		return nil, held.note, nil
	}
	return nil, Note{}, nil
}

// Record asks DNS which policy a domain announces now, and returns its id. The Note says why there is none. Nothing is
// kept of it.
func (c *Cache) Record(ctx context.Context, domain mail.Domain) (id string, note Note) {
	if below("_mta-sts", domain).IsZero() {
		return "", Note{NoRecord, domain.String() + " can announce no policy"}
	}
	return c.record(ctx, domain)
}

// Refresh asks a domain now and fetches its policy, whatever is known, and returns what is in force then. It waits as
// long as asking takes. Beside a policy that could not be renewed the Fault of Found says why.
func (c *Cache) Refresh(ctx context.Context, domain mail.Domain) (*Found, Note, error) {
	k, err := c.look(ctx, domain)
	if err != nil {
		return nil, Note{}, err
	}
	if k.order == 0 { // a name that can announce nothing
		return nil, k.note, nil
	}
	return c.ask(ctx, k, true, 2*c.cfg.Time)
}

// Forget deletes what is kept of a domain, and that nothing could be had, and reports whether there was a policy. The
// next mail asks anew; until then, and if nothing is found, mail goes as if the domain never had one. Whoever asks for
// it is written down by the caller.
func (c *Cache) Forget(ctx context.Context, domain mail.Domain) (bool, error) {
	there, err := records.Change(ctx, c.cfg.Store, func(t records.Tx) (bool, error) {
		e, err := shelf.Get(t, domain.String())
		if errors.Is(err, records.ErrNotFound) {
			return false, nil
		}
		gone, err2 := t.Delete(shelf.Kind, domain.String())
		return gone && (err != nil || time.Now().Before(e.Until)), err2
	})
	if err == nil {
		// what was read before counts no more
		c.memory.put(&known{domain: domain, loaded: time.Now(), order: c.memory.next()})
	}
	return there, err
}
