package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"modernc.org/sqlite"

	"postern/internal/queue"
)

// conn is one SQLite connection with its prepared statements. It belongs to one goroutine at a time.
//
// It stands directly on the driver: what database/sql adds is a pool and conversions, and the writer needs neither.
type conn struct {
	raw   driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue // reused
}

// dial opens a connection to the file and runs the set-up statements.
func dial(file string, setup ...string) (*conn, error) {
	connector, err := sqlite.NewConnector(file)
	if err != nil {
		return nil, err
	}
	raw, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, stmts: map[string]driver.Stmt{}}
	for _, text := range setup {
		if err := c.script(text); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	return c, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// script runs one or more statements that are not worth preparing.
func (c *conn) script(text string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

func (c *conn) prepare(text string) (driver.Stmt, error) {
	if s := c.stmts[text]; s != nil {
		return s, nil
	}
	s, err := c.raw.Prepare(text)
	if err == nil {
		c.stmts[text] = s
	}
	return s, err
}

// bind collects arguments: int64, string, []byte and nil.
func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a statement that returns no rows; the text is prepared once and must be constant.
func (c *conn) exec(text string, args ...any) error {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	return err
}

// changed is exec that also tells how many rows changed.
func (c *conn) changed(text string, args ...any) (int64, error) {
	s, err := c.prepare(text)
	if err != nil {
		return 0, err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// errStop ends query early without an error.
var errStop = errors.New("stop")

// query calls each for every row. The row is reused for the next; what each keeps it copies out of the slice. The
// connection must not be used for the same text inside each.
func (c *conn) query(ctx context.Context, text string, each func(r row) error, args ...any) (err error) {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	r := make(row, len(rows.Columns()))
	for {
		if err := rows.Next(r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(r); err == errStop {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// number runs a query for one integer; NULL and no row are 0.
func (c *conn) number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = c.query(ctx, text, func(r row) error {
		n = r.int(0)
		return errStop
	}, args...)
	return n, err
}

// row is one result row. The accessors read NULL as the zero value.
type row []driver.Value

func (r row) int(i int) int64 {
	n, _ := r[i].(int64)
	return n
}

func (r row) text(i int) string {
	s, _ := r[i].(string)
	return s
}

func (r row) bytes(i int) []byte {
	b, _ := r[i].([]byte)
	return b
}

func (r row) time(i int) time.Time {
	if us, ok := r[i].(int64); ok {
		return time.UnixMicro(us).UTC()
	}
	return time.Time{}
}

// stamp is a time as a column value.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// Result codes of SQLite that decide what becomes of the handle (https://www.sqlite.org/rescode.html).
const (
	codeBusy       = 5
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCannotOpen = 14
	codeConstraint = 19
	codeNotADB     = 26
)

// primary returns the primary result code of a SQLite error, 0 for any other error.
func primary(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// translate gives a write error its meaning for callers. What SQLite could not read or write leaves the state on disk
// unknown: the handle is finished.
func translate(err error) error {
	switch primary(err) {
	case codeFull:
		return fmt.Errorf("%w (SQLite result %s)", queue.ErrFull, code(err))
	case codeCorrupt, codeNotADB:
		return fmt.Errorf("%w: %w: queue.db does not hold together (SQLite result %s)", queue.ErrBroken, queue.ErrDamaged, code(err))
	case codeIO, codeCannotOpen, codeReadOnly:
		return fmt.Errorf("%w (SQLite result %s)", queue.ErrBroken, code(err))
	}
	return err
}

func code(err error) string {
	var e *sqlite.Error
	errors.As(err, &e)
	return strconv.Itoa(e.Code())
}
