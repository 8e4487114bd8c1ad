package sqlstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"postern/internal/queue"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
)

// disk is the file calls that the durability of large bodies stands on. Tests put a witness or faults in their place.
type disk interface {
	create(path string) (bodyFile, error)
	syncDir(path string) error
	remove(path string) error
	// space tells the bytes that are free for us, and all there are.
	space(path string) (free, total uint64, err error)
}

// bodyFile is a body being written.
type bodyFile interface {
	io.WriteCloser
	Sync() error
}

// osDisk is the disk.
type osDisk struct{}

func (osDisk) create(path string) (bodyFile, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (osDisk) syncDir(path string) error { return wal.OS().SyncDir(path) }

func (osDisk) remove(path string) error { return os.Remove(path) }

func (osDisk) space(path string) (free, total uint64, err error) { return space(path) }

// draft is a body being written: in buf while it is small, in file when it is not; then buf is what was not yet written
// to the file.
type draft struct {
	s    *Store
	buf  []byte
	size int64
	file bodyFile
	name string
	sum  stored.Sum
	held int   // of buf's capacity, what is counted in Store.drafted
	err  error // of an earlier write; nothing more is taken
	end  bool
}

// freeDraft is what each draft may hold whatever others do.
const freeDraft = 4 << 10

// room is how much of n more bytes buf may take before it must be written to the file.
func (d *draft) room(n int) int {
	n = min(n, d.s.cfg.SmallBody-len(d.buf))
	want := len(d.buf) + n - freeDraft
	if grow := want - d.held; grow > 0 {
		if d.s.drafted.Add(int64(grow)) > d.s.cfg.DraftMemory {
			d.s.drafted.Add(-int64(grow))
			return max(d.held+min(freeDraft, d.s.cfg.SmallBody)-len(d.buf), 0)
		}
		d.held = want
	}
	return n
}

// handOver ends the draft; buf belongs to the message now.
func (d *draft) handOver() {
	d.end = true
	d.buf = nil
	d.s.drafted.Add(-int64(d.held))
	d.held = 0
}

// NewDraft begins a body.
func (s *Store) NewDraft(ctx context.Context) (queue.Draft, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if s.broken.Load() {
		return nil, queue.ErrBroken
	}
	return &draft{s: s}, nil
}

func (d *draft) Size() int64 { return d.size }

// Write takes a piece of the body. An error says queue.ErrFull when the disk is full.
func (d *draft) Write(p []byte) (int, error) {
	if d.end {
		return 0, errors.New("sqlstore: the draft has ended")
	}
	if d.err != nil {
		return 0, d.err
	}
	n := len(p)
	d.sum = d.sum.With(p)
	for len(p) > 0 && d.err == nil {
		if k := d.room(len(p)); k > 0 {
			d.buf, p = append(d.buf, p[:k]...), p[k:]
			continue
		}
		d.err = d.spill()
	}
	if d.err != nil {
		d.s.noteRoom(d.err)
		return 0, d.err
	}
	d.size += int64(n)
	return n, nil
}

// spill writes buf to the file, which it makes the first time.
func (d *draft) spill() error {
	if d.file == nil {
		name := strings.ToLower(rand.Text()) + ".body"
		d.s.mu.Lock()
		d.s.drafts[name] = true
		d.s.mu.Unlock()
		f, err := d.s.cfg.disk.create(d.s.path(name))
		if err != nil {
			d.s.forget(name)
			return fileError("create", err)
		}
		d.file, d.name = f, name
	}
	if _, err := d.file.Write(d.buf); err != nil {
		return fileError("write", err)
	}
	d.buf = d.buf[:0]
	return nil
}

// seal makes a large body durable: the file, then its name in the folder. A failed sync is final for the store, because
// nobody can say what of the data was lost.
func (d *draft) seal() error {
	if d.end || d.err != nil {
		return errors.Join(errors.New("sqlstore: the body is not an open draft"), d.err)
	}
	if d.file == nil {
		return nil
	}
	if len(d.buf) > 0 {
		if d.err = d.spill(); d.err != nil {
			return d.err
		}
	}
	d.buf = nil
	if d.err = d.s.synced("sync", d.file.Sync()); d.err != nil {
		return d.err
	}
	if d.err = fileError("close", d.file.Close()); d.err != nil {
		return d.err
	}
	d.err = d.s.synced("sync the folder of", d.s.cfg.disk.syncDir(d.s.spool()))
	return d.err
}

// synced judges the result of a sync. A folder that could not even be opened, for want of file descriptors, was not
// synced and lost nothing: that refuses one message.
func (s *Store) synced(what string, err error) error {
	if err == nil {
		return nil
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Op == "open" {
		return fileError(what, err)
	}
	s.broken.Store(true)
	return fmt.Errorf("%w: cannot %s a body file: %w", queue.ErrBroken, what, err)
}

// fileError gives an error of the disk its meaning.
func fileError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case isFull(err):
		return fmt.Errorf("%w: cannot %s a body file: %w", queue.ErrFull, what, err)
	}
	return fmt.Errorf("sqlstore: cannot %s a body file: %w", what, err)
}

// accepted ends the draft because the store owns the body now.
func (d *draft) accepted() {
	d.handOver()
	if d.name != "" {
		d.s.forget(d.name)
	}
}

// Discard removes what was written.
func (d *draft) Discard() error {
	if d.end {
		return nil
	}
	d.handOver()
	d.buf = nil
	if d.file == nil {
		return nil
	}
	_ = d.file.Close() // closed already when seal came that far; the file goes in any case
	defer d.s.forget(d.name)
	if d.s.broken.Load() {
		return nil // its message may have been committed all the same; the next Open finds out
	}
	return d.s.remove(d.name)
}

func (s *Store) path(name string) string { return filepath.Join(s.spool(), name) }

func (s *Store) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.drafts, name)
}

// remove deletes a body file; what cannot be deleted now is found by a later sweep.
func (s *Store) remove(name string) error {
	err := s.cfg.disk.remove(s.path(name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.mu.Lock()
	s.unswept = true
	s.mu.Unlock()
	return fileError("remove", err)
}

// sweep deletes body files that no message names: what a crash left between writing a body and committing its message,
// or between ending a message and deleting its file. Files with other names are none of ours and stay.
func (s *Store) sweep(ctx context.Context) error {
	s.mu.Lock()
	s.unswept = false
	s.mu.Unlock()
	folder, err := os.Open(s.spool())
	if err != nil {
		return fmt.Errorf("sqlstore: cannot read the spool folder: %w", err)
	}
	defer folder.Close()
	for {
		names, err := folder.Readdirnames(1024)
		for _, name := range names {
			if e := s.sweepFile(ctx, name); e != nil {
				return e
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("sqlstore: cannot read the spool folder: %w", err)
		}
	}
}

// isBody reports whether a file has the name of a body.
func isBody(name string) bool {
	return len(name) == 26+len(".body") && strings.HasSuffix(name, ".body")
}

func (s *Store) sweepFile(ctx context.Context, name string) error {
	if !isBody(name) {
		return nil
	}
	// Asked before the database: a draft is forgotten only after its message is committed.
	s.mu.Lock()
	writing := s.drafts[name]
	s.mu.Unlock()
	if writing {
		return nil
	}
	return s.read(ctx, func(c *sqlite.Conn) error {
		n, err := c.Number(ctx, "SELECT count(*) FROM message WHERE file = ?", name)
		if err == nil && n == 0 {
			_ = s.remove(name) // remembered in unswept when it fails
		}
		return err
	})
}
