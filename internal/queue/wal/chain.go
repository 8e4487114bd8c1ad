package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// Format 1, which is read and never written. A record is its length, a checksum that covers the record before it down
// to the seed, and the payload; a seal is 0xffffffff and a checksum. What stands behind a record that does not fit
// cannot be told from the rest of a torn write.

const (
	chainFrame = 8
	sealLength = 0xffffffff // instead of a length
)

// link is the checksum of a record whose predecessor's is prev.
func link(prev uint32, length uint32, payload ...[]byte) uint32 {
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], prev)
	binary.LittleEndian.PutUint32(head[4:], length)
	sum := crc32.Checksum(head[:], castagnoli)
	for _, p := range payload {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return sum
}

// readChain calls each for every record of a segment's bytes up to the first thing that does not fit.
func readChain(b []byte, h header, each func(payload []byte) error) (r reading, err error) {
	return chainFrom(b, headerSize, chainStart(h.seed), each)
}

// chainStart is where the checksums of a segment begin.
func chainStart(seed uint64) uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, seed), castagnoli)
}

// chainFrom is readChain from a place on, in front of which a checksum stands.
func chainFrom(b []byte, off int64, sum uint32, each func(payload []byte) error) (r reading, err error) {
	for r.end = off; int64(len(b))-r.end >= chainFrame; {
		length, want := binary.LittleEndian.Uint32(b[r.end:]), binary.LittleEndian.Uint32(b[r.end+4:])
		if length == sealLength {
			r.sealed = link(sum, sealLength) == want
			return r, nil
		}
		if length > maxRecord || int64(length) > int64(len(b))-r.end-chainFrame {
			return r, nil
		}
		payload := b[r.end+chainFrame : r.end+chainFrame+int64(length)]
		if sum = link(sum, length, payload); sum != want {
			return r, nil
		}
		r.count++
		if err := each(payload); err != nil {
			return r, err
		}
		r.end += chainFrame + int64(length)
	}
	return r, nil
}
