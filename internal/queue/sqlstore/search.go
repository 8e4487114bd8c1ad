package sqlstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
)

// gathered bounds the candidates a List collects from an index before it rather walks over everything: what is common
// is soon found that way.
const gathered = 100000

// gatheredOfScope bounds them where a scope is asked for: most of what an index knows is others'.
const gatheredOfScope = 2000

// errMany stops a collection that has grown over its bound.
var errMany = errors.New("too many")

// candidates collects the deliveries an index knows for f, more than match but never fewer. ok is false when no index
// fits or it knows more than limit; what waits is always collected, however much it is, unless f asks for parts.
func (s *Store) candidates(ctx context.Context, c *sqlite.Conn, f *queue.Filter, limit int) (ids []queue.DeliveryID, ok bool, err error) {
	bounded := func(r database.Row) error {
		ids = append(ids, queue.DeliveryID(r.Int(0)))
		if len(ids) > limit {
			return errMany
		}
		return nil
	}
	all := func(r database.Row) error {
		ids = append(ids, queue.DeliveryID(r.Int(0)))
		return nil
	}
	if f.Look > 0 || f.Scope != nil {
		all = bounded // a stream in parts answers sooner
	}
	if f.Scope != nil {
		limit = min(limit, gatheredOfScope)
	}
	switch first, last, keyed := recipientKeys(f); {
	case len(f.IDs) > 0:
		err = byMessage(ctx, c, f.IDs, bounded)
	case f.MessageID != "":
		err = s.byMessageID(ctx, c, f, bounded)
	case keyed:
		err = s.byKey(ctx, c, f, func(prefix int64) error {
			return c.Query(ctx, "SELECT id FROM delivery WHERE recipient BETWEEN ? AND ?", bounded, prefix|first, prefix|last)
		})
	case waitingOnly(f.States) && f.Site != "":
		err = c.Query(ctx, "SELECT id FROM delivery INDEXED BY delivery_open WHERE state <= 2"+
			" AND site = (SELECT id FROM site WHERE key = ?)", all, string(f.Site))
	case waitingOnly(f.States) && f.Look == 0 && f.Scope == nil:
		err = c.Query(ctx, "SELECT id FROM delivery INDEXED BY delivery_open WHERE state <= 2", all)
	default:
		return nil, false, nil
	}
	if err == errMany {
		return nil, false, nil
	}
	return ids, err == nil, err
}

func waitingOnly(states []queue.State) bool {
	return len(states) > 0 && !slices.ContainsFunc(states, func(s queue.State) bool { return !s.Waiting() })
}

// recipientKeys is the range of index keys, without the block, that f's recipient lies in.
func recipientKeys(f *queue.Filter) (lo, hi int64, ok bool) {
	domain := f.Domain
	if r := f.Recipient; r != "" && !strings.ContainsAny(r, "*?") {
		if a, err := mail.ParseAddress(r); err == nil {
			key := int64(addressHash(a))
			return key, key, true
		}
		if !strings.Contains(r, "@") {
			domain = r
		}
	}
	if d := domainOf(domain); d != "" {
		lo = int64(domainHash(d))
		return lo, lo | (1<<24 - 1), true
	}
	return 0, 0, false
}

// domainOf is the canonical spelling of a domain, "" for what is none.
func domainOf(text string) string {
	d, err := mail.ParseDomain(text)
	if err != nil {
		return ""
	}
	return d.String()
}

