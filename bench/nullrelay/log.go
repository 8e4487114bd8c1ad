package nullrelay

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"syscall"
)

// The log is a row of records, each with a header of 28 bytes:
//
//	epoch 8 | number 8 | envelope 4 | content 4 | crc32 4 | envelope | content
//
// A record without envelope and content says that the message of that number was sent on. When nothing is open the log
// starts again at its beginning with the next epoch; the first record of another epoch ends it.
const recordHeader = 28

// rewindAt is how long the log must be before it starts again.
const rewindAt = 16 << 20

// file is the part of *os.File the log writes with; tests put another in its place.
type file interface {
	io.WriterAt
	io.ReaderAt
	// Datasync returns once everything written is on stable storage.
	Datasync() error
}

// disk is a file of the system.
type disk struct{ *os.File }

func (d disk) Datasync() error { return syscall.Fdatasync(int(d.Fd())) }

// message is one accepted message on its way.
type message struct {
	number   uint64
	envelope []byte // MAIL and RCPT commands as they will be sent
	content  []byte // with stuffed dots and the final one; nil: read it from the log
	at       int64  // where the content stands in the log
	size     int
	hop      *hop
	synced   chan error
}

// journal commits messages in groups: whoever comes while the disk is busy goes into the next group.
type journal struct {
	file   file
	commit chan *message

	mu   sync.Mutex
	done []uint64 // sent on, not yet written
	open int      // committed and not sent on

	epoch, next uint64
	end         int64
}

// groupLimit is how many messages, and groupBytes how many bytes, are committed at once.
const (
	groupLimit = 256
	groupBytes = 8 << 20
)

func newJournal(f file) *journal {
	return &journal{file: f, commit: make(chan *message, groupLimit), epoch: 1}
}

// run commits until the channel is closed. Each message of a group is told on its channel, after the group is on stable
// storage, and then handed to sent. A failure is final: nothing is accepted after it.
func (j *journal) run(accepted func(*message)) {
	var failed error
	var buffer []byte // at most groupLimit small contents
	for first := range j.commit {
		group := j.gather(first)
		if failed == nil {
			buffer, failed = j.write(buffer[:0], group)
		}
		for _, m := range group {
			m.synced <- failed
			if failed == nil {
				accepted(m)
			}
		}
	}
}

// gather takes whatever waits besides the first.
func (j *journal) gather(first *message) []*message {
	group, bytes := []*message{first}, len(first.content)
	for len(group) < groupLimit && bytes < groupBytes {
		select {
		case m, ok := <-j.commit:
			if !ok {
				return group
			}
			group, bytes = append(group, m), bytes+len(m.content)
		default:
			return group
		}
	}
	return group
}

// write puts a group behind the log, with the records of what was sent on meanwhile, and makes it durable.
func (j *journal) write(buffer []byte, group []*message) ([]byte, error) {
	j.mu.Lock()
	if j.open == 0 && j.end >= rewindAt {
		j.end, j.epoch, j.done = 0, j.epoch+1, j.done[:0]
	}
	for _, number := range j.done {
		buffer = j.record(buffer, number, nil, nil)
	}
	j.done = j.done[:0]
	j.open += len(group)
	j.mu.Unlock()
	for _, m := range group {
		j.next++
		m.number = j.next
		buffer = j.record(buffer, m.number, m.envelope, m.content)
		m.at, m.size = j.end+int64(len(buffer)), len(m.content)
		if len(m.content) < apart {
			buffer = append(buffer, m.content...)
			continue
		}
		var err error
		if buffer, err = j.put(buffer); err != nil {
			return buffer, err
		}
		if _, err = j.put(m.content); err != nil {
			return buffer, err
		}
	}
	buffer, err := j.put(buffer)
	if err != nil {
		return buffer, err
	}
	return buffer, j.file.Datasync()
}

// apart is from which size on a content is written by itself instead of being copied together with others.
const apart = 32 << 10

// put writes behind the log and returns the bytes emptied.
func (j *journal) put(b []byte) ([]byte, error) {
	n, err := j.file.WriteAt(b, j.end)
	j.end += int64(n)
	return b[:0], err
}

// record appends a record up to its content.
func (j *journal) record(out []byte, number uint64, envelope, content []byte) []byte {
	var h [recordHeader]byte
	binary.LittleEndian.PutUint64(h[0:], j.epoch)
	binary.LittleEndian.PutUint64(h[8:], number)
	binary.LittleEndian.PutUint32(h[16:], uint32(len(envelope)))
	binary.LittleEndian.PutUint32(h[20:], uint32(len(content)))
	sum := crc32.Update(crc32.Update(crc32.ChecksumIEEE(h[:24]), crc32.IEEETable, envelope), crc32.IEEETable, content)
	binary.LittleEndian.PutUint32(h[24:], sum)
	return append(append(out, h[:]...), envelope...)
}

// forget marks a message as sent on. Its record goes to the log with the next group.
func (j *journal) forget(m *message) {
	j.mu.Lock()
	j.done = append(j.done, m.number)
	j.open--
	j.mu.Unlock()
}

// read returns the content of a message that is not in memory.
func (j *journal) read(m *message) ([]byte, error) {
	content := make([]byte, m.size)
	_, err := j.file.ReadAt(content, m.at)
	return content, err
}

// recover reads a log from its beginning and returns what was committed and not sent on. Writing goes on behind it.
func (j *journal) recover() ([]*message, error) {
	open := map[uint64]*message{}
	var order []*message
	for header := make([]byte, recordHeader); ; {
		if _, err := j.file.ReadAt(header, j.end); err != nil {
			break // a log ends where nothing more can be read
		}
		epoch, number := binary.LittleEndian.Uint64(header), binary.LittleEndian.Uint64(header[8:])
		envelope, content := binary.LittleEndian.Uint32(header[16:]), binary.LittleEndian.Uint32(header[20:])
		if j.end == 0 {
			j.epoch = epoch
		}
		body := make([]byte, int(envelope)+int(content))
		if epoch != j.epoch || epoch == 0 {
			break
		}
		if _, err := j.file.ReadAt(body, j.end+recordHeader); err != nil {
			break
		}
		sum := crc32.Update(crc32.ChecksumIEEE(header[:24]), crc32.IEEETable, body)
		if sum != binary.LittleEndian.Uint32(header[24:]) {
			break // written in part
		}
		if len(body) == 0 {
			delete(open, number)
		} else {
			m := &message{number: number, envelope: body[:envelope], content: body[envelope:], size: int(content)}
			open[number] = m
			order = append(order, m)
		}
		j.next = max(j.next, number)
		j.end += recordHeader + int64(len(body))
	}
	var left []*message
	for _, m := range order {
		if open[m.number] == m {
			left = append(left, m)
		}
	}
	j.open = len(left)
	return left, nil
}

// openJournal opens or makes the log in a folder and makes its name durable too.
func openJournal(path string) (*journal, []*message, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	j := newJournal(disk{f})
	left, err := j.recover()
	if err == nil {
		err = syncFolder(path)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cannot open the log: %w", err)
	}
	return j, left, nil
}
