package wal

import (
	"encoding/binary"
	"fmt"
)

// Salvage calls each for every record that can be read in any file, also behind damage and in segments that were given
// up or that belong to other runs, and says what could not be read, a sentence without its end each. It changes
// nothing. The order is that of runs and segments, as far as it is known.
func (j *Journal) Salvage(each func(run uint64, payload []byte) error) (lost []string, err error) {
	for _, s := range j.old {
		if s.blank {
			continue
		}
		b, err := j.cfg.Disk.ReadFile(s.path)
		if err != nil {
			lost = append(lost, fmt.Sprintf("%s cannot be read: %v", s.name(), err))
			continue
		}
		h, ok := s.header, s.run != 0
		if !ok {
			if h, ok = lostHeader(b); !ok {
				lost = append(lost, fmt.Sprintf("%s: nothing in its %d bytes can be read", s.name(), len(b)))
				continue
			}
			lost = append(lost, s.name()+": its header cannot be read")
		}
		record := func(payload []byte) error { return each(h.run, payload) }
		gap := func(from, to int64) {
			lost = append(lost, fmt.Sprintf("%s: %d bytes at byte %d cannot be read", s.name(), to-from, from))
		}
		if h.format == formatChain {
			err = salvageChain(b, h, record, gap)
		} else {
			err = salvageFrames(b, h, record, gap)
		}
		if err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// salvageFrames reads all frames of a segment, and tells of the gaps between them.
func salvageFrames(b []byte, h header, each func(payload []byte) error, gap func(from, to int64)) error {
	for off := int64(headerSize); ; {
		kind, payload, ok := frameAt(b, h.seed, off)
		if !ok {
			next := nextFrame(b, h.seed, off+1, string([]byte{kindGroup, kindRecord, kindSeal}))
			if next < 0 {
				return nil
			}
			gap(off, next)
			off = next
			continue
		}
		if kind == kindRecord {
			if err := each(payload); err != nil {
				return err
			}
		}
		off += frameSize + int64(len(payload))
	}
}

// salvageChain reads a segment of format 1. Behind a record that does not fit it goes on where the next continues the
// checksum that stands there.
func salvageChain(b []byte, h header, each func(payload []byte) error, gap func(from, to int64)) error {
	r, err := readChain(b, h, each)
	for err == nil && !r.sealed && int64(len(b))-r.end >= chainFrame {
		length, stands := binary.LittleEndian.Uint32(b[r.end:]), binary.LittleEndian.Uint32(b[r.end+4:])
		next := r.end + chainFrame + int64(length)
		if length > maxRecord || next > int64(len(b)) {
			return nil
		}
		var more reading
		if more, err = chainFrom(b, next, stands, each); more.count == 0 && !more.sealed {
			return err
		}
		gap(r.end, next)
		r = more
	}
	return err
}

// lostHeader finds out what a header said that cannot be read: by what is left of it, or by a group that says it again.
func lostHeader(b []byte) (header, bool) {
	for off := nextMagic(b, 0); off >= 0; off = nextMagic(b, off+1) {
		if int64(len(b))-off < frameSize+groupSize || b[off+3] != kindGroup {
			continue
		}
		g := decodeGroup(b[off+frameSize:])
		if _, _, ok := frameAt(b, g.seed, off); ok {
			return header{format: formatFrames, run: g.run, index: g.index, seed: g.seed}, true
		}
	}
	if len(b) < headerSize {
		return header{}, false
	}
	h := header{format: formatChain, run: binary.LittleEndian.Uint64(b[12:]), index: binary.LittleEndian.Uint64(b[20:]),
		seed: binary.LittleEndian.Uint64(b[28:])}
	r, _ := readChain(b, h, func([]byte) error { return nil }) // no error but each's
	return h, r.count > 0
}
