package pgtables

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/storecopy"
	"postern/internal/queue/stored"
)

// Side is the store as storecopy sees it. Use OpenSide.
type Side struct {
	parsed        *postgres.Config
	c             *postgres.Conn
	schema, named string
}

var _ storecopy.Side = (*Side)(nil)

// OpenSide opens a database for a copy, whatever its standing is, making the tables if there are none. Named is its
// address for people. It answers queue.ErrInUse while another process copies it, and the other errors that opening the
// store has. The role must own the schema; "" is Schema.
func OpenSide(ctx context.Context, url, schema, named string) (*Side, error) {
	if schema == "" {
		schema = Schema
	}
	parsed, err := postgres.Parse(url, schema, 1)
	if err != nil {
		return nil, err
	}
	s := &Side{parsed: parsed, schema: schema, named: named}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// connect makes the connection, if there is none that can be used.
func (s *Side) connect(ctx context.Context) (err error) {
	if s.c != nil && !s.c.Dead() {
		return nil
	}
	if s.c, err = postgres.Dial(ctx, s.parsed); err != nil {
		s.c = nil
		return err
	}
	if err = s.open(ctx); err != nil {
		err = errors.Join(postgres.Translate(err), s.c.Close())
	}
	return err
}

func (s *Side) open(ctx context.Context) error {
	if err := postgres.AssertSession(ctx, s.parsed, s.c); err != nil {
		return err
	}
	if _, err := postgres.AssertDurable(ctx, s.c); err != nil {
		return err
	}
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	err := s.c.Script(ctx, "SET postern.copy = 'on'")
	if err == nil {
		err = Migrate(ctx, s.c, s.schema)
	}
	return err
}

// takeTurn keeps other copies out. A server may need a moment until it notices that our own connection before was cut,
// or that of a process that was killed.
func (s *Side) takeTurn(ctx context.Context) error {
	for begun := time.Now(); ; {
		alone, err := s.c.Number(ctx, "SELECT pg_try_advisory_lock(?::bigint::integer, hashtext(?))::integer",
			int64(lockCopy), s.schema)
		if err != nil || alone != 0 {
			return err
		}
		if time.Since(begun) > turnPatience {
			return fmt.Errorf("%w: another process copies %s", queue.ErrInUse, s.named)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(turnAgain):
		}
	}
}

// How long a copy waits for another that may have ended a moment ago, and how often it asks.
const (
	turnPatience = 2 * time.Second
	turnAgain    = 50 * time.Millisecond
)

// Named is the address.
func (s *Side) Named() string { return s.named }

// Close ends the connection.
func (s *Side) Close() error {
	if s.c == nil {
		return nil
	}
	return s.c.Close()
}

// Standing reads it.
func (s *Side) Standing(ctx context.Context) (storecopy.Standing, error) {
	out, err := readStanding(ctx, s.c, s.schema)
	return out, postgres.Translate(err)
}

// Stand writes it and makes or removes the triggers, in one transaction. Making one waits for whoever is changing the
// table, so that whatever is found afterwards stays so. A connection that was cut, by the end of a context for one, is
// made anew for it.
func (s *Side) Stand(ctx context.Context, to storecopy.Standing) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if to.Word != "" { // a gateway that runs is not to wait for locks that it will not give
		if err := s.unused(ctx); err != nil {
			return err
		}
	}
	script := []string{"CREATE TABLE IF NOT EXISTS standing" +
		" (word text NOT NULL, id text NOT NULL, other text NOT NULL, named text NOT NULL)",
		"GRANT SELECT ON standing TO PUBLIC", "DELETE FROM standing"}
	if to.Word == "" {
		script = append(script, "DROP FUNCTION IF EXISTS closed() CASCADE")
	} else {
		script = append(script, gate)
		for table := range strings.FieldsSeq(closedTables) {
			script = append(script, "CREATE OR REPLACE TRIGGER closed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE"+
				" ON "+table+" FOR EACH STATEMENT EXECUTE FUNCTION closed()")
		}
	}
	return s.within(ctx, func() error {
		if err := s.c.Script(ctx, strings.Join(script, ";\n")); err != nil {
			return err
		}
		if to.Word != "" {
			if err := s.unused(ctx); err != nil {
				return err
			}
		}
		// What runs out now must not come back.
		if _, err := s.c.Change(ctx, "DELETE FROM lease"); err != nil {
			return err
		}
		_, err := s.c.Change(ctx, storecopy.InsertStanding, to.Values()...)
		return err
	})
}

