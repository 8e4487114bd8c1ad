package storecopy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"

	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// portionBytes is about how much of a table is in memory.
const portionBytes = 4 << 20

// portion is the next rows of a table; a value is int64, string, []byte or nil.
type portion struct {
	t    *Table
	in   Span // which rows these are all of
	rows [][]any
	end  bool // there are no more behind them
}

// next reads the portion behind a key, nil for the first.
func next(ctx context.Context, s Side, t *Table, after []any) (*portion, error) {
	p := &portion{t: t, in: Span{After: after}, end: true}
	size, whole := 0, t.Rows
	err := p.read(ctx, s, whole+1, func(row []any) error {
		if len(p.rows) == whole || size >= portionBytes {
			p.end = false
			return database.ErrStop
		}
		p.rows, size = append(p.rows, row), size+sizeOf(row)
		return nil
	})
	if err == nil && len(p.rows) > 0 {
		p.in.To = p.rows[len(p.rows)-1][:t.Key]
	}
	return p, err
}

// same reads what a side has in the span of p; behind the last portion everything that is left.
func (p *portion) same(ctx context.Context, s Side) (*portion, error) {
	out := &portion{t: p.t, in: p.in}
	if p.end {
		out.in.To = nil
	}
	// Of one that has more it is enough to know that.
	err := out.read(ctx, s, len(p.rows)+1, func(row []any) error {
		out.rows = append(out.rows, row)
		return nil
	})
	return out, err
}

// read reads up to limit rows of the span.
func (p *portion) read(ctx context.Context, s Side, limit int, each func(row []any) error) error {
	columns, nulls := p.t.Names(), ""
	for _, c := range p.t.Columns {
		if c.Null {
			nulls += ", " + c.Name + " IS NULL"
		}
	}
	where, args := p.t.Where(p.in)
	text := "SELECT " + columns + nulls + " FROM " + p.t.Name + where + " ORDER BY " + names(p.t.Columns[:p.t.Key]) +
		" LIMIT ?" + strconv.Itoa(len(args)+1)
	err := s.Query(ctx, text, func(r database.Row) error { return each(p.t.row(r)) }, append(args, int64(limit))...)
	if err != nil {
		return fmt.Errorf("storecopy: reading %s in %s: %w", p.t.Name, s.Named(), err)
	}
	return nil
}

// row takes a row; behind the columns stands for each that can be without a value whether it is.
func (t *Table) row(r database.Row) []any {
	row, null := make([]any, len(t.Columns)), len(t.Columns)
	for i, c := range t.Columns {
		if c.Null {
			null++
			if r.Int(null-1) != 0 {
				continue
			}
		}
		switch c.Type {
		case 'i':
			row[i] = r.Int(i)
		case 't':
			row[i] = r.Text(i)
		case 'b':
			row[i] = append([]byte{}, r.Bytes(i)...)
		}
		if c.Legible {
			row[i] = stored.Legible(row[i].(string))
		}
	}
	return row
}

func sizeOf(row []any) (n int) {
	for _, v := range row {
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
		n += 16
	}
	return n
}

// differs is the place of the first row that is another, or not there; -1 for none.
func (p *portion) differs(other *portion) int {
	for i := range max(len(p.rows), len(other.rows)) {
		if i >= len(p.rows) || i >= len(other.rows) || !p.t.equal(p.rows[i], other.rows[i]) {
			return i
		}
	}
	return -1
}

// equal compares rows as far as they mean the same in both stores.
func (t *Table) equal(a, b []any) bool {
	for i, c := range t.Columns {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if c.Own || a[i] == nil {
			continue
		}
		if raw, ok := a[i].([]byte); ok {
			if !bytes.Equal(raw, b[i].([]byte)) {
				return false
			}
		} else if a[i] != b[i] {
			return false
		}
	}
	return true
}

// keyText is the key of a row for people.
func (t *Table) keyText(row []any) (out string) {
	for i, v := range row[:t.Key] {
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return out
}

// digest is what a table comes to, whatever engine it is in: SHA-256 over the values of all rows in order.
type digest struct {
	sum  hash.Hash
	rows int64
	buf  []byte
}

func newDigest() *digest { return &digest{sum: sha256.New()} }

func (d *digest) add(t *Table, rows [][]any) {
	for _, row := range rows {
		d.rows++
		d.buf = d.buf[:0]
		for i, c := range t.Columns {
			d.value(&c, row[i])
		}
		d.sum.Write(d.buf)
	}
}

// value appends a value so that no two lists of values come to the same.
func (d *digest) value(c *Column, v any) {
	switch v := v.(type) {
	case nil:
		d.buf = append(d.buf, 'n')
	case int64:
		d.buf = binary.BigEndian.AppendUint64(append(d.buf, 'i'), uint64(v))
	case string:
		if c.Own {
			v = ""
		}
		d.buf = append(binary.BigEndian.AppendUint64(append(d.buf, 't'), uint64(len(v))), v...)
	case []byte:
		d.buf = append(binary.BigEndian.AppendUint64(append(d.buf, 'b'), uint64(len(v))), v...)
	}
}

func (d *digest) text() string { return hex.EncodeToString(d.sum.Sum(nil)) }
