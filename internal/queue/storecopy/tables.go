package storecopy

import (
	"strconv"
	"strings"
)

// Column is a column that both engines have.
type Column struct {
	Name string
	Type byte // i is int64, t string, b []byte
	Null bool // it may have no value
	// Own is one whose value means something in its store alone: only whether there is one is compared.
	Own bool
	// Legible is one whose text is compared, and stored, as a column of any engine can hold it.
	Legible bool
}

// Table is a table that both engines have.
type Table struct {
	Name    string
	Columns []Column // the first Key are its key, in the order of which it is copied
	Key     int
	Rows    int // in a portion, at most
	// Anew: from the first row on that is another, everything is. Its rows have a second key that they may exchange.
	Anew bool
}

// Tables are what is copied, in this order: what refers to others comes after them.
func Tables() []Table {
	return []Table{
		table("site", 1, 500, "id:i key:t next_hop:t requirement:t failures:i since:i? retry_at:i? last:t?"),
		table("message", 1, 500, "seq:i id:t accepted:i open:i size:i revision:i file:t?= message_id:i? "+
			"sender:t~ facts:t"),
		table("body", 1, 32, "seq:i data:b"),
		table("delivery", 1, 500, "id:i site:i state:i due:i? deadline:i? expires:i? finished:i? attempts:i "+
			"noticed:i reached:i reason:t recipient:i address:t~ facts:t"),
		table("attempt", 1, 500, "id:i facts:t"),
		table("wish", 1, 500, "delivery:i"),
		table("revision", 1, 16, "number:i text:t applied_at:i? applied_by:t"),
		table("judgement", 1, 1, "id:i number:i rules:i tables:t files:t"),
		table("entry", 1, 500, "id:i at:i? facts:t"),
		table("record", 2, 64, "kind:t key:t idx:t? at:i? version:i value:b"),
		table("counter", 2, 500, "kind:t key:t idx:t? n:i"),
	}
}

// table reads columns: name, type, and ? for Null, = for Own, ~ for Legible.
func table(name string, key, rows int, columns string) Table {
	t := Table{Name: name, Key: key, Rows: rows, Anew: name == "site"}
	for one := range strings.FieldsSeq(columns) {
		name, kind, _ := strings.Cut(one, ":")
		t.Columns = append(t.Columns, Column{Name: name, Type: kind[0], Null: strings.Contains(kind, "?"),
			Own: strings.Contains(kind, "="), Legible: strings.Contains(kind, "~")})
	}
	return t
}

// Names are the columns, parted by commas.
func (t *Table) Names() string { return names(t.Columns) }

// Types has a letter for each column.
func (t *Table) Types() string {
	var out strings.Builder
	for _, c := range t.Columns {
		out.WriteByte(c.Type)
	}
	return out.String()
}

// column is the place of a column, -1 for none.
func (t *Table) column(name string) int {
	for i, c := range t.Columns {
		if c.Name == name {
			return i
		}
	}
	return -1
}

// File is the place of the column that names a large body, -1 where a table has none.
func (t *Table) File() int { return t.column("file") }

func names(columns []Column) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return strings.Join(out, ", ")
}

// Span is rows whose key is behind After and not behind To; nil is no bound.
type Span struct{ After, To []any }

// Where is the condition of a span, with " WHERE " in front, and its arguments.
func (t *Table) Where(in Span) (text string, args []any) {
	key := "(" + names(t.Columns[:t.Key]) + ")"
	for _, one := range []struct {
		is    string
		bound []any
	}{{" > ", in.After}, {" <= ", in.To}} {
		if one.bound == nil {
			continue
		}
		places := make([]string, t.Key)
		for i := range places {
			places[i] = "?" + strconv.Itoa(len(args)+1+i)
		}
		word := " WHERE "
		if text != "" {
			word = " AND "
		}
		text += word + key + one.is + "(" + strings.Join(places, ", ") + ")"
		args = append(args, one.bound...)
	}
	return text, args
}