// unused wants no gateway to run, and nothing to be under way.
func (s *Side) unused(ctx context.Context) error {
	var names []string
	err := s.c.Query(ctx, "SELECT name FROM node WHERE until > clock_timestamp() ORDER BY name LIMIT 10",
		func(r database.Row) error {
			names = append(names, r.Text(0))
			return nil
		})
	if err != nil {
		return postgres.Translate(err)
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: gateways use %s: %s", queue.ErrInUse, s.named, strings.Join(names, ", "))
	}
	left, err := s.c.Number(ctx, "SELECT ceil(max(until) / 1000000.0 - extract(epoch FROM "+
		"clock_timestamp()))::bigint FROM lease")
	if err == nil && left > 0 {
		err = fmt.Errorf("%w: a gateway of %s ended while it was sending, and others are to wait for it for "+
			"another %d s", queue.ErrInUse, s.named, left)
	}
	return postgres.Translate(err)
}

// within makes changes in one transaction.
func (s *Side) within(ctx context.Context, do func() error) error {
	err := s.c.Script(ctx, "BEGIN")
	if err == nil {
		err = do()
	}
	if err == nil {
		err = s.c.Script(ctx, "COMMIT")
	}
	if err != nil && !s.c.Dead() {
		err = errors.Join(err, s.c.Script(context.WithoutCancel(ctx), "ROLLBACK"))
	}
	return postgres.Translate(err)
}

// Query reads.
func (s *Side) Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) error {
	return postgres.Translate(s.c.Query(ctx, text, each, args...))
}

// Replace stores rows. Large bodies that their messages do not name any more go.
func (s *Side) Replace(ctx context.Context, t *storecopy.Table, in storecopy.Span, rows [][]any) error {
	where, args := t.Where(in)
	var gone, kept []string
	if file := t.File(); file >= 0 {
		for _, row := range rows {
			if name, has := row[file].(string); has {
				kept = append(kept, name)
			}
		}
		if err := s.Query(ctx, "SELECT file FROM "+t.Name+where, func(r database.Row) error {
			if name := r.Text(0); name != "" {
				gone = append(gone, name)
			}
			return nil
		}, args...); err != nil {
			return err
		}
	}
	return s.within(ctx, func() error {
		if _, err := s.c.Change(ctx, "DELETE FROM "+t.Name+where, args...); err != nil {
			return err
		}
		if err := s.insert(ctx, t, rows); err != nil {
			return err
		}
		if len(gone) > 0 {
			if _, err := s.c.Change(ctx, "DELETE FROM chunk WHERE body = ANY(?1::text[]::bigint[])"+
				" AND NOT body = ANY(?2::text[]::bigint[])", gone, append([]string{}, kept...)); err != nil {
				return err
			}
		}
		if len(kept) > 0 {
			_, err := s.c.Change(ctx, "DELETE FROM draft WHERE body = ANY(?::text[]::bigint[])", kept)
			return err
		}
		return nil
	})
}

// insert adds rows with one statement.
func (s *Side) insert(ctx context.Context, t *storecopy.Table, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	if t.Name == "wish" {
		return s.insertWishes(ctx, rows)
	}
	lists := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		lists[i] = "?::" + map[byte]string{'i': "bigint", 't': "text", 'b': "bytea"}[c.Type] + "[]"
	}
	args, err := postgres.Columns(t.Types(), rows)
	if err != nil {
		return err
	}
	_, err = s.c.Change(ctx, "INSERT INTO "+t.Name+" ("+t.Names()+") OVERRIDING SYSTEM VALUE SELECT * FROM unnest("+
		strings.Join(lists, ", ")+")", args...)
	return err
}

// insertWishes adds what is wished of deliveries, which are there, and whether it takes them back.
func (s *Side) insertWishes(ctx context.Context, rows [][]any) error {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row[0].(int64)
	}
	withdraws := map[int64]int64{}
	err := s.c.Query(ctx, "SELECT id, facts FROM delivery WHERE id = ANY(?::bigint[])", func(r database.Row) error {
		w, err := stored.WishIn(r.Text(1))
		withdraws[r.Int(0)] = stored.Flag(w.Withdraws())
		return err
	}, ids)
	if err != nil {
		return err
	}
	flags := make([]int64, len(ids))
	for i, id := range ids {
		flags[i] = withdraws[id]
	}
	_, err = s.c.Change(ctx, "INSERT INTO wish (delivery, withdraws)"+
		" SELECT id, w = 1 FROM unnest(?::bigint[], ?::bigint[]) u(id, w)", ids, flags)
	return err
}

