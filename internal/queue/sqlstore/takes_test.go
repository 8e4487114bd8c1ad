package sqlstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/spool"
)

// meagre is a disk with room by its own word, on which files cannot be made or written.
type meagre struct {
	spool.OS
	making, write error
}

func (m *meagre) Create(path string) (spool.File, error) {
	if m.making != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: m.making}
	}
	f, err := m.OS.Create(path)
	return meagreFile{f, m}, err
}

type meagreFile struct {
	spool.File
	disk *meagre
}

func (f meagreFile) Write(p []byte) (int, error) {
	if f.disk.write != nil {
		return 0, f.disk.write
	}
	return f.File.Write(p)
}

// What Takes says is what the next message hears: by what the disk says, and by what became of the last message.
func TestTakesSaysWhatTheNextMessageHears(t *testing.T) {
	low := &crowded{free: 500 << 20}
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), SmallBody: 1000, disk: low})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Takes(); err != nil {
		t.Error(err)
	}
	low.free = 100 << 20
	time.Sleep(spool.RoomLasts + time.Millisecond)
	if err, put := s.Takes(), put(t, s, "a", 10); !errors.Is(err, queue.ErrFull) || !errors.Is(put, queue.ErrFull) {
		t.Errorf("%v, and a message: %v", err, put)
	}
	if free, kept, err := s.Free(); free != 100<<20 || kept != 125<<20 || err != nil {
		t.Errorf("free %d, kept %d, %v", free, kept, err)
	}
	low.free = 500 << 20
	if err := s.Takes(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Takes() == nil {
		t.Error("a closed store takes mail")
	}

	dir := t.TempDir()
	disk := &meagre{}
	if s, err = Open(t.Context(), Config{Dir: dir, SmallBody: 1000, disk: disk, DraftMemory: 1}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, fault := range []error{syscall.EDQUOT, syscall.EROFS} {
		disk.making, disk.write = nil, nil
		if fault == syscall.EROFS {
			disk.making = fault
		} else {
			disk.write = fault
		}
		if err := put(t, s, "b", 20_000); err == nil {
			t.Fatalf("%v: the message was taken", fault)
		}
		for range 3 {
			if err := s.Takes(); !errors.Is(err, fault) {
				t.Errorf("%v: %v", fault, err)
			}
		}
		disk.making, disk.write = nil, nil
		if err := s.Takes(); err != nil {
			t.Errorf("%v is over: %v", fault, err)
		}
	}
	list, err := os.ReadDir(filepath.Join(s.cfg.Dir, "spool"))
	if err != nil || len(list) != 0 {
		t.Errorf("left in the spool: %v, %v", list, err)
	}
	s.broken.Store(true)
	if err := s.Takes(); !errors.Is(err, queue.ErrBroken) {
		t.Errorf("a broken store: %v", err)
	}
}
