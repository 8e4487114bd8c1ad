package revoke

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
)

// errRoom says that what came, or was to be read, does not fit beside the lists that are being looked at.
var errRoom = errors.New("there is no memory left for another list")

// reserve takes memory for n bytes of lists, and has others let go of theirs for it: those that nobody looks at, unused
// for longest first. It waits, until ctx ends, while what is in the way is being looked at; who holds memory already
// must not wait (wait is false), or two of them might wait for each other.
func (l *lists) reserve(ctx context.Context, n int64, wait bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if n > l.cfg.Memory {
			return errRoom
		}
		if l.makeRoom(n) {
			l.loaded += n
			return nil
		}
		if !wait {
			return errRoom
		}
		changed := l.changed
		l.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = errRoom
		}
		l.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// makeRoom lets go of lists until n bytes more fit. The caller holds the lock.
func (l *lists) makeRoom(n int64) bool {
	for l.loaded+n > l.cfg.Memory {
		oldest := l.oldest(func(e *entry) bool { return e.list != nil && e.pins == 0 && (e.kept || e.busy == 0) })
		if oldest == nil {
			return false
		}
		l.unload(oldest)
		if !oldest.kept {
			delete(l.known, oldest.key)
		}
	}
	return true
}

// release gives back what reserve took.
func (l *lists) release(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.give(n)
}

// give is release for whoever holds the lock. Those who wait look again.
func (l *lists) give(n int64) {
	l.loaded -= n
	close(l.changed)
	l.changed = make(chan struct{})
}

// unload lets go of the list of an entry. Nobody may be looking at it. The caller holds the lock.
func (l *lists) unload(e *entry) {
	if e.list != nil {
		l.give(e.list.size)
		e.list = nil
	}
}

// idle reports whether nobody looks at the entry's list or brings a new one.
func (e *entry) idle() bool { return e.pins == 0 && e.busy == 0 }

// work keeps the entry known while something is done for it, until the returned function is called.
func (l *lists) work(e *entry) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.busy++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		e.busy--
	}
}

// unpin ends what entry began.
func (l *lists) unpin(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.pins--; e.pins > 0 {
		return
	}
	for _, old := range e.replaced { // looked at until now
		l.give(old)
	}
	e.replaced = nil
	close(l.changed)
	l.changed = make(chan struct{})
}

// buffer is memory of lists into which one is read. It holds what it has reserved until drop, or until the list owns
// it.
type buffer struct {
	lists *lists
	bytes []byte
	held  int64 // reserved
}

// firstRead is how much is read of what does not say how long it is, before more is asked for.
const firstRead = 64 << 10

// readAll reads r to its end, at most max bytes, tooLarge being the error of more. length is how long it says it is,
// below 0 for unknown. While the buffer grows both copies are paid for.
func (b *buffer) readAll(ctx context.Context, r io.Reader, length, max int64, tooLarge error) error {
	if length > max {
		return tooLarge
	}
	if length < 0 {
		length = min(firstRead, max)
	}
	for next := length + 1; ; next = min(2*next, max+1) { // one more, to see the end
		if err := b.grow(ctx, next); err != nil {
			return err
		}
		n, err := io.ReadFull(r, b.bytes[len(b.bytes):next])
		b.bytes = b.bytes[:len(b.bytes)+n]
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return err
		case int64(len(b.bytes)) > max:
			return tooLarge
		}
	}
}

// grow makes room for n bytes in all.
func (b *buffer) grow(ctx context.Context, n int64) error {
	if err := b.lists.reserve(ctx, n, b.held == 0); err != nil {
		return err
	}
	bigger := make([]byte, len(b.bytes), n)
	copy(bigger, b.bytes)
	b.lists.release(b.held)
	b.bytes, b.held = bigger, n
	return nil
}

// unarmoured takes a PEM armour off, which some servers send though RFC 5280 §4.2.1.13 asks for plain DER.
func unarmoured(content []byte) []byte {
	if block, _ := pem.Decode(content); block != nil && bytes.HasPrefix(content, []byte(armour)) {
		return block.Bytes
	}
	return content
}

const armour = "-----BEGIN"

// unarmour is unarmoured for what was read.
func (b *buffer) unarmour() error {
	if !bytes.HasPrefix(b.bytes, []byte(armour)) {
		return nil
	}
	extra := 2 * int64(len(b.bytes)) // what the decoder makes of it
	if err := b.lists.reserve(context.Background(), extra, false); err != nil {
		return err
	}
	b.held += extra
	b.bytes = unarmoured(b.bytes)
	kept := int64(cap(b.bytes))
	b.lists.release(b.held - kept)
	b.held = kept
	return nil
}

// drop gives everything back.
func (b *buffer) drop() {
	b.lists.release(b.held)
	b.bytes, b.held = nil, 0
}

// list makes a list of what was read, which owns the memory from then on. Where it cannot, the buffer is dropped.
func (b *buffer) list(issuer *x509.Certificate, der []byte) (*crl, error) {
	list, err := readCRL(der, issuer)
	if err != nil {
		b.drop()
		return nil, err
	}
	list.size = b.held
	b.held = 0
	return list, nil
}