// Body reads a large body chunk by chunk.
func (s *Side) Body(ctx context.Context, file string) (io.ReadCloser, error) {
	body, err := strconv.ParseInt(file, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: a body with the number %q", queue.ErrDamaged, file)
	}
	r := &chunks{s: s, ctx: ctx, body: body, n: -1}
	if err := r.next(); err == io.EOF {
		return nil, fs.ErrNotExist
	} else if err != nil {
		return nil, err
	}
	return r, nil
}

// chunks is a large body that is read.
type chunks struct {
	s    *Side
	ctx  context.Context // of Body
	body int64
	n    int64 // the chunk in buf
	buf  []byte
	data []byte // what of buf is still to be read
}

func (r *chunks) next() error {
	found := false
	err := r.s.Query(r.ctx, "SELECT n, data FROM chunk WHERE body = ? AND n > ? ORDER BY n LIMIT 1",
		func(row database.Row) error {
			r.n, r.buf, found = row.Int(0), append(r.buf[:0], row.Bytes(1)...), true
			r.data = r.buf
			return nil
		}, r.body, r.n)
	if err == nil && !found {
		err = io.EOF
	}
	return err
}

// Read reads from the chunk, or from the next.
func (r *chunks) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// Close does nothing.
func (r *chunks) Close() error { return nil }

// PutBody writes chunks. They need not be durable before the message that has them: its commit makes them so. Until
// then a draft names them, which Finish would sweep away.
func (s *Side) PutBody(ctx context.Context, from io.Reader) (string, error) {
	body, err := s.c.Number(ctx, "INSERT INTO draft (body, owner, until) VALUES (nextval('body_number'), 0, now()) "+
		"RETURNING body")
	if err != nil || from == nil {
		return strconv.FormatInt(body, 10), postgres.Translate(err)
	}
	const loosely = "SELECT set_config('postern.commit', current_setting('synchronous_commit'), false)," +
		" set_config('synchronous_commit', 'off', false)"
	if err := s.c.Script(ctx, loosely); err != nil {
		return "", err
	}
	buf := make([]byte, ChunkSize)
	for n := int64(0); err == nil; n++ {
		var k int
		if k, err = io.ReadFull(from, buf); k > 0 {
			if _, e := s.c.Change(ctx, "INSERT INTO chunk (body, n, data) VALUES (?, ?, ?)", body, n,
				buf[:k]); e != nil {
				err = e
			}
		}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return strconv.FormatInt(body, 10), postgres.Translate(
		errors.Join(err, s.c.Script(ctx, "SELECT set_config('synchronous_commit',"+
			" current_setting('postern.commit'), false)")))
}

// Order asks the sequence, and the row of totals.
func (s *Side) Order(ctx context.Context) (last, dayKeys int64, err error) {
	err = s.Query(ctx, "SELECT CASE WHEN q.is_called THEN q.last_value ELSE 0 END, t.day_keys FROM message_seq q, "+
		"totals t", func(r database.Row) error {
		last, dayKeys = r.Int(0), r.Int(1)
		return nil
	})
	return last, dayKeys, err
}

// Finish counts, and sets the sequences behind what was copied.
func (s *Side) Finish(ctx context.Context, n *storecopy.Counts) error {
	return s.within(ctx, func() error {
		for _, one := range []struct {
			text string
			args []any
		}{
			{"WITH gone AS (DELETE FROM draft RETURNING body)" +
				" DELETE FROM chunk USING gone WHERE chunk.body = gone.body", nil},
			{"DELETE FROM writer", nil},
			{"INSERT INTO writer (" + WriterColumns + ") VALUES (0, 0, ?, ?, ?, ?, ?, ?)",
				append(n.States.Values(), n.BodyBytes)},
			{"UPDATE totals SET skew = ?, day_keys = ?, indexed = 0", []any{n.Skew, n.DayKeys}},
			{"SELECT setval('message_seq', greatest(?1, 1), ?1 > 0)", []any{n.LastSeq}},
			{"SELECT setval(pg_get_serial_sequence('site', 'id'), greatest(max(id), 1), max(id) IS NOT NULL) FROM site",
				nil},
			{"SELECT setval(pg_get_serial_sequence('entry', 'id'), greatest(max(id), 1), max(id) IS NOT NULL)" +
				" FROM entry", nil},
		} {
			if _, err := s.c.Change(ctx, one.text, one.args...); err != nil {
				return err
			}
		}
		return nil
	})
}
