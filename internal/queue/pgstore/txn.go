package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/group"
	"postern/internal/queue/pgnodes"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// txn is one transaction of a writer. Its changes first say what they want to look at, which is asked in one round
// trip; then what they have put off (then) decides, each for itself, and adds to the plan; and the plan is carried out
// and committed in another.
type txn struct {
	*writer
	plan
	ctx        context.Context
	results    []error
	i          int // the change that is being run
	thens      []then
	leases     []queue.Lease   // that are to be looked up
	doubt      bool            // what is remembered of leases was not so
	recalled   bool            // leases were taken from memory
	unsure     []queue.Lease   // that were taken from memory, and are to be checked
	left       []int64         // deliveries whose leases it ends
	keeps      []*wanted       // that it leases and stores at once
	stirs      []queue.SiteKey // where it leaves something to claim
	keys       []string        // sites that are to be looked up
	bodies     []string        // drafts that are to be looked up
	messages   int             // that want a number
	seqs       []int64         // numbers for them
	locks      map[int64]bool  // advisory
	fenced     bool            // it is nothing without the lease of this gateway
	leased     bool            // which runs
	flaw       error           // of the server, as that statement found it
	refers     bool            // it makes deliveries refer to sites, or changes these
	rows       map[queue.DeliveryID]*deliveryRow
	known      map[queue.SiteKey]bool
	drafts     map[string]written
	begun      bool
	wrote      bool // something is in the database that the plan did not write
	committing bool // COMMIT may have been sent
	leasing    bool // it only gives leases
}

type then struct {
	i  int
	do func() error
}

// deliveryRow is a leased delivery as it was read, locked until the transaction ends.
type deliveryRow struct {
	queue.Delivery
	site   int64
	facts  string
	token  int64
	leased bool
	ended  bool // a change of this transaction has ended the lease
}

// written is what is there of a large body.
type written struct{ chunks, bytes int64 }

// planned is an error of a change that is in the plan already, in part: the transaction is of no use.
type planned struct{ error }

// Unwrap is the error.
func (p *planned) Unwrap() error { return p.error }

// then puts off what needs an answer.
func (t *txn) then(do func() error) { t.thens = append(t.thens, then{t.i, do}) }

// run runs changes and commits what they come to. Results are set where a change alone cannot be done.
func (t *txn) run(changes []group.Change[*txn]) error {
	for t.i = range changes {
		t.results[t.i] = changes[t.i](t)
	}
	if err := t.look(); err != nil {
		return err
	}
	for _, later := range t.thens {
		wrote := t.wrote
		t.wrote = false
		err := later.do()
		var half *planned
		if err != nil && (t.wrote || postgres.Code(err) != "" || t.c.Dead() || errors.As(err, &half)) {
			return err
		}
		t.results[later.i] = err
		t.wrote = t.wrote || wrote
	}
	if t.plan.empty() && !t.wrote {
		if !t.begun {
			return nil
		}
		return t.c.Script(t.ctx, "ROLLBACK") // nothing came of it
	}
	return t.commit()
}

// begin adds what begins the transaction to a batch.
func (t *txn) begin(b *postgres.Batch) {
	if t.begun {
		return
	}
	t.begun = true
	b.Add("BEGIN", nil)
	for _, lock := range sorted(t.locks) {
		b.Add("SELECT pg_advisory_xact_lock(?::bigint)", nil, lock)
	}
	if t.refers {
		b.Add("SELECT pg_advisory_xact_lock_shared(?::bigint)", nil, int64(pgtables.LockSites))
	}
}

// now begins the transaction, if nothing has, and carries out what is planned: for changes that read what they change.
func (t *txn) now() error {
	var b postgres.Batch
	t.begin(&b)
	if err := t.flush(&b); err != nil {
		return err
	}
	if b.Empty() {
		return nil
	}
	return t.c.Send(t.ctx, &b)
}

// Exec runs a statement that changes something, at once.
func (t *txn) Exec(text string, args ...any) error {
	_, err := t.Changed(text, args...)
	return err
}

// Changed is Exec that tells how many rows changed.
func (t *txn) Changed(text string, args ...any) (int64, error) {
	if err := t.now(); err != nil {
		return 0, err
	}
	n, err := t.c.Change(t.ctx, text, args...)
	t.wrote = true
	return n, err
}

// Query reads what the transaction sees.
func (t *txn) Query(_ context.Context, text string, each func(r database.Row) error, args ...any) error {
	if err := t.now(); err != nil {
		return err
	}
	return t.c.Query(t.ctx, text, each, args...)
}

// Number reads one integer.
func (t *txn) Number(_ context.Context, text string, args ...any) (n int64, err error) {
	if err := t.now(); err != nil {
		return 0, err
	}
	return t.c.Number(t.ctx, text, args...)
}

// leasedRows are waiting deliveries with what Settle needs of them, locked in order.
const leasedRows = "SELECT " + stored.StateColumns + ` FROM delivery d JOIN message m ON m.seq = d.id >> 20
	WHERE d.id = ANY(?::bigint[]) AND d.state <= 2 ORDER BY d.id FOR UPDATE OF d`

// look reads what was wanted.
func (t *txn) look() error {
	var b postgres.Batch
	asks := len(t.leases) > 0 && !t.recall()
	if len(t.locks)+len(t.keys)+len(t.bodies)+t.messages == 0 && !asks {
		return nil
	}
	t.begin(&b)
	if t.fenced {
		b.Add(pgnodes.Fence, func(r database.Row) error {
			t.leased, t.flaw = true, postgres.ServerSound(r, 0)
			return nil
		}, t.s.cfg.Session)
	}
	if asks {
		t.rows = make(map[queue.DeliveryID]*deliveryRow, len(t.leases))
		ids := make([]int64, len(t.leases))
		for i, l := range t.leases {
			ids[i] = int64(l.Delivery)
		}
		b.Add(leasedRows, t.takeRow, ids)
		// Only now: who took a lease over had its delivery locked.
		b.Add("SELECT delivery, token FROM lease WHERE delivery = ANY(?::bigint[])", func(r database.Row) error {
			if d := t.rows[queue.DeliveryID(r.Int(0))]; d != nil {
				d.token, d.leased = r.Int(1), true
			}
			return nil
		}, ids)
	}
	if len(t.keys) > 0 {
		t.known = map[queue.SiteKey]bool{}
		b.Add("SELECT key FROM site WHERE key = ANY(?::text[])", func(r database.Row) error {
			t.known[queue.SiteKey(r.Text(0))] = true
			return nil
		}, t.keys)
	}
	if len(t.bodies) > 0 {
		t.drafts = map[string]written{}
		b.Add(`SELECT body::text, (SELECT count(*) FROM chunk c WHERE c.body = d.body),
			(SELECT coalesce(sum(length(data)), 0)::bigint FROM chunk c WHERE c.body = d.body)
			FROM draft d WHERE body::text = ANY(?::text[]) FOR UPDATE`, func(r database.Row) error {
			t.drafts[r.Text(0)] = written{r.Int(1), r.Int(2)}
			return nil
		}, t.bodies)
	}
	if t.messages > 0 {
		b.Add("SELECT nextval('message_seq') FROM generate_series(1, ?::bigint)", func(r database.Row) error {
			t.seqs = append(t.seqs, r.Int(0))
			return nil
		}, int64(t.messages))
	}
	return t.c.Send(t.ctx, &b)
}

func (t *txn) takeRow(r database.Row) error {
	rec, err := stored.Scan(r)
	if err == nil {
		t.rows[rec.ID] = &deliveryRow{Delivery: rec.Delivery, site: rec.SiteID, facts: rec.Facts}
	}
	return err
}

// held checks leases that were looked up.
func (t *txn) held(leases []queue.Lease) error {
	return queue.AllHeld(leases, func(l queue.Lease) bool {
		d := t.rows[l.Delivery]
		return d != nil && d.leased && d.token == l.Token && !d.ended
	})
}

// commit carries out the plan, lets the writer's row tell of it, and commits.
func (t *txn) commit() error {
	var b postgres.Batch
	t.begin(&b)
	// Where only leases are given the writer's row need not tell of it, so that a claim that finds nothing writes
	// nothing.
	t.leasing = !t.wrote && t.plan.onlyClaims()
	if len(t.unheard) > 0 {
		b.Add("DELETE FROM lease WHERE owner = ? AND batch = ANY(?::bigint[])", nil, t.s.owner, t.unheard)
	}
	if err := t.flush(&b); err != nil {
		return err
	}
	if !t.leasing {
		t.finish(&b)
	}
	b.Add("COMMIT", nil)
	t.committing = true
	if err := t.c.Send(t.ctx, &b); err != nil {
		return err
	}
	t.unheard = nil
	if len(t.sites) > sitesKept {
		clear(t.sites)
	}
	return nil
}

// sitesKept bounds a writer's memory of sites.
const sitesKept = 8192

// doomed is how long the chunks of a message that ended are kept for those who are reading them.
const doomed = 10 * time.Minute

// finish adds the statement that counts ended deliveries down in their messages, drops the bodies of those that have
// none left, and writes the row of this writer.
func (t *txn) finish(b *postgres.Batch) {
	seqs, counts := make([]int64, 0, len(t.ends)), make([]int64, 0, len(t.ends))
	for _, seq := range sorted(t.ends) {
		seqs, counts = append(seqs, seq), append(counts, t.ends[seq])
	}
	row := append(append([]any{t.id, t.number}, t.states.Values()...), t.bodyBytes)
	if len(seqs) == 0 {
		b.Add("INSERT INTO writer ("+pgtables.WriterColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"+tellRow, nil, row...)
		return
	}
	b.Add(`WITH ended AS MATERIALIZED (SELECT * FROM unnest(?1::bigint[], ?2::bigint[]) u(seq, n) ORDER BY 1),
		closed AS (UPDATE message m SET open = m.open - e.n FROM ended e WHERE m.seq = e.seq RETURNING m.seq, m.open, m.size, m.file),
		gone AS (DELETE FROM body b USING closed c WHERE c.open = 0 AND b.seq = c.seq),
		doomed AS (INSERT INTO draft (body, owner, until) SELECT file::bigint, 0, now() + ?3::bigint * interval '1 second'
			FROM closed WHERE open = 0 AND file IS NOT NULL)
		INSERT INTO writer (`+pgtables.WriterColumns+`)
		VALUES (?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11::bigint - (SELECT coalesce(sum(size), 0)::bigint FROM closed WHERE open = 0))`+
		tellRow, nil, append([]any{seqs, counts, int64(doomed / time.Second)}, row...)...)
}

// tellRow adds to the row of a writer, where there is one, and so does addCounts.
const (
	tellRow   = " ON CONFLICT (id) DO UPDATE SET number = excluded.number, seen = now(), " + addCounts
	addCounts = `queued = writer.queued + excluded.queued, held = writer.held + excluded.held,
	delivered = writer.delivered + excluded.delivered, failed = writer.failed + excluded.failed,
	cancelled = writer.cancelled + excluded.cancelled, body_bytes = writer.body_bytes + excluded.body_bytes`
)

// notHere is the error of a body that is not, or not wholly, where it was written.
func notHere(id queue.ID) error {
	return fmt.Errorf("pgstore: the body of message %s is not in the database any more; it was swept away, or the "+
		"database is another", id)
}
