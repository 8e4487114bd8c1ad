package spool

import (
	"errors"
	"fmt"
	"io"
	"os"

	"postern/internal/queue/stored"
)

// Open opens a body and holds it against what is known of it. An error of fs.ErrNotExist says that its file is gone.
func (s *Spool) Open(c *stored.Content) (io.ReadSeekCloser, error) {
	if c.File == "" {
		return c.Open()
	}
	f, err := os.Open(s.Path(c.File))
	if err != nil {
		return nil, err
	}
	if err := examine(c, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// examine reads the file of a body and leaves it at its beginning.
func examine(c *stored.Content, f *os.File) error {
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