// byMessage collects the deliveries of messages.
func byMessage(ctx context.Context, c *sqlite.Conn, ids []queue.ID, each func(r database.Row) error) error {
	for _, id := range ids {
		seq, err := c.Number(ctx, "SELECT seq FROM message WHERE id = ?", string(id))
		if err == nil {
			err = bySeq(ctx, c, seq, each)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func bySeq(ctx context.Context, c *sqlite.Conn, seq int64, each func(r database.Row) error) error {
	return c.Query(ctx, "SELECT id FROM delivery WHERE id >= ? AND id < ?", each, int64(deliveryID(seq, 0)),
		int64(deliveryID(seq+1, 0)))
}

func (s *Store) byMessageID(ctx context.Context, c *sqlite.Conn, f *queue.Filter, each func(r database.Row) error) error {
	key := int64(hash(queue.TrimMessageID(f.MessageID)) & keyHash)
	var seqs []int64
	err := s.byKey(ctx, c, f, func(prefix int64) error {
		return c.Query(ctx, "SELECT seq FROM message WHERE message_id = ?", func(r database.Row) error {
			seqs = append(seqs, r.Int(0))
			return nil
		}, prefix|key)
	})
	for i := 0; i < len(seqs) && err == nil; i++ {
		err = bySeq(ctx, c, seqs[i], each)
	}
	return err
}

// byKey calls each with the upper bits of every index key that a message of f's times may have: its block, or its day if
// it came with an older form.
func (s *Store) byKey(ctx context.Context, c *sqlite.Conn, f *queue.Filter, each func(prefix int64) error) error {
	lo, hi, err := s.seqRange(ctx, c, f.Since, f.Until)
	if err != nil || hi < lo {
		return err
	}
	for block := blockOf(lo); block <= blockOf(hi); block++ {
		if err := each(block << 40); err != nil {
			return err
		}
	}
	last, err := c.Number(ctx, "SELECT day_keys FROM totals")
	if err != nil || lo > last {
		return err
	}
	return s.byDay(ctx, c, f, last, each)
}

// byDay calls each for every day of which there are messages up to seq last that f's times allow.
func (s *Store) byDay(ctx context.Context, c *sqlite.Conn, f *queue.Filter, last int64, each func(day int64) error) error {
	s.mu.Lock()
	skew := s.order.skew
	s.mu.Unlock()
	from, err := c.Number(ctx, "SELECT min(accepted) FROM message")
	if err != nil {
		return err
	}
	to, err := c.Number(ctx, "SELECT accepted FROM message WHERE seq <= ? ORDER BY seq DESC LIMIT 1", last)
	if err != nil {
		return err
	}
	to += skew
	if !f.Since.IsZero() {
		from = max(from, f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		to = min(to, f.Until.UnixMicro())
	}
	for day := dayOf(from); day <= dayOf(to); day++ {
		if err := each(day << 40); err != nil {
			return err
		}
	}
	return nil
}

// seqRange bounds the messages accepted from since on and before until. Acceptance times follow the order of seq except
// for clocks that step and writers that overtake each other; totals.skew is by how much they ever did not. So the
// messages with the first fitting time and with those up to skew later hold the lowest seq, and likewise at the end.
func (s *Store) seqRange(ctx context.Context, c *sqlite.Conn, since, until time.Time) (lo, hi int64, err error) {
	s.mu.Lock()
	skew := s.order.skew
	s.mu.Unlock()
	if lo, err = c.Number(ctx, "SELECT min(seq) FROM message"); err != nil {
		return 0, 0, err
	}
	if hi, err = c.Number(ctx, "SELECT max(seq) FROM message"); err != nil {
		return 0, 0, err
	}
	if !since.IsZero() {
		lo, err = c.Number(ctx, "SELECT min(seq) FROM message INDEXED BY message_accepted, (SELECT min(accepted) AS at"+
			" FROM message WHERE accepted >= ?) WHERE accepted BETWEEN at AND at + ?", since.UnixMicro(), skew)
		if lo == 0 {
			lo = hi + 1
		}
	}
	if !until.IsZero() && err == nil {
		hi, err = c.Number(ctx, "SELECT max(seq) FROM message INDEXED BY message_accepted, (SELECT max(accepted) AS at"+
			" FROM message WHERE accepted < ?) WHERE accepted BETWEEN at - ? AND at", until.UnixMicro(), skew)
	}
	return lo, hi, err
}
