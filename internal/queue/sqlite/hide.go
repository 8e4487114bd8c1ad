package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Hide takes the database and what SQLite keeps beside it from everybody but the gateway's user, whatever the umask was
// when they were made. The folder does so too; a copy of it, a backup, may not.
func Hide(file string) error {
	for _, more := range []string{"", "-wal", "-shm", "-journal"} {
		info, err := os.Lstat(file + more)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return fmt.Errorf("sqlite: cannot look at %s%s: %w", file, more, err)
		case !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0:
			continue
		}
		if err := os.Chmod(file+more, 0o600); err != nil {
			return fmt.Errorf("sqlite: cannot keep %s%s from others: %w", file, more, err)
		}
	}
	return nil
}
