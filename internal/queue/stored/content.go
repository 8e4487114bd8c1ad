package stored

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"postern/internal/queue"
	"postern/internal/queue/database"
)

// Content is the body of a message that waits, and what is known of it.
type Content struct {
	Message queue.ID
	File    string // "": it is Data
	Data    []byte
	Size    int64
	Sum     *Sum // nil: it was stored before there were checksums
}

// ReadContent reads what tables have of a body; queue.ErrNotFound where no message of that ID waits.
func ReadContent(ctx context.Context, db database.Reader, id queue.ID) (*Content, error) {
	var c *Content
	var facts string
	err := db.Query(ctx, "SELECT m.file, b.data, m.size, m.facts FROM message m LEFT JOIN body b ON b.seq = m.seq"+
		" WHERE m.id = ? AND m.open > 0", func(r database.Row) error {
		c = &Content{Message: id, File: r.Text(0), Data: bytes.Clone(r.Bytes(1)), Size: r.Int(2)}
		facts = r.Text(3)
		return nil
	}, string(id))
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, queue.ErrNotFound
	}
	c.Sum, err = SumIn(facts)
	return c, err
}

// Damaged is the error of a body that is not what was stored.
func (c *Content) Damaged(what string, args ...any) error {
	return fmt.Errorf("%w: the content of message %s %s", queue.ErrDamaged, c.Message, fmt.Sprintf(what, args...))
}

// Open opens Data, held against what is known of it.
func (c *Content) Open() (io.ReadSeekCloser, error) {
	if size := int64(len(c.Data)); size != c.Size {
		return nil, c.Damaged("has %d bytes, not %d", size, c.Size)
	}
	if c.Sum != nil && Sum(0).With(c.Data) != *c.Sum {
		return nil, c.Damaged("does not match its checksum")
	}
	return InMemory(c.Data), nil
}

// InMemory is a body that is read from memory.
func InMemory(data []byte) io.ReadSeekCloser { return reader{bytes.NewReader(data)} }

type reader struct{ *bytes.Reader }

// Close does nothing.
func (reader) Close() error { return nil }
