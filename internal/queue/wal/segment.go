package wal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// Formats of the layout in doc.go. A file with a higher one is a newer release's.
const (
	formatChain  = 1 // read only: see chain.go
	formatFrames = 2
)

const (
	headerSize = 48
	frameSize  = 12      // magic, length and checksum
	groupSize  = 40      // payload of a group's frame
	maxRecord  = 1 << 30 // what claims to be longer is no record
)

// The kinds of frames: the last byte of their magic.
const (
	kindGroup  = 'g' // begins what one Append wrote
	kindRecord = 'r'
	kindSeal   = 's' // ends a segment that has a successor
)

var (
	magic      = [8]byte{'P', 's', 'T', 'n', 'J', 'r', 'n', 'l'}
	frameMagic = [3]byte{'P', 's', 'J'}
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the beginning of a segment. The runs of a folder are numbered upwards, and the segments of a run.
type header struct {
	format     uint32
	run, index uint64
	seed       uint64
	first      uint64 // the oldest segment of the run that was needed when this one began; 0 in format 1
}

func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, magic[:]...)
	b = binary.LittleEndian.AppendUint32(b, h.format)
	b = binary.LittleEndian.AppendUint64(b, h.run)
	b = binary.LittleEndian.AppendUint64(b, h.index)
	b = binary.LittleEndian.AppendUint64(b, h.seed)
	b = binary.LittleEndian.AppendUint64(b, h.first)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeHeader reads a header; false means that there is none, or only a part.
func decodeHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize || [8]byte(b[:8]) != magic {
		return h, false
	}
	if crc32.Checksum(b[:headerSize-4], castagnoli) != binary.LittleEndian.Uint32(b[headerSize-4:]) {
		return h, false
	}
	h.format = binary.LittleEndian.Uint32(b[8:])
	h.run, h.index = binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:])
	h.seed, h.first = binary.LittleEndian.Uint64(b[28:]), binary.LittleEndian.Uint64(b[36:])
	return h, true
}

// sum is the checksum of a frame: it holds for one segment, one place in it, one kind and one payload.
func sum(seed uint64, off int64, kind byte, length uint32, payload ...[]byte) uint32 {
	var head [21]byte
	binary.LittleEndian.PutUint64(head[:], seed)
	binary.LittleEndian.PutUint64(head[8:], uint64(off))
	binary.LittleEndian.PutUint32(head[16:], length)
	head[20] = kind
	c := crc32.Checksum(head[:], castagnoli)
	for _, p := range payload {
		c = crc32.Update(c, castagnoli, p)
	}
	return c
}

// appendFrame adds a frame for the place off of a segment, with a payload in pieces.
func appendFrame(b []byte, seed uint64, off int64, kind byte, pieces ...[]byte) []byte {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	b = append(b, frameMagic[0], frameMagic[1], frameMagic[2], kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = binary.LittleEndian.AppendUint32(b, sum(seed, off, kind, uint32(n), pieces...))
	for _, p := range pieces {
		b = append(b, p...)
	}
	return b
}

// group is what a group's frame tells: besides, where it belongs, for whoever reads a segment that lost its header.
type group struct {
	note       uint64
	size       uint64 // bytes of the records that follow, frames included
	run, index uint64
	seed       uint64
}

func (g *group) encode() []byte {
	b := make([]byte, 0, groupSize)
	for _, n := range []uint64{g.note, g.size, g.run, g.index, g.seed} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

func decodeGroup(b []byte) group {
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	return group{note: n(0), size: n(1), run: n(2), index: n(3), seed: n(4)}
}

// frameAt reads the frame at a place of a segment's bytes; false means that there is none.
func frameAt(b []byte, seed uint64, off int64) (kind byte, payload []byte, ok bool) {
	if off < 0 || off > int64(len(b))-frameSize || [3]byte(b[off:]) != frameMagic {
		return 0, nil, false
	}
	kind = b[off+3]
	length, want := binary.LittleEndian.Uint32(b[off+4:]), binary.LittleEndian.Uint32(b[off+8:])
	if length > maxRecord || int64(length) > int64(len(b))-off-frameSize {
		return 0, nil, false
	}
	payload = b[off+frameSize : off+frameSize+int64(length)]
	if sum(seed, off, kind, length, payload) != want || kind == kindGroup && length != groupSize {
		return 0, nil, false
	}
	return kind, payload, true
}

// nextFrame is the first place from off on where there is a frame of one of these kinds, -1 if there is none.
func nextFrame(b []byte, seed uint64, off int64, kinds string) int64 {
	for off = nextMagic(b, off); off >= 0; off = nextMagic(b, off+1) {
		if kind, _, ok := frameAt(b, seed, off); ok && strings.IndexByte(kinds, kind) >= 0 {
			break
		}
	}
	return off
}

// nextMagic is the first place from off on where the magic of a frame stands, -1 if there is none.
func nextMagic(b []byte, off int64) int64 {
	if off >= int64(len(b)) {
		return -1
	}
	i := bytes.Index(b[off:], frameMagic[:])
	if i < 0 {
		return -1
	}
	return off + int64(i)
}

// reading is what the bytes of a segment tell.
type reading struct {
	end    int64  // where the first thing stands that does not fit
	sealed bool   // it is the end because of a seal
	behind int64  // where something stands that was written after what does not fit; 0 if nothing does
	note   uint64 // the highest
	count  int    // records
}

// read calls each for every record of a segment's bytes up to the first thing that does not fit.
func read(b []byte, h header, each func(payload []byte) error) (r reading, err error) {
	if h.format == formatChain {
		return readChain(b, h, each)
	}
	r.end = headerSize
	for left := uint64(0); ; { // bytes of the group that are still to come
		kind, payload, ok := frameAt(b, h.seed, r.end)
		switch {
		case ok && kind == kindSeal && left == 0:
			r.sealed = true
			return r, nil
		case ok && kind == kindGroup && left == 0:
			g := decodeGroup(payload)
			r.note, left = max(r.note, g.note), g.size
		case ok && kind == kindRecord && left >= frameSize+uint64(len(payload)):
			left -= frameSize + uint64(len(payload))
			r.count++
			if err := each(payload); err != nil {
				return r, err
			}
		default:
			r.behind = max(nextFrame(b, h.seed, r.end, string([]byte{kindGroup, kindSeal})), 0)
			return r, nil
		}
		r.end += frameSize + int64(len(payload))
	}
}
