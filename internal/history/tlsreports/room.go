package tlsreports

import (
	"cmp"
	"context"
	"time"

	"postern/internal/history/inbound"
	"postern/internal/platform/records"
)

// Room says how much is kept; what is zero has the usual value. Where there is more, the oldest go.
type Room struct {
	// Signed and Unsigned are how many reports there are of each (0: 20,000 and 2,000), SignedBytes and UnsignedBytes
	// what their documents may take (0: 256 and 32 MiB).
	Signed, Unsigned           int
	SignedBytes, UnsignedBytes int64
}

func (r Room) orUsual() Room {
	return Room{cmp.Or(r.Signed, 20_000), cmp.Or(r.Unsigned, 2000), cmp.Or(r.SignedBytes, 256<<20),
		cmp.Or(r.UnsignedBytes, 32<<20)}
}

// Kinds of counters: the bytes of each room, and what a sender brought on a day.
const (
	bytesKept = "tls report bytes"
	brought   = "tls reports brought"
)

// count counts a report of a sender, and refuses it where it has brought enough.
func count(t records.Tx, at time.Time, who string, most int) error {
	key := inbound.DayOf(at) + " " + who
	list, err := t.Counters(records.Query{Kind: brought, From: key, To: key + "\x00"})
	if err != nil {
		return err
	}
	if len(list) > 0 && list[0].N >= int64(most) {
		return ErrTooMany
	}
	return t.Add(records.Counter{Kind: brought, Key: key, N: 1})
}

// makeRoom drops the oldest until all is within the bounds.
func (b *Book) makeRoom(t records.Tx, s records.Shelf[Received]) error {
	most, bytes := b.room.Signed, b.room.SignedBytes
	if s.Kind == unsigned.Kind {
		most, bytes = b.room.Unsigned, b.room.UnsignedBytes
	}
	for {
		n, err := t.Count(s.Kind)
		if err != nil {
			return err
		}
		sums, err := t.Counters(records.Query{Kind: bytesKept, From: s.Kind, To: s.Kind + "\x00"})
		if err != nil {
			return err
		}
		if n <= 1 || n <= most && (len(sums) == 0 || sums[0].N <= bytes) {
			return nil
		}
		oldest, err := s.List(t, records.Query{Oldest: true, Limit: 1})
		if err != nil || len(oldest) == 0 {
			return err
		}
		if err := drop(t, &oldest[0]); err != nil {
			return err
		}
	}
}

// sweepPortion is how many reports one transaction forgets.
const sweepPortion = 200

// Forget drops what came before a moment.
func (b *Book) Forget(ctx context.Context, before time.Time) error {
	for _, s := range []records.Shelf[Received]{signed, unsigned} {
		for {
			n, err := records.Change(ctx, b.store, func(t records.Tx) (int, error) {
				list, err := s.List(t, records.Query{Before: before, Oldest: true, Limit: sweepPortion})
				for i := 0; i < len(list) && err == nil; i++ {
					err = drop(t, &list[i])
				}
				return len(list), err
			})
			if err != nil {
				return err
			}
			if n < sweepPortion {
				break
			}
		}
	}
	return nil
}

// ForgetSenders drops what senders brought on days before that of a moment, and when they last reported failures if
// that was before.
func (b *Book) ForgetSenders(ctx context.Context, before time.Time) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		if err := t.DeleteAll(records.Query{Kind: failed, Before: before}); err != nil {
			return err
		}
		return t.DeleteAll(records.Query{Kind: brought, To: inbound.DayOf(before)})
	})
}
