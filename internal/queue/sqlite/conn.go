package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"time"

	engine "modernc.org/sqlite"

	"postern/internal/queue/database"
)

// Conn is one SQLite connection with its prepared statements. It belongs to one goroutine at a time.
//
// It stands directly on the driver: what database/sql adds is a pool and conversions, and the writer needs neither.
type Conn struct {
	raw   driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue // reused
}

// Dial opens a connection to the file and runs the set-up statements.
func Dial(file string, setup ...string) (*Conn, error) {
	connector, err := engine.NewConnector(file)
	if err != nil {
		return nil, err
	}
	raw, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	c := &Conn{raw: raw, stmts: map[string]driver.Stmt{}}
	for _, text := range setup {
		if err := c.Script(text); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	return c, nil
}

// Close ends the connection; a transaction that is open is undone.
func (c *Conn) Close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// Script runs one or more statements that are not worth preparing.
func (c *Conn) Script(text string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

func (c *Conn) prepare(text string) (driver.Stmt, error) {
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
func (c *Conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// Exec runs a statement that returns no rows; the text is prepared once and must be constant.
func (c *Conn) Exec(text string, args ...any) error {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	return err
}

// Changed is Exec that also tells how many rows changed.
func (c *Conn) Changed(text string, args ...any) (int64, error) {
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

// Query calls each for every row; see database.Reader.
func (c *Conn) Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) (err error) {
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
	values := make(row, len(rows.Columns()))
	var r database.Row = values // once: each conversion costs memory
	for {
		if err := rows.Next(values); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(r); err == database.ErrStop {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Number runs a query for one integer; NULL and no row are 0.
func (c *Conn) Number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = c.Query(ctx, text, func(r database.Row) error {
		n = r.Int(0)
		return database.ErrStop
	}, args...)
	return n, err
}

// row is one result row. The accessors read NULL as the zero value.
type row []driver.Value

func (r row) Int(i int) int64 {
	n, _ := r[i].(int64)
	return n
}

func (r row) Text(i int) string {
	s, _ := r[i].(string)
	return s
}

func (r row) Bytes(i int) []byte {
	b, _ := r[i].([]byte)
	return b
}

func (r row) Time(i int) time.Time {
	if us, ok := r[i].(int64); ok {
		return time.UnixMicro(us).UTC()
	}
	return time.Time{}
}
