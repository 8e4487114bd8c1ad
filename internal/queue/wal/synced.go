package wal

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"
)

// synced is what the file of that name says: up to Place everything was durable. It is written after each sync and is
// never synced itself, which costs next to nothing: a process that is killed leaves it, and a power cut leaves it or an
// older one. What is missing though it stands here was damaged, not torn.
type synced struct {
	Place
	Closed bool   // the run ended, and nothing of it is needed
	Note   uint64 // of the caller, when it ended
}

var syncedMagic = [8]byte{'P', 's', 'T', 'n', 'S', 'y', 'n', 'c'}

const syncedSize = 52

func (j *Journal) syncedPath() string { return filepath.Join(j.cfg.Dir, "synced") }

func (w synced) encode() []byte {
	b := append(make([]byte, 0, syncedSize), syncedMagic[:]...)
	closed := uint64(0)
	if w.Closed {
		closed = 1
	}
	for _, n := range []uint64{w.Run, w.Index, uint64(w.Size), closed, w.Note} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeSynced reads the file; what cannot be read says nothing.
func decodeSynced(b []byte) (w synced) {
	if len(b) != syncedSize || [8]byte(b[:8]) != syncedMagic ||
		crc32.Checksum(b[:syncedSize-4], castagnoli) != binary.LittleEndian.Uint32(b[syncedSize-4:]) {
		return synced{}
	}
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	return synced{Place: Place{n(0), n(1), int64(n(2))}, Closed: n(3) != 0, Note: n(4)}
}

// tell writes the file. Nothing depends on it: that it could not be written takes only what it would have told.
func (j *Journal) tell(w synced) { _, _ = j.witness.WriteAt(w.encode(), 0) }
