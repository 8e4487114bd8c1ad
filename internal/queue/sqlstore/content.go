package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// content is a stored body and what is known of it.
type content struct {
	message queue.ID
	file    string // "": it is data
	data    []byte
	size    int64
	sum     *stored.Sum // nil: it was stored before there were checksums
}

// damaged is the error of a body that is not what was stored.
func (c *content) damaged(what string, args ...any) error {
	return fmt.Errorf("%w: the content of message %s %s", queue.ErrDamaged, c.message, fmt.Sprintf(what, args...))
}

// Open opens a body, which is then as long as it was, and the same by its checksum. It answers queue.ErrDamaged otherwise,
// and where the body of a message that waits is missing.
func (s *Store) Open(ctx context.Context, id queue.ID) (io.ReadSeekCloser, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	for again := false; ; again = true {
		c, err := s.content(ctx, id)
		if err != nil {
			return nil, err
		}
		r, err := s.openContent(c)
		if !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
		if again { // it was not that the message ended a moment ago
			return nil, c.damaged("is gone: there is no file spool/%s", c.file)
		}
	}
}

// content finds the body of a message that waits, queue.ErrNotFound when there is none.
func (s *Store) content(ctx context.Context, id queue.ID) (*content, error) {
	if c, err := s.youngContent(id); c != nil || err != nil {
		return c, err
	}
	var c *content
	var facts string
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		return conn.Query(ctx, "SELECT m.file, b.data, m.size, m.facts FROM message m LEFT JOIN body b ON b.Seq = m.Seq"+
			" WHERE m.id = ? AND m.open > 0", func(r database.Row) error {
			c = &content{message: id, file: r.Text(0), data: r.Bytes(1), size: r.Int(2)}
			facts = r.Text(3)
			return database.ErrStop
		}, string(id))
	})
	if err != nil {
		return nil, sqlite.Translate(err)
	}
	if c == nil {
		return nil, queue.ErrNotFound
	}
	c.sum, err = stored.SumIn(facts)
	return c, err
}

// youngContent is content for a message in the journal, nil if it is not there.
func (s *Store) youngContent(id queue.ID) (*content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.young.byID[id]
	switch {
	case m == nil || m.pending:
		return nil, nil
	case m.left == 0:
		return nil, queue.ErrNotFound
	}
	return &content{message: id, file: m.Body.File, data: m.Body.Data, size: m.Size, sum: &m.Body.Sum}, nil
}

// openContent opens a body and holds it against what is known of it. An error of fs.ErrNotExist says that its file is gone.
func (s *Store) openContent(c *content) (io.ReadSeekCloser, error) {
	if c.file == "" {
		if size := int64(len(c.data)); size != c.size {
			return nil, c.damaged("has %d bytes, not %d", size, c.size)
		}
		if c.sum != nil && stored.Sum(0).With(c.data) != *c.sum {
			return nil, c.damaged("does not match its checksum")
		}
		return reader{bytes.NewReader(c.data)}, nil
	}
	f, err := os.Open(s.path(c.file))
	if err != nil {
		return nil, err
	}
	if err := c.examine(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// examine reads the file of a body and leaves it at its beginning.
func (c *content) examine(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != c.size {
		return c.damaged("has %d bytes in spool/%s, not %d", info.Size(), c.file, c.size)
	}
	if c.sum == nil {
		return nil
	}
	sum, buf := stored.Sum(0), make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		sum = sum.With(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("sqlstore: cannot read a body file: %w", err)
		}
	}
	if sum != *c.sum {
		return c.damaged("does not match its checksum in spool/%s", c.file)
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }
