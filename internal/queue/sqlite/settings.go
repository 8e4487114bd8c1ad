package sqlite

import (
	"context"
	"fmt"

	engine "modernc.org/sqlite"

	"postern/internal/queue/database"
)

// Settings of a connection, for Dial. PageSize only counts when the file is made. The automatic checkpoint is the
// upper bound of the log (a store checkpoints earlier); synchronous and journal_mode are what durability stands on and
// are read back.
const (
	PageSize       = "PRAGMA page_size=8192"
	BusyTimeout    = "PRAGMA busy_timeout=10000"
	WalMode        = "PRAGMA journal_mode=WAL"
	SyncFull       = "PRAGMA synchronous=FULL"
	MemoryTemp     = "PRAGMA temp_store=MEMORY"
	CheckpointHard = "PRAGMA wal_autocheckpoint=8192"
	QueryOnly      = "PRAGMA query_only=ON"
	NoTimeout      = "PRAGMA busy_timeout=0" // hear of a lock at once
)

// Fdatasync keeps a commit just as durable and spares the journal entry for time stamps. Where there is none, SQLite
// goes on using fsync. It is for the whole process.
func Fdatasync() { _, _ = engine.Fdatasync(true) }

// CachePages lets a connection keep so many bytes of the database.
func CachePages(bytes int64) string { return fmt.Sprintf("PRAGMA cache_size=-%d", max(bytes>>10, 256)) }

// AssertDurable refuses a connection whose commits would not survive a power failure.
func AssertDurable(c *Conn) error {
	var mode string
	err := c.Query(context.Background(), "PRAGMA journal_mode", func(r database.Row) error {
		mode = r.Text(0)
		return nil
	})
	if err != nil {
		return err
	}
	sync, err := c.Number(context.Background(), "PRAGMA synchronous")
	if err != nil {
		return err
	}
	if mode != "wal" || sync < 2 {
		return fmt.Errorf("sqlite: the database runs with journal_mode=%s synchronous=%d and would lose accepted mail "+
			"on a power failure; it needs wal and 2 (FULL)", mode, sync)
	}
	return nil
}
