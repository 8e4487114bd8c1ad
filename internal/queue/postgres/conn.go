package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"postern/internal/queue/database"
)

// Conn is one connection with its prepared statements. It belongs to one goroutine at a time.
type Conn struct {
	raw      *pgconn.PgConn
	stmts    map[string]*statement
	session  *session
	answered bool // since it was lent
}

// statement is a prepared text.
type statement struct {
	name string
	oids []uint32
}

// Dial opens a connection of its own, apart from any pool.
func Dial(ctx context.Context, cfg *Config) (*Conn, error) {
	raw, err := pgconn.ConnectConfig(ctx, &cfg.begins().ConnConfig.Config)
	if errors.Is(err, pgconn.ErrReadOnlyConnection) {
		err = fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	if err != nil {
		return nil, away(err)
	}
	return newConn(raw), nil
}

// newConn is the Conn of a connection, which keeps its statements.
func newConn(raw *pgconn.PgConn) *Conn {
	kept := raw.CustomData()
	if c, ok := kept[connKey].(*Conn); ok {
		return c
	}
	c := &Conn{raw: raw, stmts: map[string]*statement{}, session: sessionOf(raw)}
	kept[connKey] = c
	return c
}

// connKey is where a connection keeps its Conn.
const connKey = "postern"

// Close ends the connection; a transaction that is open is undone.
func (c *Conn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.raw.Close(ctx)
}

// Dead reports whether the connection is known to be lost.
func (c *Conn) Dead() bool { return c.raw.IsClosed() }

// Unheard lends the connection for something, and reports besides whether it was lost before it answered any of that.
func (c *Conn) Unheard(do func(c *Conn) error) (bool, error) {
	c.answered = false
	err := do(c)
	return err != nil && !c.answered && (c.Dead() || Lost(err)), err
}

// heard notes what came back of a statement or more.
func (c *Conn) heard(err error) error {
	c.answered = c.answered || !c.Dead() && (err == nil || Code(err) != "" && !Lost(err))
	return err
}

// Script runs statements that are not worth preparing and have no arguments. The error is ErrUnsure as with Change.
func (c *Conn) Script(ctx context.Context, text string) error {
	c.session.warning = ""
	if err := c.heard(c.raw.Exec(ctx, text).Close()); err != nil {
		return err
	}
	return c.sure()
}

// binaryFormat asks for every column, and gives every argument, in binary form.
func binaryFormat() []int16 { return []int16{1} }

// prepare has a text prepared. The types of its arguments are those of args, the first time it is used.
func (c *Conn) prepare(ctx context.Context, text string, args []any) (*statement, error) {
	if s := c.stmts[text]; s != nil {
		return s, nil
	}
	oids := make([]uint32, len(args))
	for i, arg := range args {
		oids[i] = typeOf(arg)
	}
	name := "p" + strconv.Itoa(len(c.stmts))
	d, err := c.raw.Prepare(ctx, name, numbered(text), oids)
	if c.heard(err) != nil {
		return nil, err
	}
	s := &statement{name: name, oids: d.ParamOIDs}
	c.stmts[text] = s
	return s, nil
}

func (s *statement) values(args []any) ([][]byte, error) {
	if len(args) != len(s.oids) {
		return nil, fmt.Errorf("postgres: %d arguments for a statement of %d", len(args), len(s.oids))
	}
	out := make([][]byte, len(args))
	for i, arg := range args {
		var err error
		if out[i], err = encode(s.oids[i], arg); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// run executes a text and calls each, which may be nil, for every row. It returns how many rows were changed or read.
func (c *Conn) run(ctx context.Context, text string, each func(r database.Row) error, args []any) (int64, error) {
	s, err := c.prepare(ctx, text, args)
	if err != nil {
		return 0, err
	}
	values, err := s.values(args)
	if err != nil {
		return 0, err
	}
	c.session.warning = ""
	n, err := c.read(c.raw.ExecPrepared(ctx, s.name, values, binaryFormat(), binaryFormat()), each)
	return n, c.heard(err)
}

// read takes a result to its end. What each does not want any more is read and dropped.
func (c *Conn) read(rr *pgconn.ResultReader, each func(r database.Row) error) (int64, error) {
	var failed error
	for rr.NextRow() {
		c.answered = true
		if each == nil || failed != nil {
			continue
		}
		failed = each(row(rr.Values()))
	}
	tag, err := rr.Close()
	switch {
	case err != nil:
		return 0, err
	case failed != nil && failed != database.ErrStop:
		return 0, failed
	}
	return tag.RowsAffected(), nil
}

// Query calls each for every row; see database.Reader.
func (c *Conn) Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) error {
	_, err := c.run(ctx, text, each, args)
	return err
}

// Number runs a query for one integer; NULL and no row are 0.
func (c *Conn) Number(ctx context.Context, text string, args ...any) (n int64, err error) {
	_, err = c.run(ctx, text, func(r database.Row) error {
		n = r.Int(0)
		return database.ErrStop
	}, args)
	return n, err
}

// Change runs a statement that changes something, and tells of how many rows. The error is ErrUnsure where it is a
// transaction of its own and was committed, and nobody knows how well.
func (c *Conn) Change(ctx context.Context, text string, args ...any) (int64, error) {
	return c.Changed(ctx, text, nil, args...)
}

// Changed is Change of a statement that answers with rows.
func (c *Conn) Changed(ctx context.Context, text string, each func(r database.Row) error, args ...any) (int64, error) {
	n, err := c.run(ctx, text, each, args)
	if err == nil {
		err = c.sure()
	}
	return n, err
}

// row is one result row in binary form. The accessors read NULL as the zero value; an integer may have any width.
type row [][]byte

func (r row) Int(i int) int64 {
	switch b := r[i]; len(b) {
	case 1:
		return int64(b[0])
	case 2:
		return int64(int16(binary.BigEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(b)))
	case 8:
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r row) Text(i int) string { return string(r[i]) }

func (r row) Bytes(i int) []byte { return r[i] }

func (r row) Time(i int) time.Time {
	if r[i] == nil {
		return time.Time{}
	}
	return time.UnixMicro(r.Int(i)).UTC()
}

// Notified waits until somebody notifies of a channel that this connection listens on.
func (c *Conn) Notified(ctx context.Context) error { return c.raw.WaitForNotification(ctx) }
