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
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// Open opens a body, which is then as long as it was, and the same by its checksum. Of a large one no more than a chunk
// is in memory; it can be read for some minutes after its message ended.
func (s *Store) Open(ctx context.Context, id queue.ID) (io.ReadSeekCloser, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if data := s.kept.Body(id); data != nil {
		return stored.InMemory(data), nil
	}
	var c *stored.Content
	err := s.readSoon(ctx, func(conn *postgres.Conn) (err error) {
		c, err = stored.ReadContent(ctx, conn, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	if c.File == "" {
		return c.Open()
	}
	body, err := strconv.ParseInt(c.File, 10, 64)
	if err != nil {
		return nil, c.Damaged("has a body with no number")
	}
	large := &content{Content: c, s: s, body: body}
	return large.open(ctx)
}

// content is a large body in the database.
type content struct {
	*stored.Content
	s    *Store
	body int64 // its number
}

// open reads a body through once and holds it against its checksum.
func (c *content) open(ctx context.Context) (io.ReadSeekCloser, error) {
	sum := stored.Sum(0)
	for n := range pgtables.ChunksOf(c.Size) {
		data, err := c.chunk(ctx, n)
		if err != nil {
			return nil, err
		}
		sum = sum.With(data)
	}
	if c.Sum != nil && sum != *c.Sum {
		return nil, c.Damaged("does not match its checksum")
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
	if want := min(pgtables.ChunkSize, c.Size-n*pgtables.ChunkSize); !found || int64(len(data)) != want {
		return nil, c.Damaged("has %d bytes of %d in chunk %d of body %d", len(data), want, n, c.body)
	}
	return data, nil
}

// stream is a large body, read chunk by chunk.
type stream struct {
	*content
	place int64
	at    int64 // the chunk in data, -1 for none
	data  []byte
}

// Read reads from the chunk at the place.
func (r *stream) Read(p []byte) (int, error) {
	if r.place >= r.Size {
		return 0, io.EOF
	}
	if n := r.place / pgtables.ChunkSize; n != r.at {
		if err := r.s.gate.Enter(r.s.life); err != nil {
			return 0, err
		}
		data, err := r.chunk(r.s.life, n)
		r.s.gate.Leave()
		if err != nil && !errors.Is(err, queue.ErrDamaged) {
			err = fmt.Errorf("%w: %w", queue.ErrAway, err)
		}
		if err != nil {
			return 0, err
		}
		r.at, r.data = n, data
	}
	n := copy(p, r.data[r.place%pgtables.ChunkSize:])
	r.place += int64(n)
	return n, nil
}

// Seek moves the place.
func (r *stream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.place
	case io.SeekEnd:
		offset += r.Size
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
