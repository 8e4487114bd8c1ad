package wal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// Errors of a Journal. Callers branch on them with errors.Is.
var (
	// ErrBroken: a sync failed, so nobody knows what is on the disk. The journal takes nothing more and must be opened
	// anew.
	ErrBroken = errors.New("journal: an earlier sync failed; what is on the disk is unknown")
	// ErrNewerFormat: a segment was written by a newer release.
	ErrNewerFormat = errors.New("journal: a segment has a newer format than this release knows")
	// ErrDamaged: something that was durable is missing. The error is a *Damage.
	ErrDamaged = errors.New("journal: damaged")
)

// Config says where a journal is. Only Dir is needed.
type Config struct {
	// Dir is the folder; it is made if missing.
	Dir string
	// SegmentSize is the size in bytes that a segment should not exceed; 0 means 32 MiB. One Append goes to one
	// segment, however large it is.
	SegmentSize int64
	// Spare is how many segments that were given up are kept to be used again; 0 means 2.
	Spare int
	// Disk replaces the file calls in tests; nil is the disk.
	Disk Disk
}

// Place is a point in the log, behind a group.
type Place struct {
	Run, Index uint64
	Size       int64
}

// Journal is the log in one folder. Use Open, then Replay, then Begin and Forget. It belongs to one goroutine, apart
// from Drop.
type Journal struct {
	cfg     Config
	old     []*segment // of earlier runs, in order; forgotten by Forget
	stale   uint64     // of these, a run that the caller had forgotten before
	run     uint64
	live    []*segment // of this run, in order; the last is being written
	ahead   *segment   // begun, and its predecessor has no seal yet
	spare   []*segment
	next    uint64 // index of the next segment
	files   uint64 // names given so far
	broken  error
	buf     []byte
	below   atomic.Uint64 // segments with a lower index are given up
	witness File
	told    synced // what the file of the runs before says
}

// segment is a file. size is where the next group goes.
type segment struct {
	path string
	header
	file   File
	size   int64
	sealed bool  // takes no more records
	blank  bool  // an old one that was made and never used
	err    error // why an old one could not be read
}

func (s *segment) name() string { return filepath.Base(s.path) }

const (
	suffix  = ".seg"
	damaged = ".damaged"
)

// Open reads the headers of what is in the folder. It changes nothing.
func Open(cfg Config) (*Journal, error) {
	if cfg.SegmentSize == 0 {
		cfg.SegmentSize = 32 << 20
	}
	if cfg.Spare == 0 {
		cfg.Spare = 2
	}
	if cfg.Disk == nil {
		cfg.Disk = osDisk{}
	}
	j := &Journal{cfg: cfg}
	names, err := cfg.Disk.ReadDir(cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("journal: cannot read the folder: %w", err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			continue // none of ours
		}
		s, err := j.find(name)
		if err != nil {
			return nil, err
		}
		j.old = append(j.old, s)
	}
	slices.SortFunc(j.old, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.index, b.index), cmp.Compare(a.path, b.path))
	})
	if b, err := cfg.Disk.ReadFile(j.syncedPath()); err == nil {
		j.told = decodeSynced(b)
	}
	return j, nil
}

// Empty reports whether earlier runs left nothing, not even a word of theirs.
func (j *Journal) Empty() bool {
	return j.told == synced{} && !slices.ContainsFunc(j.old, func(s *segment) bool { return !s.blank })
}

// find reads the header of a file. Where there is none, its run is 0.
func (j *Journal) find(name string) (*segment, error) {
	s := &segment{path: filepath.Join(j.cfg.Dir, name)}
	var n uint64
	if _, err := fmt.Sscanf(name, "%d"+suffix, &n); err == nil {
		j.files = max(j.files, n)
	}
	b, err := j.cfg.Disk.ReadFile(s.path)
	if err != nil {
		s.err = err
		return s, nil
	}
	h, ok := decodeHeader(b)
	if !ok {
		s.blank = len(b) <= headerSize || len(bytes.Trim(b, "\x00")) == 0
		return s, nil
	}
	if h.format > formatFrames {
		return nil, fmt.Errorf("%w: %s has format %d, and this release knows up to %d", ErrNewerFormat, name, h.format,
			formatFrames)
	}
	s.header = h
	return s, nil
}

