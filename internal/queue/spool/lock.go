package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"postern/internal/queue"
)

// lock is the right to a data folder, held from before the first change in it to the end of the handle or the process.
//
// It is the lock of the folder itself, which no name in it can be removed to get around, and which is one whatever path
// leads to the folder: a link, a mount, another user's configuration. Earlier releases knew only the file "lock", so
// that is held too.
type lock struct{ folder, file *os.File }

// lockDir takes the folder for this handle, or answers queue.ErrInUse; then nothing in the folder has changed.
func lockDir(dir string) (*lock, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("spool: cannot open the data folder: %w", err)
	}
	l := &lock{folder: folder}
	if err := l.take(dir); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

func (l *lock) take(dir string) error {
	if err := flock(l.folder, dir); err != nil {
		return err
	}
	var err error
	path := filepath.Join(dir, "lock")
	if l.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR|noFollow, 0o600); err != nil {
		return fmt.Errorf("spool: cannot open the lock: %w", err)
	}
	if err := flock(l.file, dir); err != nil {
		return err
	}
	for _, at := range []struct {
		path string
		held *os.File
	}{{dir, l.folder}, {path, l.file}} {
		if err := stands(at.path, at.held); err != nil {
			return err
		}
	}
	return nil
}

// flock locks a file or folder for this handle alone.
func flock(f *os.File, dir string) error {
	held, err := tryLock(f)
	switch {
	case held:
		return fmt.Errorf("%w: %s", queue.ErrInUse, dir)
	case err != nil:
		return fmt.Errorf("spool: cannot lock the data folder: %w", err)
	}
	return nil
}

// stands wants what was locked to be still what the path names: else another process may hold the lock of the new one.
func stands(path string, held *os.File) error {
	was, err := held.Stat()
	var is fs.FileInfo
	if err == nil {
		is, err = os.Stat(path)
	}
	if err == nil && !os.SameFile(was, is) {
		err = fmt.Errorf("%w: %s was replaced while it was locked", queue.ErrInUse, path)
	}
	return err
}

// release gives the folder up.
func (l *lock) release() error {
	if l == nil {
		return nil
	}
	var errs []error
	for _, f := range []*os.File{l.file, l.folder} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
