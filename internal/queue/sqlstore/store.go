package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/gate"
	"postern/internal/queue/group"
	"postern/internal/queue/search"
	"postern/internal/queue/spool"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqlrecords"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/wal"
	"postern/internal/queue/young"
)

// Config says where the store is. Only Dir is needed.
type Config struct {
	// Dir is the data folder. It is made with mode 0700 if missing; wider rights are taken away.
	Dir string
	// SmallBody is the size in bytes up to which a body is a row of the database; 0 means 128 KiB.
	SmallBody int
	// DraftMemory is what drafts may hold together, in bytes; when it is used up they go to files earlier. 0 means 64
	// MiB.
	DraftMemory int64
	// Readers is how many reads may run at once; 0 means 4.
	Readers int
	// Cache bounds the pages of the database that the writer keeps, in bytes; the readers have half as much together. 0
	// means 32 MiB.
	Cache int64
	// Young bounds the memory in bytes, about, for mail that is in the journal and not yet in the database; 0 means 32
	// MiB. Twice that is held before new mail has to wait.
	Young int64
	// Warn is told of damage that costs nothing now; nil is nobody. It is called by Open only.
	Warn func(err error)
	// journalDisk replaces the file calls of the journal in tests.
	journalDisk wal.Disk
	// segment is the size of the journal's segments in tests.
	segment int64
	// disk replaces the file calls for bodies in tests.
	disk spool.Disk
	// salvage makes a new database where one is missing.
	salvage bool
	// copied opens the store whatever its standing is.
	copied bool
	// still keeps the mover from moving anything by itself in tests.
	still bool
}

// Store implements queue.Store, audit.Ledger and records.Store on one data folder. Use Open. Safe for concurrent use.
type Store struct {
	*besides
	*reads
	search  *search.Search
	cfg     Config
	spool   *spool.Spool
	changes *group.Writer[*txn]
	entries chan *entry
	move    chan struct{} // capacity 1: the mover has something to do
	readers chan *sqlite.Conn
	broken  atomic.Bool
	gate    gate.Gate      // running methods are in
	loops   sync.WaitGroup // the mover and the filler, which call the writer
	workers sync.WaitGroup // the writer, the committer and the checkpointer
	stop    chan struct{}  // closed to end the mover and the checkpointer
	writer  *writer
	journal *wal.Journal // the committer's, but for Drop

	mu      sync.Mutex // guards what follows
	cond    *sync.Cond // something young has changed
	totals  sqltables.Totals
	order   sqltables.Order
	known   wal.Known // what the database remembers of the journal; Last as it was at start
	applied int64     // messages up to this seq are in the database
	begun   bool      // a run of the journal has begun
	unread  int64     // while the journal is read: the first message that is not in the database yet
	young   *young.Mail
	leases  map[queue.DeliveryID]*lease
	// wishes are what administrators asked of deliveries under a lease, until it is carried out or too late.
	wishes map[queue.DeliveryID]*queue.Wish
	// lastToken begins at random, so that a lease of an earlier handle never fits.
	lastToken int64
}

// Open opens the store, making it if there is none. It answers queue.ErrInUse while another process has it,
// queue.ErrNewerForm when a newer release wrote it, and queue.ErrDamaged when something is missing in it that was
// there; then Salvage helps. Of one that was moved, or is an unfinished copy, it answers queue.ErrMoved and
// queue.ErrUnfinished. Leases that were held when the last process ended are gone.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := newStore(cfg)
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	if err := s.writer.c.Script(sqlite.NoTimeout); err != nil {
		return nil, errors.Join(err, s.release())
	}
	s.workers.Go(s.changes.Loop)
	s.workers.Go(s.commitLoop)
	if !s.cfg.still {
		s.loops.Go(s.moveLoop)
		s.loops.Go(s.fillLoop)
	}
	s.workers.Go(s.checkpoint)
	return s, nil
}

// newStore makes a handle with what the configuration leaves out.
func newStore(cfg Config) *Store {
	if cfg.SmallBody == 0 {
		cfg.SmallBody = 128 << 10
	}
	if cfg.DraftMemory == 0 {
		cfg.DraftMemory = 64 << 20
	}
	if cfg.Readers == 0 {
		cfg.Readers = 4
	}
	if cfg.Cache == 0 {
		cfg.Cache = 32 << 20
	}
	if cfg.Young == 0 {
		cfg.Young = 32 << 20
	}
	if cfg.disk == nil {
		cfg.disk = spool.OS{}
	}
	s := &Store{
		cfg:       cfg,
		entries:   make(chan *entry, 2*group.Most),
		move:      make(chan struct{}, 1),
		young:     young.New(),
		readers:   make(chan *sqlite.Conn, cfg.Readers),
		stop:      make(chan struct{}),
		leases:    map[queue.DeliveryID]*lease{},
		wishes:    map[queue.DeliveryID]*queue.Wish{},
		lastToken: rand.Int64N(1 << 62),
	}
	s.cond = sync.NewCond(&s.mu)
	s.spool = spool.New(spool.Config{Dir: cfg.Dir, SmallBody: cfg.SmallBody, DraftMemory: cfg.DraftMemory,
		Disk: cfg.disk, Broken: &s.broken})
	s.search = search.New(sqlite.Dialect())
	s.reads = s.search.Of(searched{s})
	s.besides = sqlrecords.New(tables{s}, sqlite.Dialect())
	return s
}

