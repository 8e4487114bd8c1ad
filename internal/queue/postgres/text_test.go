package postgres

import (
	"bytes"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"postern/internal/queue"
)

func TestNumbered(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1":                             "SELECT 1",
		"a = ? AND b IN (?, ?)":                "a = $1 AND b IN ($2, $3)",
		"?1 = 0 OR number < ?1 LIMIT ?2":       "$1 = 0 OR number < $1 LIMIT $2",
		"?11::bigint - ?2":                     "$11::bigint - $2",
		"replace(?, '?', '''?''') || ?":        "replace($1, '?', '''?''') || $2",
		`SELECT "odd?" FROM x WHERE y LIKE ?`:  `SELECT "odd?" FROM x WHERE y LIKE $1`,
		"split_part(?, '@', -1) = ANY(?::t[])": "split_part($1, '@', -1) = ANY($2::t[])",
	} {
		if got := numbered(text); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

// TestColumns: the binary form of an array, as the server's documentation of array_recv has it: dimensions, NULLs, type,
// length, lower bound; and each element with its length, -1 for NULL.
func TestColumns(t *testing.T) {
	args, err := Columns("itb", [][]any{{int64(1), "ab", []byte{9}}, {nil, "", []byte(nil)}})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{
		{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255},
		{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 'a', 'b', 0, 0, 0, 0},
		{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 9, 0, 0, 0, 0},
	}
	for i, arg := range args {
		got, err := encode(typeOf(arg), arg)
		if err != nil || !bytes.Equal(got, want[i]) {
			t.Errorf("column %d is %v (%v), want %v", i, got, err, want[i])
		}
	}
	for name, rows := range map[string][][]any{"a short row": {{int64(1), "x"}}, "a number among texts": {{int64(1), int64(2), []byte{}}},
		"what is none of them": {{1.5, "x", []byte{}}}} {
		if _, err := Columns("itb", rows); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestArgumentsFitOrAreRefused(t *testing.T) {
	for _, tt := range []struct {
		oid  uint32
		arg  any
		want []byte
	}{
		{int4OID, int64(-2), []byte{255, 255, 255, 254}},
		{int2OID, int64(3), []byte{0, 3}},
		{int4OID, int64(1) << 40, nil},
		{int2OID, int64(1) << 20, nil},
		{textOID, int64(1), nil},
		{int8List, []int64(nil), nil},
		{textOID, 1, nil},
	} {
		got, err := encode(tt.oid, tt.arg)
		if !bytes.Equal(got, tt.want) || (err == nil) != (tt.want != nil || tt.oid == int8List) {
			t.Errorf("%v for type %d became %v, %v", tt.arg, tt.oid, got, err)
		}
	}
}

func TestCodes(t *testing.T) {
	server := func(code, severity string) error { return &pgconn.PgError{Code: code, Severity: severity} }
	if err := Translate(server("53100", "ERROR")); !errors.Is(err, queue.ErrFull) {
		t.Errorf("a full disk is %v", err)
	}
	if err := Translate(server("XX001", "ERROR")); !errors.Is(err, queue.ErrDamaged) {
		t.Errorf("a broken page is %v", err)
	}
	for _, tt := range []struct {
		err        error
		busy, lost bool
	}{
		{server("40P01", "ERROR"), true, false},
		{server("55P03", "ERROR"), true, false},
		{server("23505", "ERROR"), false, false},
		{server("57P01", "FATAL"), false, true}, // the server ends
		{server("57P03", "FATAL"), false, true}, // the server begins
		{server("25006", "ERROR"), false, true}, // a standby, after a failover
		{server("25P03", "FATAL"), false, true}, // idle in a transaction for too long
		{errors.New("other"), false, false},
	} {
		if Busy(tt.err) != tt.busy || Lost(tt.err) != tt.lost {
			t.Errorf("%v: busy %v, lost %v", tt.err, Busy(tt.err), Lost(tt.err))
		}
	}
}

// TestParse: settings of ours stand beside those of the address, and no error shows the password.
func TestParse(t *testing.T) {
	c, err := Parse("postgres://u:secret@db1,db2:5433/mail?sslmode=disable&application_name=gw7", "s", 4)
	if err != nil {
		t.Fatal(err)
	}
	params := c.parsed.ConnConfig.RuntimeParams
	if len(params) != 2 || params["application_name"] != "gw7" || params["client_encoding"] != "UTF8" {
		t.Errorf("a pooler would refuse the parameters %v", params)
	}
	if c.settings["search_path"] != `"s"` || c.settings["enable_seqscan"] != "off" {
		t.Errorf("settings are %v", c.settings)
	}
	chosen, err := Parse("postgres://u@db/mail?enable_seqscan=on&search_path=other", "s", 4)
	if err != nil || chosen.settings["enable_seqscan"] != "" || chosen.settings["search_path"] != `"s"` ||
		len(chosen.parsed.ConnConfig.RuntimeParams) != 3 {
		t.Errorf("%v, %v, %v", chosen.settings, chosen.parsed.ConnConfig.RuntimeParams, err)
	}
	if c.parsed.ConnConfig.ValidateConnect == nil {
		t.Error("of two hosts any is taken, a standby too")
	}
	if loose := c.Loose().settings["synchronous_commit"]; loose != "off" || c.settings["synchronous_commit"] != "" {
		t.Errorf("synchronous_commit is %q and %q", loose, c.settings["synchronous_commit"])
	}
	for _, address := range []string{"postgres://u:secret@db1:port/mail", "host=db1 password=secret sslmode=perhaps",
		"postgres://u:A/secret@db", "postgres://u:12/secret@db", "postgres://u:A?secret@db", "postgres://u:12?secret@db",
		"postgres://u:A#secret@db", "postgres://u:sec%ret@db/secret?sslmode=perhaps", "postgres://u:secret@db?sslmode=perhaps"} {
		if _, err := Parse(address, "s", 4); err == nil || bytes.Contains([]byte(err.Error()), []byte("secret")) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
