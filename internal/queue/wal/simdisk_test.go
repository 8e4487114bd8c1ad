package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
)

// simDisk is a disk that forgets: it keeps apart what is in its cache and what a power failure leaves. At call number
// crashAt, and from then on, every call fails; at call faultAt one fails.
type simDisk struct {
	mu      sync.Mutex
	cache   map[string]*simFile // names and what they hold now
	names   map[string]*simFile // names that are durable
	folder  bool                // so is the name of their folder
	calls   int
	crashAt int // 0: never
	faultAt int
	fault   error
	log     []string
	noSync  bool // a disk that lies: nothing is ever durable
}

type simFile struct {
	now     []byte
	durable []byte
	writes  []simWrite // not yet durable
}

// simWrite is a write, or with a nil p a truncation.
type simWrite struct {
	off int64
	p   []byte
}

var errCrash = errors.New("the power is out")

func newSimDisk() *simDisk {
	return &simDisk{cache: map[string]*simFile{}, names: map[string]*simFile{}}
}

// call counts a call and tells whether it fails.
func (d *simDisk) call(what, path string) error {
	d.calls++
	d.log = append(d.log, what+" "+filepath.Base(path))
	if d.crashAt > 0 && d.calls >= d.crashAt {
		return errCrash
	}
	if d.calls == d.faultAt {
		return d.fault
	}
	return nil
}

func (d *simDisk) Create(path string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("create", path); err != nil {
		return nil, err
	}
	if d.cache[path] != nil {
		return nil, fs.ErrExist
	}
	f := &simFile{}
	d.cache[path] = f
	return &simHandle{d, f, path}, nil
}

func (d *simDisk) ReadFile(path string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.cache[path]; f != nil {
		return slices.Clone(f.now), nil
	}
	return nil, fs.ErrNotExist
}

func (d *simDisk) ReadDir(string) (names []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path := range d.cache {
		names = append(names, filepath.Base(path))
	}
	return names, nil
}

func (d *simDisk) MakeDir(string) error { return nil }

func (d *simDisk) SyncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("syncdir", path); err != nil {
		return err
	}
	switch {
	case d.noSync:
	case path == small(d).Dir:
		d.names = maps.Clone(d.cache)
	case path == filepath.Dir(small(d).Dir):
		d.folder = true
	}
	return nil
}

func (d *simDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("remove", path); err != nil {
		return err
	}
	if d.cache[path] == nil {
		return fs.ErrNotExist
	}
	delete(d.cache, path)
	return nil
}

func (d *simDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("rename", from); err != nil {
		return err
	}
	if d.cache[to] != nil {
		return fs.ErrExist
	}
	d.cache[to] = d.cache[from]
	delete(d.cache, from)
	return nil
}

type simHandle struct {
	d    *simDisk
	f    *simFile
	path string
}

func (h *simHandle) WriteAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	err := h.d.call("write", h.path)
	n := len(p)
	if err != nil { // part of it was done
		n /= 2
	}
	w := simWrite{off, slices.Clone(p[:n])}
	h.f.now = w.on(h.f.now)
	h.f.writes = append(h.f.writes, w)
	return n, err
}

func (w simWrite) on(b []byte) []byte {
	if w.p == nil {
		return b[:min(int64(len(b)), w.off)]
	}
	if need := w.off + int64(len(w.p)); int64(len(b)) < need {
		b = append(b, make([]byte, need-int64(len(b)))...)
	}
	copy(b[w.off:], w.p)
	return b
}

func (h *simHandle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.call("sync", h.path); err != nil {
		return err
	}
	if !h.d.noSync {
		h.f.durable, h.f.writes = slices.Clone(h.f.now), nil
	}
	return nil
}

func (h *simHandle) Truncate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.call("truncate", h.path); err != nil {
		return err
	}
	w := simWrite{off: size}
	h.f.now = w.on(h.f.now)
	h.f.writes = append(h.f.writes, w)
	return nil
}

func (h *simHandle) Close() error { return nil }

// after is the disk when the power comes back. Of what was not durable each write survives with probability keep, whole
// or, where torn, in some of its sectors; so do names.
func (d *simDisk) after(r *rand.Rand, keep float64) *simDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := newSimDisk()
	if !d.folder && r.Float64() >= keep {
		return out
	}
	out.folder = true
	names := maps.Clone(d.names)
	for _, path := range slices.Sorted(maps.Keys(d.cache)) {
		f := d.cache[path]
		if names[path] == nil && r.Float64() < keep {
			names[path] = f
		}
	}
	for _, path := range slices.Sorted(maps.Keys(d.names)) {
		if d.cache[path] == nil && r.Float64() < keep { // the removal survived
			delete(names, path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(names)) {
		f := names[path]
		b := slices.Clone(f.durable)
		for _, w := range f.writes {
			switch {
			case r.Float64() >= keep:
			case w.p == nil || keep == 1 || r.IntN(2) == 0:
				b = w.on(b)
			default:
				b = w.torn(r, b)
			}
		}
		g := &simFile{now: b, durable: slices.Clone(b)}
		out.cache[path], out.names[path] = g, g
	}
	return out
}

// torn applies some sectors of a write.
func (w simWrite) torn(r *rand.Rand, b []byte) []byte {
	const sector = 512
	for at := 0; at < len(w.p); at += sector {
		if r.IntN(2) == 0 {
			b = simWrite{w.off + int64(at), w.p[at:min(at+sector, len(w.p))]}.on(b)
		}
	}
	return b
}

func (d *simDisk) String() string { return fmt.Sprint(d.log) }
