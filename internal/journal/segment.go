package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// format is the version of the layout in doc.go. A file with a higher one is a newer release's.
const format = 1

const (
	headerSize = 48
	frameSize  = 8          // length and checksum of a record
	sealLength = 0xffffffff // instead of a length
	maxRecord  = 1 << 30    // what claims to be longer is no record
)

var magic = [8]byte{'P', 's', 'T', 'n', 'J', 'r', 'n', 'l'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the beginning of a segment. The runs of a folder are numbered upwards, and the segments of a run.
type header struct {
	format     uint32
	run, index uint64
	seed       uint64
}

func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, magic[:]...)
	b = binary.LittleEndian.AppendUint32(b, h.format)
	b = binary.LittleEndian.AppendUint64(b, h.run)
	b = binary.LittleEndian.AppendUint64(b, h.index)
	b = binary.LittleEndian.AppendUint64(b, h.seed)
	b = binary.LittleEndian.AppendUint64(b, 0) // reserved
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
	h.seed = binary.LittleEndian.Uint64(b[28:])
	return h, true
}

// chain is where the checksums of a segment begin.
func (h *header) chain() uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, h.seed), castagnoli)
}

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

// appendRecord adds a record made of pieces to b and returns its checksum, which the next one continues.
func appendRecord(b []byte, prev uint32, pieces ...[]byte) ([]byte, uint32) {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	sum := link(prev, uint32(n), pieces...)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = binary.LittleEndian.AppendUint32(b, sum)
	for _, p := range pieces {
		b = append(b, p...)
	}
	return b, sum
}

// seal is the end of a segment that has a successor.
func seal(prev uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, sealLength)
	return binary.LittleEndian.AppendUint32(b, link(prev, sealLength))
}

// ending says why reading a segment stopped.
type ending int

const (
	torn   ending = iota // at something that is no record
	sealed               // at the seal
)

// records calls each for every record of a segment's bytes, header included, in order.
func records(b []byte, h header, each func(payload []byte) error) (ending, error) {
	sum, b := h.chain(), b[headerSize:]
	for len(b) >= frameSize {
		length, want := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if length == sealLength {
			if link(sum, sealLength) == want {
				return sealed, nil
			}
			return torn, nil
		}
		if length > maxRecord || int(length) > len(b)-frameSize {
			return torn, nil
		}
		payload := b[frameSize : frameSize+int(length)]
		if sum = link(sum, length, payload); sum != want {
			return torn, nil
		}
		if err := each(payload); err != nil {
			return torn, err
		}
		b = b[frameSize+int(length):]
	}
	return torn, nil
}