// Begin begins a new run, whose number it returns. The caller has made everything that Replay told durable elsewhere.
// What Replay read stays until Forget, so that the caller can note the new run in between.
func (j *Journal) Begin() (uint64, error) {
	d := j.cfg.Disk
	if err := d.MakeDir(j.cfg.Dir); err != nil {
		return 0, fmt.Errorf("journal: cannot make the folder: %w", err)
	}
	if err := d.SyncDir(filepath.Dir(j.cfg.Dir)); err != nil {
		return 0, fmt.Errorf("journal: cannot make the folder durable: %w", err)
	}
	for _, s := range j.old {
		if s.run != 0 && s.run == j.stale {
			if err := j.forget(s); err != nil {
				return 0, err
			}
		}
		j.run = max(j.run, s.run)
	}
	j.run = (max(j.run, j.told.Run)>>32+1)<<32 | uint64(rand.Uint32())
	if err := d.Remove(j.syncedPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("journal: cannot begin: %w", err)
	}
	var err error
	if j.witness, err = d.Create(j.syncedPath()); err != nil {
		return 0, fmt.Errorf("journal: cannot begin: %w", err)
	}
	_, err = j.rotate()
	return j.run, err
}

// Forget gives up what earlier runs left: the caller has noted the run that Begin began. What could not be read is set
// aside; the names it has now are returned.
func (j *Journal) Forget() (aside []string, err error) {
	if len(j.old) == 0 {
		return nil, nil
	}
	for _, s := range j.old {
		if s.run != 0 || s.blank {
			if err := j.forget(s); err != nil {
				return nil, err
			}
			continue
		}
		to, err := j.setAside(s)
		if err != nil {
			return nil, err
		}
		aside = append(aside, to)
	}
	j.old = nil
	return aside, j.syncDir()
}

// SetAside keeps everything that earlier runs left under other names, as evidence, and forgets it.
func (j *Journal) SetAside() (aside []string, err error) {
	if len(j.old) == 0 {
		return nil, nil
	}
	for _, s := range j.old {
		to, err := j.setAside(s)
		if err != nil {
			return nil, err
		}
		j.run = max(j.run, s.run) // the next is a later one
		aside = append(aside, to)
	}
	j.old = nil
	return aside, j.syncDir()
}

func (j *Journal) setAside(s *segment) (string, error) {
	to := s.path + damaged
	for n := 2; ; n++ {
		err := j.cfg.Disk.Rename(s.path, to)
		if err == nil {
			return filepath.Base(to), nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("journal: cannot set a damaged segment aside: %w", err)
		}
		to = fmt.Sprintf("%s%s.%d", s.path, damaged, n)
	}
}

func (j *Journal) forget(s *segment) error {
	if err := j.cfg.Disk.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: cannot remove an old segment: %w", err)
	}
	return nil
}

func (j *Journal) syncDir() error {
	if err := j.cfg.Disk.SyncDir(j.cfg.Dir); err != nil {
		return fmt.Errorf("journal: cannot make the folder durable: %w", err)
	}
	return nil
}

// Record is what Append stores: the payload in two pieces, so that a large second one need not be copied by the caller.
type Record struct{ Head, Body []byte }

// Append makes records durable, all or none, and returns the place behind them. The note is kept with them; it never
// gets smaller (see Known).
func (j *Journal) Append(records []Record, note uint64) (Place, error) {
	if j.broken != nil {
		return Place{}, j.broken
	}
	if len(j.live) == 0 {
		return Place{}, errors.New("journal: no run has begun")
	}
	s, size := j.live[len(j.live)-1], int64(0)
	for i := range records {
		size += frameSize + int64(len(records[i].Head)+len(records[i].Body))
	}
	if s.sealed || s.size > headerSize && s.size+frameSize+groupSize+size > j.cfg.SegmentSize {
		var err error
		if s, err = j.rotate(); err != nil {
			return Place{}, err
		}
	}
	g := group{note: note, size: uint64(size), run: s.run, index: s.index, seed: s.seed}
	buf := appendFrame(j.buf[:0], s.seed, s.size, kindGroup, g.encode())
	for i := range records {
		buf = appendFrame(buf, s.seed, s.size+int64(len(buf)), kindRecord, records[i].Head, records[i].Body)
	}
	if j.buf = buf; cap(buf) > keepBuffer {
		j.buf = nil
	}
	if err := j.write(s, buf); err != nil {
		return Place{}, err
	}
	at := Place{s.run, s.index, s.size}
	j.tell(synced{Place: at})
	return at, nil
}

// keepBuffer bounds the buffer that is kept from one Append to the next.
const keepBuffer = 4 << 20

