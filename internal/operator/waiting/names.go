package waiting

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/queue"
)

// chosenMail are messages with the recipient domains for which they wait.
type chosenMail map[queue.ID]map[string]bool

func (c chosenMail) add(r *queue.Record) {
	id := r.Message.ID
	if c[id] == nil {
		c[id] = map[string]bool{}
	}
	c[id][r.Recipient.Address.Domain.String()] = true
}

func (c chosenMail) messages() (out []string) {
	for id := range c {
		out = append(out, string(id))
	}
	slices.Sort(out)
	return out
}

// lacks lists what r names and c has nothing of.
func (c chosenMail) lacks(r *ActRequest) (out []string) {
	domains := map[string]bool{}
	for _, of := range c {
		maps.Copy(domains, of)
	}
	for _, name := range r.Domains {
		if d, err := mail.ParseDomain(name); err != nil || !domains[d.String()] {
			out = append(out, name)
		}
	}
	for _, id := range r.Messages {
		if c[queue.ID(id)] == nil {
			out = append(out, id)
		}
	}
	return out
}

// actOnKnown carries out r for who sees everything, and says which names nothing waits of. Where that is all of them,
// nothing is done.
func (d QueueDesk) actOnKnown(ctx context.Context, r *ActRequest, by string) (ActResult, error) {
	unknown, err := d.s.unknown(ctx, r)
	if err != nil || len(unknown) > 0 && len(unknown) == len(r.Domains)+len(r.Messages) {
		return ActResult{Unknown: unknown}, err
	}
	out, err := d.s.act(ctx, d.who, *r, by)
	out.Unknown = unknown
	return out, err
}

// unknown lists what r names and nothing waits of; of Return, what nothing is in quarantine of.
func (s *Service) unknown(ctx context.Context, r *ActRequest) ([]string, error) {
	counts := func(rec *queue.Record) bool {
		return r.Kind != Return || rec.State == queue.Held && rec.Quarantine() != nil
	}
	const atOnce = 500 // messages
	found := chosenMail{}
	for ids := range slices.Chunk(r.Messages, atOnce) {
		f := queue.AllWaiting()
		for _, id := range ids {
			f.IDs = append(f.IDs, queue.ID(id))
		}
		if err := s.find(ctx, f, func(rec *queue.Record) (more bool) {
			if counts(rec) {
				found.add(rec)
			}
			return true
		}); err != nil {
			return nil, err
		}
	}
	out := found.lacks(&ActRequest{Messages: r.Messages})
	for _, name := range slices.Backward(r.Domains) {
		known, f := false, queue.AllWaiting()
		d, err := mail.ParseDomain(name)
		if err != nil {
			return nil, access.BadRequest("%w", err)
		}
		f.Domain = d.String()
		if r.Kind != Return {
			f.Limit = 1
		}
		if err := s.find(ctx, f, func(rec *queue.Record) (more bool) {
			known = known || counts(rec)
			return !known
		}); err != nil {
			return nil, err
		}
		if !known {
			out = slices.Insert(out, 0, name)
		}
	}
	return out, nil
}

// find calls each for what f selects while it wants more.
func (s *Service) find(ctx context.Context, f queue.Filter, each func(*queue.Record) (more bool)) error {
	f.Brief = true
	for rec, err := range s.cfg.Store.List(ctx, f) {
		if err != nil {
			return fmt.Errorf("cannot look for what is named: %w", err)
		}
		if !each(&rec) {
			return nil
		}
	}
	return nil
}

// SayUnknown says which names of an action of a kind there was nothing of, "" for none.
func SayUnknown(kind queue.ActionKind, names []string) string {
	switch {
	case len(names) == 0:
		return ""
	case kind == Return:
		return "nothing is in quarantine of " + strings.Join(names, ", ")
	}
	return "nothing waits of " + strings.Join(names, ", ")
}

func orAnything(names []string) []string {
	if len(names) == 0 {
		return []string{"the domains of the account"}
	}
	return names
}
