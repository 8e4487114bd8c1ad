package wal

import (
	"io"
	"os"
)

// Disk is the file calls that the laws of the package stand on. Tests put a simulated one in its place.
type Disk interface {
	// Create makes a file that must not exist, for its owner alone.
	Create(path string) (File, error)
	// ReadFile returns what a file holds.
	ReadFile(path string) ([]byte, error)
	// ReadDir lists the names in a folder.
	ReadDir(path string) ([]string, error)
	// MakeDir makes a folder for its owner alone; one that exists is fine.
	MakeDir(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(path string) error
	Remove(path string) error
	// Rename gives a file a name that must not exist.
	Rename(from, to string) error
}

// File is a segment being written.
type File interface {
	io.WriterAt
	io.Closer
	// Sync makes what was written durable, and the file's size; time stamps may be left out.
	Sync() error
	Truncate(size int64) error
}

// OS returns the disk of the operating system.
func OS() Disk { return osDisk{} }

// osDisk is the disk.
type osDisk struct{}

func (osDisk) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (osDisk) ReadDir(path string) ([]string, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(0)
}

func (osDisk) MakeDir(path string) error { return os.MkdirAll(path, 0o700) }

// SyncDir is what the system needs for it: see syncNames.
func (osDisk) SyncDir(path string) error { return syncNames(path) }

func (osDisk) Remove(path string) error { return os.Remove(path) }

func (osDisk) Rename(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: os.ErrExist}
	}
	return os.Rename(from, to)
}

// osFile syncs as cheaply as the system lets it: see syncData.
type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncData(f.File) }
