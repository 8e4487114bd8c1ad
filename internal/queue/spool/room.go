package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"time"

	"postern/internal/queue"
)

// New mail leaves this much of the disk free, on a small one an eighth. What is in the queue needs it: a delivery that
// cannot be recorded holds up everything behind it, and the log that records it is emptied into a database that grows.
const (
	reserve      = 128 << 20
	reserveShare = 8
)

// RoomLasts is how long it counts that there was room: less than the disk can be filled in.
const RoomLasts = 50 * time.Millisecond

// Room refuses new mail when only the reserve is left.
func (s *Spool) Room() error {
	now := time.Now()
	s.mu.Lock()
	recent := now.Sub(s.roomy) < RoomLasts
	s.mu.Unlock()
	if recent {
		return nil
	}
	free, total, err := s.cfg.Disk.Space(s.cfg.Dir)
	if err != nil || free >= min(reserve, total/reserveShare) {
		s.mu.Lock()
		s.roomy = now
		s.mu.Unlock()
		return nil // where nobody can tell, writing will
	}
	return fmt.Errorf("%w: the last %d MiB are kept for the mail in the queue", queue.ErrFull, free>>20)
}

// Takes says what a message would hear that is to be stored now: nil where it would be stored. Where there is room by
// what the disk says, and the last message could not be written all the same (a quota, a file system that became
// read-only), it is tried with a file of its own.
func (s *Spool) Takes() error {
	if err := s.Room(); err != nil {
		return err
	}
	if !s.refusing.Load() {
		return nil
	}
	err := s.tryToWrite()
	s.refusing.Store(err != nil)
	return err
}

// NoteRoom remembers whether the disk took what was written last.
func (s *Spool) NoteRoom(err error) {
	if pe, ok := errors.AsType[*fs.PathError](err); errors.Is(err, queue.ErrFull) || ok && pe.Err != nil {
		s.refusing.Store(true)
	} else if err == nil {
		s.refusing.Store(false)
	}
}

// tried is as much as is written to see whether a message would be.
const tried = 64 << 10

// tryToWrite makes a file as a draft does and removes it.
func (s *Spool) tryToWrite() error {
	name := "try-" + strconv.FormatUint(rand.Uint64(), 36) + ".body"
	s.mu.Lock()
	s.drafts[name] = true
	s.mu.Unlock()
	defer s.Forget(name)
	f, err := s.cfg.Disk.Create(s.Path(name))
	if err != nil {
		return fileError("create", err)
	}
	_, err = f.Write(make([]byte, tried))
	return fileError("write", errors.Join(err, f.Close(), s.cfg.Disk.Remove(s.Path(name))))
}

// Free is how many bytes of the disk are left for mail, and how many of them are kept for the mail that is in the
// queue.
func (s *Spool) Free() (free, kept uint64, err error) {
	free, total, err := s.cfg.Disk.Space(s.cfg.Dir)
	return free, min(reserve, total/reserveShare), err
}