// write puts bytes at the end of a segment and syncs it. What a write left that failed, or whose sync did, is cut off,
// so that it is never read.
func (j *Journal) write(s *segment, b []byte) error {
	if _, err := s.file.WriteAt(b, s.size); err != nil {
		if e := s.cut(); e != nil {
			return j.breaks(errors.Join(err, e))
		}
		return fmt.Errorf("journal: cannot write: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		_ = s.cut() // see doc.go for what remains when this fails too
		return j.breaks(err)
	}
	s.size += int64(len(b))
	return nil
}

// cut takes what stands behind the end away for good.
func (s *segment) cut() error {
	err := s.file.Truncate(s.size)
	if err != nil { // a frame without its magic is none
		_, e := s.file.WriteAt(make([]byte, frameSize), s.size)
		err = errors.Join(err, e)
	}
	return errors.Join(err, s.file.Sync())
}

// breaks makes an error final.
func (j *Journal) breaks(err error) error {
	j.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	return j.broken
}

// rotate begins the next segment, in a file that was given up where there is one, and then seals the one being written.
func (j *Journal) rotate() (*segment, error) {
	if j.ahead == nil {
		s, err := j.fresh()
		if err != nil {
			return nil, err
		}
		s.header = header{format: formatFrames, run: j.run, index: j.next + 1, seed: rand.Uint64(), first: j.needed()}
		s.size, s.sealed = 0, false
		if err := j.write(s, s.encode()); err != nil {
			j.spare = append(j.spare, s)
			return nil, err
		}
		j.next++
		j.ahead = s
		j.reclaim(s.first)
	}
	if n := len(j.live); n > 0 && !j.live[n-1].sealed {
		last := j.live[n-1]
		if err := j.write(last, appendFrame(nil, last.seed, last.size, kindSeal)); err != nil {
			return nil, err
		}
		last.sealed = true
	}
	s := j.ahead
	j.ahead, j.live = nil, append(j.live, s)
	return s, nil
}

// fresh returns a file for a segment, its name durable.
func (j *Journal) fresh() (*segment, error) {
	if n := len(j.spare); n > 0 {
		s := j.spare[n-1]
		j.spare = j.spare[:n-1]
		return s, nil
	}
	j.files++
	s := &segment{path: filepath.Join(j.cfg.Dir, fmt.Sprintf("%08d%s", j.files, suffix))}
	var err error
	if s.file, err = j.cfg.Disk.Create(s.path); err != nil {
		return nil, fmt.Errorf("journal: cannot make a segment: %w", err)
	}
	if err := j.cfg.Disk.SyncDir(j.cfg.Dir); err != nil {
		_ = s.file.Close()
		_ = j.cfg.Disk.Remove(s.path)
		return nil, fmt.Errorf("journal: cannot make a segment durable: %w", err)
	}
	return s, nil
}

// needed is the oldest segment that is needed when the next begins.
func (j *Journal) needed() uint64 {
	if len(j.live) == 0 {
		return j.next + 1
	}
	return max(j.live[0].index, min(j.below.Load(), j.next))
}

// reclaim takes the segments before first out of use and keeps a few files for later. That they are not needed stands
// in a durable header.
func (j *Journal) reclaim(first uint64) {
	for len(j.live) > 1 && j.live[0].index < first {
		s := j.live[0]
		j.live = j.live[1:]
		if len(j.spare) < j.cfg.Spare {
			j.spare = append(j.spare, s)
			continue
		}
		_ = s.file.Close()
		_ = j.cfg.Disk.Remove(s.path) // what stays is forgotten by the next run
	}
}

// Drop gives up the segments with a lower index than below: everything in them is durable elsewhere. Their space is
// used again by later calls of Append. Safe to call from any goroutine.
func (j *Journal) Drop(below uint64) {
	for {
		old := j.below.Load()
		if below <= old || j.below.CompareAndSwap(old, below) {
			return
		}
	}
}

// Close ends the run. With clear, nothing in it is needed any more and its files are removed; the caller has noted so,
// and its note is kept.
func (j *Journal) Close(clear bool, note uint64) error {
	var errs []error
	all := slices.Concat(j.live, j.spare)
	if j.ahead != nil {
		all = append(all, j.ahead)
	}
	for _, s := range all {
		errs = append(errs, s.file.Close())
		if clear {
			errs = append(errs, j.cfg.Disk.Remove(s.path))
		}
	}
	if j.witness != nil {
		if clear {
			j.tell(synced{Place: Place{Run: j.run}, Closed: true, Note: note})
			errs = append(errs, j.witness.Sync())
		}
		errs = append(errs, j.witness.Close())
	}
	j.live, j.spare, j.ahead, j.witness = nil, nil, nil, nil
	if j.broken == nil {
		j.broken = errors.New("journal: closed")
	}
	return errors.Join(errs...)
}
