package pgstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/gate"
	"postern/internal/queue/group"
	"postern/internal/queue/leased"
	"postern/internal/queue/pgnodes"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
	"postern/internal/queue/search"
	"postern/internal/queue/sqlrecords"
)

// Config says where the database is and who asks. Only URL is needed.
type Config struct {
	// URL is the address as libpq reads it: a URL or "host=... dbname=...", several hosts allowed, the password better
	// in PGPASSFILE.
	URL string
	// Schema is where the tables are; "" means postern.
	Schema string
	// Node names this gateway to people who look at leases.
	Node string
	// Session is that of this process among those of the database (see pgnodes): mail is accepted while its lease runs,
	// and otherwise refused with ErrNoLease. "" needs no lease.
	Session string
	// Keep is the lease that new mail is accepted with where its site is healthy, so that this process claims it
	// without asking (see package leased); 0: new mail is for everybody at once.
	Keep time.Duration
	// SmallBody is the size in bytes up to which a body is one row; 0 means 128 KiB, and it is no more than that.
	SmallBody int
	// Readers is how many reads may run at once; 0 means 4. The store keeps up to twice as many connections and four
	// more.
	Readers int
	// Patience is how long a change waits while the database does not answer, before its caller is told so; 0 means 10
	// s. It is also how long it is asked what became of a change, see queue.ErrUnknown.
	Patience time.Duration
	// Told hears why the database is not one that mail may be given to, when that begins or becomes another reason. It
	// does not wait. It may be nil.
	Told func(err error)
}

// Store implements queue.Store, audit.Ledger and records.Store on a database that other gateways use too. Use Open.
// Safe for concurrent use.
type Store struct {
	*besides
	*reads
	cfg     Config
	parsed  *postgres.Config
	search  *search.Search
	readers *postgres.Pool
	bodies  *postgres.Pool // for the chunks of drafts
	answers *postgres.Pool // for questions; one connection
	owner   int64          // names this process in leases and drafts
	life    context.Context
	end     context.CancelFunc
	// What changes mail, each with a connection and a transaction of its own: new mail and what is settled, which share
	// each wait for the disk; claims, so that nobody waits for these; and what administrators and records want.
	mail, claims, others *writer

	questions chan *question // of Wished
	given     leased.Given
	kept      *leased.Mail

	opened time.Time
	rests  atomic.Int64   // until what age of the store Overlooked answers nothing, ns
	gate   gate.Gate      // running methods are in
	loops  sync.WaitGroup // of the writers
	// sweeper calls a writer; stop ends it.
	sweeper sync.WaitGroup
	stop    chan struct{}
	refused atomic.Pointer[refusal] // nil: the database always answered
	full    atomic.Pointer[error]   // see Room
	flaw    atomic.Pointer[error]   // see noteFlaw

	mu   sync.Mutex
	owed []queue.Lease // that could not be given back: nobody works at them
}

type besides = sqlrecords.Store

// ErrNoLease: the lease of this gateway on itself has ended, and nothing was accepted.
var ErrNoLease = errors.New("pgstore: the lease of this gateway has ended; others may have taken its work over")

var _ queue.Store = (*Store)(nil)

// Nodes returns where the gateways of this database find each other; the caller closes it.
func (s *Store) Nodes() *pgnodes.Registry { return pgnodes.New(s.parsed, pgtables.Newest()) }

// Open connects to the database, asserts that what it commits is durable, and brings the tables to the newest form. It
// answers queue.ErrNewerForm where a newer release has changed them so that this one cannot go on, and queue.ErrMoved
// or queue.ErrUnfinished for a store that was moved or is an unfinished copy.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg.fill()
	parsed, err := postgres.Parse(cfg.URL, cfg.Schema, cfg.Readers)
	if err != nil {
		return nil, err
	}
	s := &Store{opened: time.Now(), cfg: cfg, parsed: parsed, owner: rand.Int64N(1<<62) + 1, stop: make(chan struct{}),
		questions: make(chan *question, group.Most), kept: leased.NewMail(cfg.Keep),
		search: search.New(postgres.Dialect())}
	first, err := s.prepare(ctx)
	if err != nil {
		return nil, err
	}
	s.life, s.end = context.WithCancel(context.Background())
	if s.readers, err = postgres.NewPool(s.life, parsed); err == nil {
		s.bodies, err = postgres.NewPool(s.life, parsed.Loose())
	}
	if err == nil {
		s.answers, err = postgres.NewPool(s.life, parsed.Steady())
	}
	if err != nil {
		s.release()
		return nil, errors.Join(err, first.Close())
	}
	s.besides = sqlrecords.New(tables{s}, postgres.Dialect())
	s.reads = s.search.Of(searched{s})
	s.mail, s.claims, s.others = newWriter(s), newWriter(s), newWriter(s)
	s.mail.c = first
	for _, w := range s.writers() {
		s.loops.Go(w.changes.Loop)
	}
	s.loops.Go(s.answerLoop)
	s.sweeper.Go(s.sweepLoop)
	s.sweeper.Go(s.roomLoop)
	s.sweeper.Go(s.keepLoop)
	s.sweeper.Go(s.watchLoop)
	return s, nil
}

