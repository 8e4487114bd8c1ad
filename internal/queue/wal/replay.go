package wal

import (
	"fmt"
	"slices"
	"strings"
)

// Known is what the caller remembers of the journal in another place, durably. The zero Known knows of journals of
// format 1 only, which nobody remembered.
type Known struct {
	// Last is a place up to which everything was durable; its run is the newest that was begun.
	Last Place
	// Previous is the run before, whose files may be left over.
	Previous uint64
	// Closed says that nothing of the run is needed any more.
	Closed bool
	// Note is the highest note that was ever given to Append or Close.
	Note uint64
}

// Damage is the error of Replay when something that was durable is missing: errors.Is tells ErrDamaged.
type Damage struct {
	// Found names what is wrong, a sentence without its end each, with the file it is wrong with.
	Found []string
	// Older says that the caller's memory is older than the journal.
	Older bool
}

// Error names everything that was found.
func (d *Damage) Error() string { return ErrDamaged.Error() + ": " + strings.Join(d.Found, "; ") }

// Is reports that the error is ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }

func (d *Damage) add(format string, args ...any) {
	d.Found = append(d.Found, fmt.Sprintf(format, args...))
}

// err is d, nil when nothing was found.
func (d *Damage) err() error {
	if len(d.Found) == 0 {
		return nil
	}
	return d
}

// Replay calls each for every record that the run before made durable, in order. The payload is each's to keep. It may
// be called before Begin only. An error of each ends it and is returned. A *Damage comes at the end, when the caller
// has heard of records already: it must not use them then.
func (j *Journal) Replay(k Known, each func(payload []byte) error) error {
	d := &Damage{}
	j.stale = k.Previous
	known := false
	for i := 0; i < len(j.old); {
		n := i + 1
		for n < len(j.old) && j.old[n].run == j.old[i].run {
			n++
		}
		run, segments := j.old[i].run, j.old[i:n]
		i = n
		var err error
		switch {
		case run == 0:
			j.unreadable(segments, k, d)
		case run == k.Last.Run:
			known = true
			if !k.Closed {
				err = j.replay(segments, k, d, each)
			}
		case run == k.Previous:
		case segments[0].format == formatChain && (k.Last.Run == 0 || k.Previous < 1<<32 && run <= k.Previous):
			if k.Last.Run == 0 {
				err = j.replayChain(segments, d, each)
			}
		default:
			err = j.foreign(segments, d)
		}
		if err != nil {
			return err
		}
	}
	if k.Last.Run != 0 && !k.Closed && !known {
		d.add("the journal of the last run is missing: none of its segments is there")
	}
	j.compare(k, d)
	return d.err()
}

// unreadable judges files without a header. Where the run that is known is complete, they belong to nothing that is
// needed.
func (j *Journal) unreadable(segments []*segment, k Known, d *Damage) {
	for _, s := range segments {
		switch {
		case s.err != nil:
			d.add("%s cannot be read: %v", s.name(), s.err)
		case !s.blank && k.Last.Run == 0:
			d.add("%s has no readable header", s.name())
		}
	}
}

// foreign judges the segments of a run that is not known. Without records it was begun and never used.
func (j *Journal) foreign(segments []*segment, d *Damage) error {
	for _, s := range segments {
		_, r, err := j.load(s, func([]byte) error { return nil })
		if err != nil {
			return err
		}
		if r.count > 0 || r.behind > 0 || r.sealed {
			d.Older = true
			d.add("%s holds records of a run that the database does not know", s.name())
		}
	}
	return nil
}

// compare holds what synced tells against what the caller knows.
func (j *Journal) compare(k Known, d *Damage) {
	if j.told.Note > k.Note || j.told.Closed && j.told.Run == k.Last.Run && !k.Closed {
		d.Older = true
		d.add("the database is older than the journal: something was written that it does not know of")
	}
	if t := j.told; !t.Closed && t.Size > headerSize && t.Run != k.Last.Run && t.Run != k.Previous {
		d.Older = true
		d.add("records were acknowledged in a run that the database does not know")
	}
}

// load reads one segment.
func (j *Journal) load(s *segment, each func(payload []byte) error) ([]byte, reading, error) {
	b, err := j.cfg.Disk.ReadFile(s.path)
	if err != nil {
		return nil, reading{}, fmt.Errorf("journal: cannot read a segment: %w", err)
	}
	r, err := read(b, s.header, each)
	return b, r, err
}

// replay reads the segments of the run that is known, which must hold everything.
func (j *Journal) replay(segments []*segment, k Known, d *Damage, each func(payload []byte) error) error {
	newest := segments[len(segments)-1]
	segments = slices.Clone(segments)
	segments = slices.DeleteFunc(segments, func(s *segment) bool { return s.index < newest.first })
	if newest.format == formatChain {
		return j.replayChain(segments, d, each)
	}
	next, open := newest.first, "" // the index that must come; a segment without a seal before
	note, last := uint64(0), Place{}
	for i, s := range segments {
		if i > 0 && segments[i-1].index == s.index {
			d.add("%s and %s are the same segment", segments[i-1].name(), s.name())
			continue
		}
		if s.index > next {
			d.add("%s missing in front of %s", segmentsText(next, s.index-1), s.name())
		}
		next = s.index + 1
		_, r, err := j.load(s, each)
		if err != nil {
			return err
		}
		if r.behind > 0 {
			d.add("%s: byte %d and what follows cannot be read, and at byte %d there are records again", s.name(),
				r.end, r.behind)
		}
		if open != "" && (r.count > 0 || r.sealed) {
			d.add("%s ends before %s begins", open, s.name())
		}
		if open = ""; !r.sealed {
			open = s.name()
		}
		note, last = max(note, r.note), Place{s.run, s.index, r.end}
		j.short(s, r, k.Last, d, "the database knows of")
		if j.told.Run == s.run {
			j.short(s, r, j.told.Place, d, "were made durable")
		}
	}
	if open == "" {
		d.add("the segment behind %s is missing", newest.name())
	}
	for _, want := range []Place{k.Last, j.told.Place} {
		if want.Run == last.Run && want.Index > last.Index {
			d.add("%s missing behind %s", segmentsText(last.Index+1, want.Index), newest.name())
			break
		}
	}
	if note > k.Note {
		d.Older = true
		d.add("the database is older than the journal: %d changes are missing in it", note-k.Note)
	}
	return nil
}

// short wants a segment to reach as far as somebody knows that it did.
func (j *Journal) short(s *segment, r reading, want Place, d *Damage, who string) {
	if r.behind == 0 && want.Index == s.index && r.end < want.Size {
		d.add("%s ends at byte %d, and records up to byte %d %s", s.name(), r.end, want.Size, who)
	}
}

func segmentsText(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("segment %d is", from)
	}
	return fmt.Sprintf("segments %d to %d are", from, to)
}

// replayChain reads segments of format 1. What is given up and used again leaves gaps there, so a gap says nothing.
func (j *Journal) replayChain(segments []*segment, d *Damage, each func(payload []byte) error) error {
	for i, s := range segments {
		_, r, err := j.load(s, each)
		if err != nil {
			return err
		}
		if !r.sealed && i+1 < len(segments) {
			d.add("%s ends before its successor begins", s.name())
		}
	}
	return nil
}
