package search

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// gathered bounds the candidates a List collects from an index before it rather walks over everything: what is common
// is soon found that way.
const gathered = 100000

// gatheredOfScope bounds them where a scope is asked for: most of what an index knows is others'.
const gatheredOfScope = 2000

// errMany stops a collection that has grown over its bound.
var errMany = errors.New("too many")

// Candidates collects the deliveries an index knows for f, more than match but never fewer. ok is false when no index
// fits or it knows too many; what waits is always collected, however much it is, unless f asks for parts or the newest.
func (x *Search) Candidates(ctx context.Context, db database.Reader, f *queue.Filter, known Known) (
	ids []queue.DeliveryID, ok bool, err error) {
	limit := gathered
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
		err = db.Query(ctx, x.messages, bounded, x.dialect.List(f.IDs))
	case f.MessageID != "":
		err = x.byMessageID(ctx, db, f, known, bounded)
	case keyed:
		err = x.byKey(ctx, db, f, known, func(prefix int64) error {
			return db.Query(ctx, "SELECT id FROM delivery WHERE recipient BETWEEN ? AND ?", bounded,
				prefix|first, prefix|last)
		})
	case waitingOnly(f.States) && f.Site != "":
		err = db.Query(ctx, x.openAtSite, all, string(f.Site))
	case waitingOnly(f.States) && f.Look == 0 && f.Scope == nil && f.Limit == 0:
		err = db.Query(ctx, x.open, all)
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
			key := int64(stored.AddressHash(a))
			return key, key, true
		}
		if !strings.Contains(r, "@") {
			domain = r
		}
	}
	if d := domainOf(domain); d != "" {
		lo = int64(stored.DomainHash(d))
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

func bySeq(ctx context.Context, db database.Reader, seq int64, each func(r database.Row) error) error {
	return db.Query(ctx, "SELECT id FROM delivery WHERE id >= ? AND id < ?", each,
		int64(stored.ID(seq, 0)), int64(stored.ID(seq+1, 0)))
}

func (x *Search) byMessageID(ctx context.Context, db database.Reader, f *queue.Filter, known Known,
	each func(r database.Row) error) error {
	key := int64(stored.Hash(queue.TrimMessageID(f.MessageID)) & stored.KeyHash)
	var seqs []int64
	err := x.byKey(ctx, db, f, known, func(prefix int64) error {
		return db.Query(ctx, "SELECT seq FROM message WHERE message_id = ?", func(r database.Row) error {
			seqs = append(seqs, r.Int(0))
			return nil
		}, prefix|key)
	})
	for i := 0; i < len(seqs) && err == nil; i++ {
		err = bySeq(ctx, db, seqs[i], each)
	}
	return err
}

// byKey calls each with the upper bits of every index key that a message of f's times may have: its block, or its day
// if it came with an older form.
func (x *Search) byKey(ctx context.Context, db database.Reader, f *queue.Filter, known Known,
	each func(prefix int64) error) error {
	lo, hi, err := x.SeqRange(ctx, db, known, f.Since, f.Until)
	if err != nil || hi < lo {
		return err
	}
	for block := stored.BlockOf(lo); block <= stored.BlockOf(hi); block++ {
		if err := each(block << 40); err != nil {
			return err
		}
	}
	last, err := db.Number(ctx, "SELECT day_keys FROM totals")
	if err != nil || lo > last {
		return err
	}
	return byDay(ctx, db, f, known, last, each)
}

// byDay calls each for every day of which there are messages up to seq last that f's times allow.
func byDay(ctx context.Context, db database.Reader, f *queue.Filter, known Known, last int64,
	each func(day int64) error) error {
	from, err := db.Number(ctx, "SELECT min(accepted) FROM message")
	if err != nil {
		return err
	}
	to, err := db.Number(ctx, "SELECT accepted FROM message WHERE seq <= ? ORDER BY seq DESC LIMIT 1", last)
	if err != nil {
		return err
	}
	to += known.Skew
	if !f.Since.IsZero() {
		from = max(from, f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		to = min(to, f.Until.UnixMicro())
	}
	for day := stored.DayOf(from); day <= stored.DayOf(to); day++ {
		if err := each(day << 40); err != nil {
			return err
		}
	}
	return nil
}

// SeqRange bounds the messages accepted from since on and before until. Acceptance times follow the order of seq except
// for clocks that step and writers that overtake each other; Known.Skew is by how much they ever did not. So the
// messages with the first fitting time and with those up to skew later hold the lowest seq, and likewise at the end.
func (x *Search) SeqRange(ctx context.Context, db database.Reader, known Known, since,
	until time.Time) (lo, hi int64, err error) {
	if lo, err = db.Number(ctx, "SELECT min(seq) FROM message"); err != nil {
		return 0, 0, err
	}
	if hi, err = db.Number(ctx, "SELECT max(seq) FROM message"); err != nil {
		return 0, 0, err
	}
	if !since.IsZero() {
		lo, err = db.Number(ctx, x.firstSince, since.UnixMicro(), known.Skew)
		if lo == 0 {
			lo = hi + 1
		}
	}
	if !until.IsZero() && err == nil {
		hi, err = db.Number(ctx, x.lastUntil, until.UnixMicro(), known.Skew)
	}
	return lo, hi, err
}