// writers are all of them, once they are made.
func (s *Store) writers() []*writer {
	if s.others == nil {
		return nil
	}
	return []*writer{s.mail, s.claims, s.others}
}

// fill gives what is left out.
func (cfg *Config) fill() {
	if cfg.Schema == "" {
		cfg.Schema = pgtables.Schema
	}
	if cfg.SmallBody <= 0 || cfg.SmallBody > pgtables.ChunkSize {
		cfg.SmallBody = pgtables.ChunkSize
	}
	if cfg.Readers <= 0 {
		cfg.Readers = 4
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 10 * time.Second
	}
}

// prepare looks at the server and brings the tables to the newest form. It returns the connection it did so over.
func (s *Store) prepare(ctx context.Context) (*postgres.Conn, error) {
	c, err := postgres.Dial(ctx, s.parsed.Steady())
	if err != nil {
		return nil, err
	}
	if err = postgres.AssertSession(ctx, s.parsed, c); err == nil {
		_, err = pgtables.Usable(ctx, c, s.cfg.Schema)
	}
	if err == nil {
		err = pgtables.Migrate(ctx, c, s.cfg.Schema)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// read lends a reading connection. What do did until its first answer must bear to be done again, see postgres.Pool.
func (s *Store) read(ctx context.Context, do func(c *postgres.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	return postgres.Translate(s.readers.With(ctx, do))
}

// readWhole is read for what must see a single moment.
func (s *Store) readWhole(ctx context.Context, do func(c *postgres.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	return postgres.Translate(s.readers.Whole(ctx, do))
}

// readSoon is read for what takes a moment, and mail that is under way waits for: a connection that hangs is given up.
func (s *Store) readSoon(ctx context.Context, do func(c *postgres.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	return s.read(ctx, do)
}

// readPatience bounds one read; long lists are read in pages.
const readPatience = time.Minute

// Close waits for running methods, gives up this process's leases, so that others go on at once, and ends the
// connections. A second Close does nothing.
func (s *Store) Close() error {
	if !s.gate.Close() {
		return nil
	}
	close(s.stop)
	s.sweeper.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Patience)
	defer cancel()
	// Without the database the leases run out and the drafts are swept.
	_ = s.others.changes.Do(ctx, 0, 0, func(t *txn) error {
		t.then(func() error {
			if err := t.Exec("DELETE FROM lease WHERE owner = ?", s.owner); err != nil {
				return err
			}
			return t.Exec("UPDATE draft SET until = now() WHERE owner = ?", s.owner)
		})
		return nil
	})
	s.release()
	return nil
}

// release ends what Open began, as far as it came.
func (s *Store) release() {
	for _, w := range s.writers() {
		w.changes.Close()
	}
	close(s.questions)
	s.loops.Wait()
	for _, w := range s.writers() {
		if w.c != nil {
			_ = w.c.Close() // nothing is under way
		}
	}
	for _, p := range []*postgres.Pool{s.readers, s.bodies, s.answers} {
		if p != nil {
			p.Close()
		}
	}
	s.end()
}

// tables are the database as besides uses it.
type tables struct{ s *Store }

// Read lends a reading connection.
func (d tables) Read(ctx context.Context, do func(r database.Reader) error) error {
	if err := d.s.gate.Enter(ctx); err != nil {
		return err
	}
	defer d.s.gate.Leave()
	return d.s.read(ctx, func(c *postgres.Conn) error { return do(c) })
}

// ReadWhole lends one that sees a single moment.
func (d tables) ReadWhole(ctx context.Context, do func(r database.Reader) error) error {
	if err := d.s.gate.Enter(ctx); err != nil {
		return err
	}
	defer d.s.gate.Leave()
	return d.s.readWhole(ctx, func(c *postgres.Conn) error { return do(c) })
}

// Change hands a change to a writer. While it reads and then writes no other gateway does.
func (d tables) Change(ctx context.Context, bytes int, do func(t database.Tx) error) error {
	if err := d.s.gate.Enter(ctx); err != nil {
		return err
	}
	defer d.s.gate.Leave()
	return d.s.others.do(ctx, bytes, func(t *txn) error {
		if err := t.sound(); err != nil {
			return err
		}
		put(&t.locks, pgtables.LockRecords, true)
		t.then(func() error { return do(t) })
		return nil
	})
}
