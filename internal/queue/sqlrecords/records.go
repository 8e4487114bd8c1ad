package sqlrecords

import (
	"bytes"
	"context"
	"math"
	"time"

	"postern/internal/platform/records"
	"postern/internal/queue/database"
)

// ReadRecords reads records of one moment.
func (s *Store) ReadRecords(ctx context.Context, do func(r records.Reader) error) error {
	return s.db.ReadWhole(ctx, func(c database.Reader) error { return do(recordReader{ctx, c, &s.dialect}) })
}

// ChangeRecords changes records in one transaction, in which the changes of others may stand too.
func (s *Store) ChangeRecords(ctx context.Context, do func(t records.Tx) error) error {
	return s.db.Change(ctx, 0, func(t database.Tx) error {
		return do(recordTx{recordReader{context.Background(), t, &s.dialect}, t})
	})
}

// recordReader reads records through one connection.
type recordReader struct {
	ctx     context.Context // of the call
	c       database.Reader
	dialect *database.Dialect
}

const selectRecord = "SELECT key, idx, at, version, value"

// Get returns a record.
func (r recordReader) Get(kind, key string) (records.Record, error) {
	list, err := r.records(kind, selectRecord+" FROM record WHERE kind = ? AND key = ?", kind, key)
	if err == nil && len(list) == 0 {
		err = records.ErrNotFound
	}
	if err != nil {
		return records.Record{}, err
	}
	return list[0], nil
}

const selectCounter = "SELECT key, idx, n"

// List lists records.
func (r recordReader) List(q records.Query) ([]records.Record, error) {
	from, args := r.chosen("record", &q)
	return r.records(q.Kind, selectRecord+from+ordered(&q), append(args, bound(&q))...)
}

func (r recordReader) records(kind, text string, args ...any) (out []records.Record, err error) {
	err = r.c.Query(r.ctx, text, func(row database.Row) error {
		out = append(out, records.Record{Kind: kind, Key: row.Text(0), Index: row.Text(1), At: row.Time(2),
			Version: row.Int(3), Value: bytes.Clone(row.Bytes(4))})
		return nil
	}, args...)
	return out, err
}

// Count counts the records of a kind.
func (r recordReader) Count(kind string) (int, error) {
	n, err := r.c.Number(r.ctx, "SELECT count(*) FROM record WHERE kind = ?", kind)
	return int(n), err
}

// Counters lists counters.
func (r recordReader) Counters(q records.Query) (out []records.Counter, err error) {
	q.Before, q.Oldest = time.Time{}, false
	from, args := r.chosen("counter", &q)
	err = r.c.Query(r.ctx, selectCounter+from+ordered(&q), func(row database.Row) error {
		out = append(out, records.Counter{Kind: q.Kind, Key: row.Text(0), Index: row.Text(1), N: row.Int(2)})
		return nil
	}, append(args, bound(&q))...)
	return out, err
}

// recordTx changes records in a transaction of the writer.
type recordTx struct {
	recordReader
	t database.Tx
}

// Put stores a record.
func (r recordTx) Put(one records.Record) error {
	stored, err := r.c.Number(r.ctx, "SELECT version FROM record WHERE kind = ? AND key = ?", one.Kind, one.Key)
	if err != nil {
		return err
	}
	if one.Version != records.Any && one.Version != stored {
		return records.ErrChanged
	}
	if one.Value == nil {
		one.Value = []byte{}
	}
	return r.t.Exec(`INSERT INTO record (kind, key, idx, at, version, value) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (kind, key) DO UPDATE
			SET idx = excluded.idx, at = excluded.at, version = excluded.version, value = excluded.value`,
		one.Kind, one.Key, database.OrNull(one.Index), database.Stamp(one.At), stored+1, one.Value)
}

// Delete deletes a record.
func (r recordTx) Delete(kind, key string) (bool, error) {
	n, err := r.t.Changed("DELETE FROM record WHERE kind = ? AND key = ?", kind, key)
	return n > 0, err
}

// DeleteAll deletes records and counters.
func (r recordTx) DeleteAll(q records.Query) error {
	if err := q.CheckDelete(); err != nil {
		return err
	}
	from, args := r.chosen("record", &q)
	if err := r.t.Exec("DELETE"+from, args...); err != nil || !q.Before.IsZero() {
		return err
	}
	from, args = r.chosen("counter", &q)
	return r.t.Exec("DELETE"+from, args...)
}

// Add adds to a counter.
func (r recordTx) Add(c records.Counter) error {
	return r.t.Exec(`INSERT INTO counter (kind, key, idx, n) VALUES (?, ?, ?, ?)
		ON CONFLICT (kind, key) DO UPDATE SET n = counter.n + excluded.n`, c.Kind, c.Key, database.OrNull(c.Index), c.N)
}

// chosen is where a query looks in a table, and the arguments of that.
func (r recordReader) chosen(table string, q *records.Query) (from string, args []any) {
	where := ""
	and := func(condition string, arg any) {
		where, args = where+" AND "+condition, append(args, arg)
	}
	from = " FROM " + table
	if q.Index != "" {
		from += r.dialect.Index(table + "_idx") // a whole kind may look cheaper
		and("idx = ?", q.Index)
	}
	if q.From != "" {
		and("key >= ?", q.From)
	}
	if q.To != "" {
		and("key < ?", q.To)
	}
	if !q.Before.IsZero() {
		and("at < ?", q.Before.Add(time.Microsecond-1).UnixMicro())
	}
	return from + " WHERE kind = ?" + where, append([]any{q.Kind}, args...)
}

// ordered is the order that a query asks for, and the place of its bound.
func ordered(q *records.Query) string {
	if q.Oldest {
		return " AND at IS NOT NULL ORDER BY at, key LIMIT ?"
	}
	return " ORDER BY key LIMIT ?"
}

// bound is the bound of a query.
func bound(q *records.Query) int64 {
	if q.Limit > 0 {
		return int64(q.Limit)
	}
	return math.MaxInt64 // none
}
