package journal

import (
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
	// ErrDamaged: records are missing in front of others that were made durable after them.
	ErrDamaged = errors.New("journal: a segment is damaged")
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

// Journal is the log in one folder. Use Open, then Replay, then Begin. It belongs to one goroutine, apart from Drop.
type Journal struct {
	cfg    Config
	old    []*segment // of earlier runs, in order; forgotten by Begin
	run    uint64
	live   []*segment // of this run, in order; the last is being written
	spare  []*segment
	next   uint64 // index of the next segment
	files  uint64 // names given so far
	broken error
	buf    []byte
	below  atomic.Uint64 // segments with a lower index are given up
}

// segment is a file. size is where the next record goes, sum what its checksum continues.
type segment struct {
	path string
	header
	file   File
	size   int64
	sum    uint32
	sealed bool // takes no more records
}

const suffix = ".seg"

// Open reads the headers of what is in the folder. It changes nothing but to make the folder and its name durable.
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
	if err := cfg.Disk.MakeDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("journal: cannot make the folder: %w", err)
	}
	if err := cfg.Disk.SyncDir(filepath.Dir(cfg.Dir)); err != nil {
		return nil, fmt.Errorf("journal: cannot make the folder durable: %w", err)
	}
	names, err := cfg.Disk.ReadDir(cfg.Dir)
	if err != nil {
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
		return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.index, b.index))
	})
	return j, nil
}

// find reads the header of a file. One without a header holds nothing: it was made and never used. Its run is 0.
func (j *Journal) find(name string) (*segment, error) {
	s := &segment{path: filepath.Join(j.cfg.Dir, name)}
	var n uint64
	if _, err := fmt.Sscanf(name, "%d"+suffix, &n); err == nil {
		j.files = max(j.files, n)
	}
	b, err := j.cfg.Disk.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("journal: cannot read a segment: %w", err)
	}
	h, ok := decodeHeader(b)
	if !ok {
		return s, nil
	}
	if h.format > format {
		return nil, fmt.Errorf("%w: %s has format %d, and this release knows up to %d", ErrNewerFormat, name, h.format, format)
	}
	s.header = h
	j.run = max(j.run, h.run)
	return s, nil
}

// Replay calls each for every record that earlier runs made durable, in order. The payload is each's to keep. It may be
// called before Begin only. An error of each ends it and is returned.
func (j *Journal) Replay(each func(payload []byte) error) error {
	for i, s := range j.old {
		if s.run == 0 {
			continue
		}
		b, err := j.cfg.Disk.ReadFile(s.path)
		if err != nil {
			return fmt.Errorf("journal: cannot read a segment: %w", err)
		}
		end, err := records(b, s.header, each)
		if err != nil {
			return err
		}
		if end == torn && i+1 < len(j.old) && j.old[i+1].run == s.run {
			return fmt.Errorf("%w: %s ends before its successor begins", ErrDamaged, filepath.Base(s.path))
		}
	}
	return nil
}

// Begin forgets what earlier runs left and begins a new run. The caller has made everything that Replay told durable
// elsewhere.
func (j *Journal) Begin() error {
	for _, s := range j.old {
		if err := j.cfg.Disk.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("journal: cannot remove an old segment: %w", err)
		}
	}
	j.old = nil
	j.run++
	_, err := j.rotate()
	return err
}

// Record is what Append stores: the payload in two pieces, so that a large second one need not be copied by the caller.
type Record struct{ Head, Body []byte }

// Append makes records durable, all or none, and returns the index of the segment that has them.
func (j *Journal) Append(records []Record) (uint64, error) {
	if j.broken != nil {
		return 0, j.broken
	}
	if len(j.live) == 0 {
		return 0, errors.New("journal: no run has begun")
	}
	s, need := j.live[len(j.live)-1], int64(0)
	for i := range records {
		need += frameSize + int64(len(records[i].Head)+len(records[i].Body))
	}
	if s.sealed || s.size > headerSize && s.size+need > j.cfg.SegmentSize {
		var err error
		if s, err = j.rotate(); err != nil {
			return 0, err
		}
	}
	buf, sum := j.buf[:0], s.sum
	for i := range records {
		buf, sum = appendRecord(buf, sum, records[i].Head, records[i].Body)
	}
	if j.buf = buf; cap(buf) > keepBuffer {
		j.buf = nil
	}
	if err := j.write(s, buf); err != nil {
		return 0, err
	}
	s.sum = sum
	return s.index, nil
}

// keepBuffer bounds the buffer that is kept from one Append to the next.
const keepBuffer = 4 << 20

// write puts bytes at the end of a segment and syncs it. What a failed write left is cut off for good, so that it is never
// read.
func (j *Journal) write(s *segment, b []byte) error {
	if _, err := s.file.WriteAt(b, s.size); err != nil {
		if e := errors.Join(s.file.Truncate(s.size), s.file.Sync()); e != nil {
			return j.breaks(errors.Join(err, e))
		}
		return fmt.Errorf("journal: cannot write: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return j.breaks(err)
	}
	s.size += int64(len(b))
	return nil
}

// breaks makes an error final.
func (j *Journal) breaks(err error) error {
	j.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	return j.broken
}

// rotate seals the segment being written and begins the next, in a file that was given up where there is one.
func (j *Journal) rotate() (*segment, error) {
	if n := len(j.live); n > 0 && !j.live[n-1].sealed {
		last := j.live[n-1]
		if err := j.write(last, seal(last.sum)); err != nil {
			return nil, err
		}
		last.sealed = true
	}
	j.reclaim()
	s, err := j.fresh()
	if err != nil {
		return nil, err
	}
	s.header = header{format: format, run: j.run, index: j.next + 1, seed: rand.Uint64()}
	s.sum, s.size, s.sealed = s.chain(), 0, false
	if err := j.write(s, s.encode()); err != nil {
		j.spare = append(j.spare, s)
		return nil, err
	}
	j.next++
	j.live = append(j.live, s)
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

// reclaim takes the segments that were given up out of use, from the oldest on, and keeps a few files for later.
func (j *Journal) reclaim() {
	below := j.below.Load()
	for len(j.live) > 1 && j.live[0].index < below {
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

// Drop gives up the segments with a lower index than below: everything in them is durable elsewhere. Their space is used
// again by later calls of Append. Safe to call from any goroutine.
func (j *Journal) Drop(below uint64) {
	for {
		old := j.below.Load()
		if below <= old || j.below.CompareAndSwap(old, below) {
			return
		}
	}
}

// Close ends the run. With clear, nothing in it is needed any more and its files are removed.
func (j *Journal) Close(clear bool) error {
	var errs []error
	for _, s := range slices.Concat(j.live, j.spare) {
		errs = append(errs, s.file.Close())
		if clear {
			errs = append(errs, j.cfg.Disk.Remove(s.path))
		}
	}
	j.live, j.spare = nil, nil
	if j.broken == nil {
		j.broken = errors.New("journal: closed")
	}
	return errors.Join(errs...)
}
