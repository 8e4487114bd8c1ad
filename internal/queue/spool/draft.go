package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"postern/internal/queue"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
)

// Disk is the file calls that the durability of large bodies stands on. Tests put a witness or faults in their place.
type Disk interface {
	Create(path string) (File, error)
	SyncDir(path string) error
	Remove(path string) error
	// space tells the bytes that are free for us, and all there are.
	Space(path string) (free, total uint64, err error)
}

// File is a body being written.
type File interface {
	io.WriteCloser
	Sync() error
}

// OS is the disk.
type OS struct{}

// Create makes a file that was not there.
func (OS) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// SyncDir makes the names in a folder durable.
func (OS) SyncDir(path string) error { return wal.OS().SyncDir(path) }

// Remove removes a file.
func (OS) Remove(path string) error { return os.Remove(path) }

// Space asks the file system.
func (OS) Space(path string) (free, total uint64, err error) { return space(path) }

// Draft is a body being written: in buf while it is small, in file when it is not; then buf is what was not yet written
// to the file.
type Draft struct {
	s    *Spool
	buf  []byte
	size int64
	file File
	name string
	sum  stored.Sum
	held int   // of buf's capacity, what is counted in Spool.drafted
	err  error // of an earlier write; nothing more is taken
	end  bool
}

// freeDraft is what each draft may hold whatever others do.
const freeDraft = 4 << 10

// room is how much of n more bytes buf may take before it must be written to the file.
func (d *Draft) room(n int) int {
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

// HandOver ends the draft; buf belongs to the message now.
func (d *Draft) HandOver() {
	d.end = true
	d.buf = nil
	d.s.drafted.Add(-int64(d.held))
	d.held = 0
}

// NewDraft begins a body.
func (s *Spool) NewDraft() *Draft { return &Draft{s: s} }

// Of reports whether a draft is one of this handle.
func (d *Draft) Of(s *Spool) bool { return d.s == s }

// Size is the bytes written so far.
func (d *Draft) Size() int64 { return d.size }

// Write takes a piece of the body. An error says queue.ErrFull when the disk is full.
func (d *Draft) Write(p []byte) (int, error) {
	if d.end {
		return 0, errors.New("spool: the draft has ended")
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
		d.s.NoteRoom(d.err)
		return 0, d.err
	}
	d.size += int64(n)
	return n, nil
}

// spill writes buf to the file, which it makes the first time.
func (d *Draft) spill() error {
	if d.file == nil {
		name := strings.ToLower(rand.Text()) + ".body"
		d.s.mu.Lock()
		d.s.drafts[name] = true
		d.s.mu.Unlock()
		f, err := d.s.cfg.Disk.Create(d.s.Path(name))
		if err != nil {
			d.s.Forget(name)
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

// Apart makes a file of the draft, however small it is.
func (d *Draft) Apart() error {
	if d.file == nil && d.err == nil && !d.end {
		d.err = d.spill()
	}
	return d.err
}

// Seal makes a large body durable: the file, then its name in the folder, and tells what is to be stored. A failed sync
// is final for the store, because nobody can say what of the data was lost.
func (d *Draft) Seal() (stored.Body, error) {
	err := d.seal()
	return stored.Body{File: d.name, Data: d.buf, Size: d.size, Sum: d.sum}, err
}

func (d *Draft) seal() error {
	if d.end || d.err != nil {
		return errors.Join(errors.New("spool: the body is not an open draft"), d.err)
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
	d.err = d.s.synced("sync the folder of", d.s.cfg.Disk.SyncDir(d.s.folder()))
	return d.err
}

// synced judges the result of a sync. A folder that could not even be opened, for want of file descriptors, was not
// synced and lost nothing: that refuses one message.
func (s *Spool) synced(what string, err error) error {
	if err == nil {
		return nil
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Op == "open" {
		return fileError(what, err)
	}
	s.cfg.Broken.Store(true)
	return fmt.Errorf("%w: cannot %s a body file: %w", queue.ErrBroken, what, err)
}

// fileError gives an error of the disk its meaning.
func fileError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case IsFull(err):
		return fmt.Errorf("%w: cannot %s a body file: %w", queue.ErrFull, what, err)
	}
	return fmt.Errorf("spool: cannot %s a body file: %w", what, err)
}

// Accepted is HandOver when the message is in the database: what names the file is durable.
func (d *Draft) Accepted() {
	d.HandOver()
	if d.name != "" {
		d.s.Forget(d.name)
	}
}

// Discard removes what was written.
func (d *Draft) Discard() error {
	if d.end {
		return nil
	}
	d.HandOver()
	d.buf = nil
	if d.file == nil {
		return nil
	}
	_ = d.file.Close() // closed already when seal came that far; the file goes in any case
	defer d.s.Forget(d.name)
	if d.s.cfg.Broken.Load() {
		return nil // its message may have been committed all the same; the next Open finds out
	}
	return d.s.Remove(d.name)
}
