package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"postern/internal/queue"
	"postern/internal/queue/stored"
)

// Content is a stored body and what is known of it.
type Content struct {
	Message queue.ID
	File    string // "": it is Data
	Data    []byte
	Size    int64
	Sum     *stored.Sum // nil: it was stored before there were checksums
}

// Damaged is the error of a body that is not what was stored.
func (c *Content) Damaged(what string, args ...any) error {
	return fmt.Errorf("%w: the content of message %s %s", queue.ErrDamaged, c.Message, fmt.Sprintf(what, args...))
}

// Open opens a body and holds it against what is known of it. An error of fs.ErrNotExist says that its file is gone.
func (s *Spool) Open(c *Content) (io.ReadSeekCloser, error) {
	if c.File == "" {
		if size := int64(len(c.Data)); size != c.Size {
			return nil, c.Damaged("has %d bytes, not %d", size, c.Size)
		}
		if c.Sum != nil && stored.Sum(0).With(c.Data) != *c.Sum {
			return nil, c.Damaged("does not match its checksum")
		}
		return reader{bytes.NewReader(c.Data)}, nil
	}
	f, err := os.Open(s.Path(c.File))
	if err != nil {
		return nil, err
	}
	if err := c.examine(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// examine reads the file of a body and leaves it at its beginning.
func (c *Content) examine(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != c.Size {
		return c.Damaged("has %d bytes in spool/%s, not %d", info.Size(), c.File, c.Size)
	}
	if c.Sum == nil {
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
			return fmt.Errorf("spool: cannot read a body file: %w", err)
		}
	}
	if sum != *c.Sum {
		return c.Damaged("does not match its checksum in spool/%s", c.File)
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }
