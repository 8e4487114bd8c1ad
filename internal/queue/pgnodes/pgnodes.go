package pgnodes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/platform/pause"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/storeclock"
)

// Fence locks the row of a session whose lease runs. Where it finds no row, nothing may be accepted. The row is
// postgres.ServerColumns, since it is asked for all that is accepted.
const Fence = "SELECT " + postgres.ServerColumns +
	" FROM node WHERE session = ? AND until > clock_timestamp() FOR KEY SHARE"

// channel is what is notified of.
const channel = "postern_nodes"

// Registry implements nodes.Registry. Use New. Safe for concurrent use.
type Registry struct {
	cfg    *postgres.Config
	knows  int // forms of the tables
	renews line
	asks   line
	clock  storeclock.Clock
}

// New returns a Registry on the tables of a database, which are there, for a release that knows so many forms of them.
// It connects when it is asked.
func New(cfg *postgres.Config, knows int) *Registry {
	return &Registry{cfg: cfg, knows: knows, renews: line{cfg: cfg}, asks: line{cfg: cfg}}
}

var _ nodes.Registry = (*Registry)(nil)

// Close ends the connections.
func (r *Registry) Close() error { return errors.Join(r.renews.close(), r.asks.close()) }

// line is a connection that is made when it is needed, and again after it was lost.
type line struct {
	cfg *postgres.Config
	mu  sync.Mutex // guards what follows
	c   *postgres.Conn
}

// patience bounds what is asked: whoever asks may have the time, but all others wait behind a connection that hangs.
const patience = 8 * time.Second

// with lends the connection; after an error it is given up, so that nothing of before is left on it. A lease that ended
// is none: there may be no other connection to get.
func (l *line) with(ctx context.Context, do func(ctx context.Context, c *postgres.Conn) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again, err := l.once(ctx, do)
	if again && ctx.Err() == nil { // nothing of what is asked does more when it is done twice
		_, err = l.once(ctx, do)
	}
	return err
}

// once is with, and reports besides whether a connection from before was lost and had answered nothing.
func (l *line) once(ctx context.Context, do func(ctx context.Context, c *postgres.Conn) error) (bool, error) {
	fresh := l.c == nil || l.c.Dead()
	if fresh {
		c, err := postgres.Dial(ctx, l.cfg)
		if err != nil {
			return false, err
		}
		l.c = c
	}
	unheard, err := l.c.Unheard(func(c *postgres.Conn) error { return do(ctx, c) })
	if err != nil && !errors.Is(err, nodes.ErrEnded) {
		if flaw := l.c.Sound(); errors.Is(flaw, postgres.ErrReadOnly) {
			err = flaw
		}
		_ = l.c.Close() // the error is told already
		l.c = nil
	}
	return unheard && !fresh, err
}

func (l *line) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c == nil {
		return nil
	}
	err := l.c.Close()
	l.c = nil
	return err
}

// span is a duration as the statements take it.
func span(d time.Duration) int64 { return d.Microseconds() }

const (
	// prolong is Renew of a lease that runs, or of any where it is begun anew.
	prolong = `UPDATE node SET name = ?2, release = ?3, api = ?4, lease = ?5, renewed = statement_timestamp(),
		until = statement_timestamp() + ?5::bigint * interval '1 microsecond', rules = greatest(rules, ?6), number = greatest(number, ?7),
		latency = ?8, held = ?9 WHERE session = ?1 AND (?10::boolean OR until > clock_timestamp())`
	begin = `INSERT INTO node (session, name, release, api, joined, lease, renewed, until, rules, number, latency, held)
		VALUES (?1, ?2, ?3, ?4, statement_timestamp(), ?5, statement_timestamp(), statement_timestamp() + ?5::bigint * interval '1 microsecond',
			?6, ?7, ?8, ?9) ON CONFLICT (session) DO NOTHING`
	// forget drops whom nobody needs to know any more.
	forget = `DELETE FROM node WHERE session <> ?1 AND until <= clock_timestamp()
		AND (name = ?2 OR until <= clock_timestamp() - ?3::bigint * interval '1 microsecond')`
	newest = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, (SELECT coalesce(max(number), 0) FROM revision),
		(SELECT coalesce(max(number), 0) FROM mark), count(*), count(*) FILTER (WHERE session < ?1),
		(SELECT coalesce(max(form), 0) FROM form), (SELECT coalesce(max(needs), 0) FROM form)
		FROM node WHERE until > clock_timestamp()`
)

// Renew prolongs a lease, or begins it.
func (r *Registry) Renew(ctx context.Context, p nodes.Report) (a nodes.Answer, err error) {
	args := []any{p.Session, p.Name, p.Release, p.API, span(p.Lease), p.InForce.Rules, p.InForce.Number,
		span(p.Latency), int64(p.Held)}
	err = r.renews.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		n, err := c.Change(ctx, prolong, append(args, p.Anew)...)
		if err != nil {
			return err
		}
		if n == 0 && !p.Anew {
			return nodes.ErrEnded
		}
		if n == 0 { // the session begins
			if _, err := c.Change(ctx, forget, p.Session, p.Name, span(nodes.Forgotten)); err != nil {
				return err
			}
			if _, err := c.Change(ctx, begin, args...); err != nil {
				return err
			}
		}
		asked := time.Now()
		return c.Query(ctx, newest, func(row database.Row) error {
			if err := postgres.Newer(int(row.Int(5)), int(row.Int(6)), r.knows); err != nil {
				return fmt.Errorf("%w: %w", nodes.ErrOutdated, err)
			}
			a = nodes.Answer{Now: row.Time(0), Newest: nodes.Mark{Rules: row.Int(1), Number: row.Int(2)},
				Live: int(row.Int(3)), Rank: int(row.Int(4))}
			r.clock.Heard(a.Now, asked)
			return nil
		}, p.Session)
	})
	return a, err
}

// Leave ends a lease.
func (r *Registry) Leave(ctx context.Context, session string) error {
	return r.renews.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		_, err := c.Change(ctx, "UPDATE node SET until = clock_timestamp()"+
			" WHERE session = ? AND until > clock_timestamp()", session)
		return err
	})
}

const (
	// settle waits for what is being accepted under leases that have ended.
	settle = "SELECT session FROM node WHERE until <= clock_timestamp() ORDER BY session FOR UPDATE"
	list   = `SELECT session, name, release, api, lease, rules, number, latency, held,
		(extract(epoch FROM joined) * 1000000)::bigint, (extract(epoch FROM renewed) * 1000000)::bigint,
		(extract(epoch FROM until) * 1000000)::bigint FROM node ORDER BY name, joined, session`
	clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
)

// Nodes lists them. That a lease has ended is true of every one that is listed so: the moment of the list is before the
// question for ended leases.
func (r *Registry) Nodes(ctx context.Context) (roll nodes.Roll, err error) {
	err = r.asks.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		now, err := c.Number(ctx, clock)
		if err != nil {
			return err
		}
		if err := c.Query(ctx, settle, func(database.Row) error { return nil }); err != nil {
			return err
		}
		roll = nodes.Roll{Now: time.UnixMicro(now).UTC()}
		return c.Query(ctx, list, func(row database.Row) error {
			roll.Nodes = append(roll.Nodes, nodes.Entry{
				Report: nodes.Report{Session: row.Text(0), Name: row.Text(1), Release: row.Text(2), API: row.Text(3),
					Lease:   time.Duration(row.Int(4)) * time.Microsecond,
					InForce: nodes.Mark{Rules: row.Int(5), Number: row.Int(6)},
					Latency: time.Duration(row.Int(7)) * time.Microsecond, Held: int(row.Int(8))},
				Joined: row.Time(9), Renewed: row.Time(10), Until: row.Time(11)})
			return nil
		})
	})
	return roll, err
}

// Raise makes the newest mark at least m.
func (r *Registry) Raise(ctx context.Context, m nodes.Mark) error {
	return r.asks.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		_, err := c.Change(ctx, `WITH raised AS (INSERT INTO mark (id, number) VALUES (1, ?)
			ON CONFLICT (id) DO UPDATE SET number = greatest(mark.number, excluded.number) RETURNING 1)`+notify+"raised",
			m.Number)
		return err
	})
}

// notify tells all gateways once for each row of what it is followed by.
const notify = " SELECT pg_notify('" + channel + "', '') FROM "

const (
	take = `INSERT INTO turn (name, session, since, until)
		VALUES (?1, ?2, clock_timestamp(), clock_timestamp() + ?3::bigint * interval '1 microsecond')
		ON CONFLICT (name) DO UPDATE SET session = excluded.session, since = excluded.since, until = excluded.until
		WHERE turn.until <= clock_timestamp() OR turn.session = excluded.session
			OR turn.session IS NULL AND ?4::boolean AND turn.since <= clock_timestamp() - ?5::bigint * interval '1 microsecond'`
	// left is for how long nobody can take a turn.
	left = "greatest((extract(epoch FROM until - clock_timestamp()) * 1000000)::bigint, 0)"
)

// Take gives a turn.
func (r *Registry) Take(ctx context.Context, t nodes.Turn) (wait time.Duration, err error) {
	err = r.asks.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		n, err := c.Change(ctx, take, t.Name, t.Session, span(t.For), t.Wake, span(nodes.WakeAfter))
		if err != nil || n > 0 {
			return err
		}
		us, err := c.Number(ctx, "SELECT "+left+" FROM turn WHERE name = ?", t.Name)
		wait = max(time.Duration(us)*time.Microsecond, time.Millisecond) // it was not given
		return err
	})
	return wait, err
}

// Rest has a turn rest.
func (r *Registry) Rest(ctx context.Context, t nodes.Turn) error {
	return r.asks.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		_, err := c.Change(ctx, `INSERT INTO turn (name, session, since, until)
			VALUES (?1, NULL, clock_timestamp(), clock_timestamp() + ?3::bigint * interval '1 microsecond')
			ON CONFLICT (name) DO UPDATE SET session = NULL, since = excluded.since, until = excluded.until
			WHERE turn.session = ?2 OR turn.until <= clock_timestamp()`, t.Name, t.Session, span(t.For))
		return err
	})
}

// Drop removes a turn, and tells all gateways where there was one.
func (r *Registry) Drop(ctx context.Context, name string) error {
	return r.asks.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		_, err := c.Change(ctx, "WITH gone AS (DELETE FROM turn WHERE name = ? RETURNING 1)"+notify+"gone", name)
		return err
	})
}

// Turns returns those that there are.
func (r *Registry) Turns(ctx context.Context, names []string) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	err := r.asks.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		return c.Query(ctx, "SELECT name, "+left+" FROM turn WHERE name = ANY(?::text[])",
			func(row database.Row) error {
				out[row.Text(0)] = time.Duration(row.Int(1)) * time.Microsecond
				return nil
			}, names)
	})
	return out, err
}

// Listen calls told whenever another gateway may have changed something, until ctx ends, and once after each time that
// the line was lost and is there again.
func (r *Registry) Listen(ctx context.Context, told func()) {
	for ctx.Err() == nil {
		if c, err := postgres.Dial(ctx, r.cfg); err == nil {
			if err = listen(ctx, c); err == nil {
				told()
				for err == nil {
					if err = c.Notified(ctx); err == nil {
						told()
					}
				}
			}
			_ = c.Close() // it is of no use any more
		}
		pause.For(ctx, listenAgain)
	}
}

// listen begins to; a server that falls silent is given up.
func listen(ctx context.Context, c *postgres.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return c.Script(ctx, "LISTEN "+channel)
}

// listenAgain is between two tries to listen. Meanwhile renewals tell what is new.
const listenAgain = time.Second
