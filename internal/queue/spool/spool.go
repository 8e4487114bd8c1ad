package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where the files are.
type Config struct {
	// Dir is the data folder.
	Dir string
	// SmallBody is the size in bytes up to which a body stays in memory, DraftMemory what drafts may hold together.
	SmallBody   int
	DraftMemory int64
	// Disk makes the file calls; OS does.
	Disk Disk
	// Broken is set when nobody can say any more what is on the disk. Then drafts keep their files.
	Broken *atomic.Bool
}

// Spool is the files of one data folder. Use New, then Take. Safe for concurrent use.
type Spool struct {
	cfg      Config
	lock     *lock
	refusing atomic.Bool  // the last message could not be written, though there seemed to be room
	drafted  atomic.Int64 // bytes that drafts hold

	mu    sync.Mutex // guards what follows
	roomy time.Time  // when there was last seen to be room for new mail
	// drafts are the files being written; unswept says that some other file may be left over.
	drafts  map[string]bool
	unswept bool
}

// New makes a handle and touches nothing.
func New(cfg Config) *Spool { return &Spool{cfg: cfg, drafts: map[string]bool{}} }

func (s *Spool) folder() string { return filepath.Join(s.cfg.Dir, "spool") }

// Take makes the data folder if it is missing and locks it. Nothing in it is made or changed before the lock is held.
func (s *Spool) Take() (err error) {
	if s.cfg.Dir == "" {
		return errors.New("spool: no data folder is named")
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("spool: cannot make the data folder: %w", err)
	}
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.folder(), 0o700); err != nil {
		return fmt.Errorf("spool: cannot make the data folder: %w", err)
	}
	for _, d := range []string{s.cfg.Dir, s.folder()} {
		info, err := os.Stat(d)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(d, info.Mode().Perm()&fs.FileMode(0o700))
		}
		if err != nil {
			return fmt.Errorf("spool: cannot keep the data folder to its owner: %w", err)
		}
	}
	return nil
}

// Release gives the folder up.
func (s *Spool) Release() error { return s.lock.release() }

// Path is where the file of a body is.
func (s *Spool) Path(name string) string { return filepath.Join(s.folder(), name) }

// Forget ends the protection of a file that was being written: by now the database names it, or it is gone.
func (s *Spool) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.drafts, name)
}

// Remove deletes a body file; what cannot be deleted now is found by a later sweep.
func (s *Spool) Remove(name string) error {
	err := s.cfg.Disk.Remove(s.Path(name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.mu.Lock()
	s.unswept = true
	s.mu.Unlock()
	return fileError("remove", err)
}

// RemoveAll deletes the files of bodies that have ended. What fails is found by a later sweep.
func (s *Spool) RemoveAll(names []string) {
	for _, name := range names {
		_ = s.Remove(name)
	}
}

// Unswept says that a file may be left over that nobody needs.
func (s *Spool) Unswept() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unswept
}

// Sweep deletes body files that no message names, which it asks of each: what a crash left between writing a body and
// committing its message, or between ending a message and deleting its file. Files with other names are none of ours
// and stay.
func (s *Spool) Sweep(named func(name string) (bool, error)) error {
	s.mu.Lock()
	s.unswept = false
	s.mu.Unlock()
	folder, err := os.Open(s.folder())
	if err != nil {
		return fmt.Errorf("spool: cannot read the spool folder: %w", err)
	}
	defer folder.Close()
	for {
		names, err := folder.Readdirnames(1024)
		for _, name := range names {
			if e := s.sweepFile(name, named); e != nil {
				return e
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("spool: cannot read the spool folder: %w", err)
		}
	}
}

// isBody reports whether a file has the name of a body.
func isBody(name string) bool {
	return len(name) == 26+len(".body") && strings.HasSuffix(name, ".body")
}

func (s *Spool) sweepFile(name string, named func(name string) (bool, error)) error {
	if !isBody(name) {
		return nil
	}
	// Asked before the database: a draft is forgotten only after its message is committed.
	s.mu.Lock()
	writing := s.drafts[name]
	s.mu.Unlock()
	if writing {
		return nil
	}
	is, err := named(name)
	if err == nil && !is {
		_ = s.Remove(name) // remembered in unswept when it fails
	}
	return err
}

// Bodies lists the files of bodies, whoever names them.
func (s *Spool) Bodies() ([]string, error) {
	entries, err := os.ReadDir(s.folder())
	if err != nil {
		return nil, fmt.Errorf("spool: cannot list body files: %w", err)
	}
	var out []string
	for _, e := range entries {
		if isBody(e.Name()) && e.Type().IsRegular() {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

// SetAside keeps the file of a body under another name, which it returns.
func (s *Spool) SetAside(name string) (string, error) {
	name += ".damaged"
	if err := os.Rename(s.Path(strings.TrimSuffix(name, ".damaged")), s.Path(name)); err != nil {
		return "", fmt.Errorf("spool: cannot set a body aside: %w", err)
	}
	return name, nil
}

// Sync makes the names of the files durable.
func (s *Spool) Sync() error { return s.cfg.Disk.SyncDir(s.folder()) }
