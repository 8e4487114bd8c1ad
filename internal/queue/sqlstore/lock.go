package sqlstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"postern/internal/queue"
)

// lockDir takes the folder for this handle, or answers queue.ErrInUse. The lock ends with the file or the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot open the lock: %w", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return f, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("%w: %s", queue.ErrInUse, dir), f.Close())
	default:
		return nil, errors.Join(fmt.Errorf("sqlstore: cannot lock the data folder: %w", err), f.Close())
	}
}
