package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// content is a body in the database and what is known of it.
type content struct {
	s    *Store
	id   queue.ID
	body int64 // number of a large one
	size int64
	sum  *stored.Sum
}

// Open opens a body, which is then as long as it was, and the same by its checksum. Of a large one no more than a chunk
// is in memory; it can be read for some minutes after its message ended.
func (s *Store) Open(ctx context.Context, id queue.ID) (io.ReadSeekCloser, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if data := s.kept.body(id); data != nil {
		return reader{bytes.NewReader(data)}, nil
	}
	var c *content
	var data []byte
	var facts, file string
	err := s.readSoon(ctx, func(conn *postgres.Conn) error {
		return conn.Query(ctx, "SELECT m.file, b.data, m.size, m.facts FROM message m LEFT JOIN body b ON b.seq = "+
			"m.seq WHERE m.id = ? AND m.open > 0", func(r database.Row) error {
			c = &content{s: s, id: id, size: r.Int(2)}
			file, data, facts = r.Text(0), bytes.Clone(r.Bytes(1)), r.Text(3)
			return nil
		}, string(id))
	})
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, queue.ErrNotFound
	}
	if c.sum, err = stored.SumIn(facts); err != nil {
		return nil, err
	}
	if file == "" {
		return c.small(data)
	}
	if c.body, err = strconv.ParseInt(file, 10, 64); err != nil {
		return nil, c.damaged("has a body with no number")
	}
	return c.large(ctx)
}

// damaged is the error of a body that is not what was stored.
func (c *content) damaged(what string, args ...any) error {
	return fmt.Errorf("%w: the content of message %s %s", queue.ErrDamaged, c.id, fmt.Sprintf(what, args...))
}

func (c *content) small(data []byte) (io.ReadSeekCloser, error) {
	if size := int64(len(data)); size != c.size {
		return nil, c.damaged("has %d bytes, not %d", size, c.size)
	}
	if c.sum != nil && stored.Sum(0).With(data) != *c.sum {
		return nil, c.damaged("does not match its checksum")
	}
	return reader{bytes.NewReader(data)}, nil
}

// large reads a body through once and holds it against its checksum.
func (c *content) large(ctx context.Context) (io.ReadSeekCloser, error) {
	sum := stored.Sum(0)
	for n := range chunksOf(c.size) {
		data, err := c.chunk(ctx, n)
		if err != nil {
			return nil, err
		}
		sum = sum.With(data)
	}
	if c.sum != nil && sum != *c.sum {
		return nil, c.damaged("does not match its checksum")
	}
	return &stream{content: c, at: -1}, nil
}

// chunk reads one chunk, which must be as long as it was.
func (c *content) chunk(ctx context.Context, n int64) (data []byte, err error) {
	found := false
	err = c.s.readSoon(ctx, func(conn *postgres.Conn) error {
		return conn.Query(ctx, "SELECT data FROM chunk WHERE body = ? AND n = ?", func(r database.Row) error {
			found, data = true, bytes.Clone(r.Bytes(0))
			return nil
		}, c.body, n)
	})
	if err != nil {
		return nil, err
	}
	if want := min(chunkSize, c.size-n*chunkSize); !found || int64(len(data)) != want {
		return nil, c.damaged("has %d bytes of %d in chunk %d of body %d", len(data), want, n, c.body)
	}
	return data, nil
}

// reader is a small body.
type reader struct{ *bytes.Reader }

// Close does nothing.
func (reader) Close() error { return nil }

// stream is a large body, read chunk by chunk.
type stream struct {
	*content
	place int64
	at    int64 // the chunk in data, -1 for none
	data  []byte
}

// Read reads from the chunk at the place.
func (r *stream) Read(p []byte) (int, error) {
	if r.place >= r.size {
		return 0, io.EOF
	}
	if n := r.place / chunkSize; n != r.at {
		if err := r.s.enter(r.s.life); err != nil {
			return 0, err
		}
		data, err := r.chunk(r.s.life, n)
		r.s.calls.Done()
		if err != nil && !errors.Is(err, queue.ErrDamaged) {
			err = fmt.Errorf("%w: %w", queue.ErrAway, err)
		}
		if err != nil {
			return 0, err
		}
		r.at, r.data = n, data
	}
	n := copy(p, r.data[r.place%chunkSize:])
	r.place += int64(n)
	return n, nil
}

// Seek moves the place.
func (r *stream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.place
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("pgstore: seeking before the beginning of a body")
	}
	r.place = offset
	return offset, nil
}

// Close forgets the chunk.
func (r *stream) Close() error {
	r.data, r.at = nil, -1
	return nil
}