func (s *Store) open(ctx context.Context) error {
	if err := s.openAlone(); err != nil {
		return err
	}
	s.applied = s.order.LastSeq
	if err := s.readWishes(s.writer.c); err != nil {
		return err
	}
	if err := s.readFloor(s.writer.c); err != nil {
		return err
	}
	for range s.cfg.Readers {
		c, err := sqlite.Dial(s.file(), sqlite.BusyTimeout, sqlite.QueryOnly, sqlite.MemoryTemp,
			sqlite.CachePages(s.cfg.Cache/2/int64(s.cfg.Readers)))
		if err != nil {
			return fmt.Errorf("sqlstore: cannot open the database for reading: %w", err)
		}
		s.readers <- c
	}
	return s.sweep(ctx)
}

// openAlone opens what one goroutine needs that does everything itself. What SQLite makes beside the database takes its
// mode, and the database itself may be made just then.
func (s *Store) openAlone() error {
	hide := func() error { return sqlite.Hide(s.file()) }
	for _, step := range []func() error{s.spool.Take, s.lookAtJournal, hide, s.openDatabase, hide, s.openJournal} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// openDatabase opens the writing connection, brings the database to the newest form and reads what it counts.
func (s *Store) openDatabase() error {
	sqlite.Fdatasync()
	w, err := sqlite.Dial(s.file(), sqlite.BusyTimeout, sqlite.PageSize, sqlite.WalMode, sqlite.SyncFull,
		sqlite.MemoryTemp, sqlite.CachePages(s.cfg.Cache), sqlite.CheckpointHard)
	if err != nil {
		return fmt.Errorf("sqlstore: cannot open the database: %w", sqlite.Translate(err))
	}
	s.writer = &writer{s: s, c: w, sites: sqltables.Sites{}}
	s.changes = group.New(s.writer.attempt, func(err error) bool { return sqlite.Primary(err) == sqlite.Busy })
	s.writer.commit = func() error { return w.Exec("COMMIT") }
	if err := sqlite.AssertDurable(w); err != nil {
		return err
	}
	mark, err := s.lookAtStanding(w)
	if err != nil {
		return err
	}
	if err := s.examine(w); err != nil {
		return err
	}
	if err := sqltables.Migrate(w, mark); err != nil {
		return sqlite.Translate(err)
	}
	if err := s.cfg.disk.SyncDir(s.cfg.Dir); err != nil {
		return fmt.Errorf("sqlstore: cannot make the data folder durable: %w", err)
	}
	if s.totals, s.order, s.applied, err = sqltables.ReadTotals(w); err == nil {
		s.known, err = readKnown(w)
	}
	s.young.Place = s.known.Last
	return sqlite.Translate(err)
}

// readFloor finds the highest ID in the database.
func (s *Store) readFloor(c *sqlite.Conn) error {
	return c.Query(context.Background(), "SELECT max(id) FROM message", func(r database.Row) error {
		s.young.Floor = queue.ID(r.Text(0))
		return nil
	})
}

func (s *Store) file() string { return filepath.Join(s.cfg.Dir, "queue.db") }

// read lends a reading connection.
func (s *Store) read(ctx context.Context, f func(c *sqlite.Conn) error) error {
	select {
	case c := <-s.readers:
		defer func() { s.readers <- c }()
		return f(c)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for running methods, ends the goroutines and gives up the lock. A second Close does nothing.
func (s *Store) Close() error {
	if !s.gate.Close() {
		return nil
	}
	close(s.stop)
	s.loops.Wait()
	err := s.settleDown(context.Background())
	close(s.entries)
	s.changes.Close()
	s.workers.Wait()
	if errors.Is(err, queue.ErrBroken) {
		err = nil // told before; the next Open reads the journal
	}
	return errors.Join(err, s.release())
}

// release closes what Open opened, as far as it came.
func (s *Store) release() error {
	var errs []error
	if s.journal != nil {
		s.mu.Lock()
		empty := s.young.Empty() && !s.broken.Load()
		s.mu.Unlock()
		errs = append(errs, s.endRun(empty))
	}
	for range len(s.readers) {
		errs = append(errs, (<-s.readers).Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.c.Close())
	}
	return errors.Join(append(errs, s.spool.Release())...)
}

// checkpointEvery is how often the log is copied into the database in the background.
const checkpointEvery = time.Second

// checkpoint keeps the log short without stopping the writer: a passive checkpoint copies what it can while the writer
// goes on appending. Only when the log has grown to 64 MiB all the same does the writer's own automatic checkpoint
// bring it to an end, and then little is left to copy; after that the log is used again from its beginning.
func (s *Store) checkpoint() {
	c, err := sqlite.Dial(s.file(), sqlite.BusyTimeout, sqlite.SyncFull)
	if err != nil {
		return // the automatic checkpoint alone keeps the bound
	}
	defer c.Close()
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var seen sqltables.Totals
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		now := s.totals
		s.mu.Unlock()
		if now == seen {
			continue
		}
		switch err := c.Script("PRAGMA wal_checkpoint(PASSIVE)"); {
		case err == nil:
			seen = now
		case sqlite.Primary(err) == sqlite.IO: // a failed sync among others: final, though the log still has it all
			s.broken.Store(true)
		}
	}
}

var _ queue.Store = (*Store)(nil)
