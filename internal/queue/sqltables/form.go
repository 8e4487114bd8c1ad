package sqltables

import (
	_ "embed"

	"postern/internal/queue/sqlite"
)

// ApplicationID marks a database as ours in its header: "PsTn".
const ApplicationID = 0x5073546e

//go:embed schema.sql
var formOne string

// formTwo remembers peers.
//
//go:embed schema2.sql
var formTwo string

// formThree knows the journal: an older release, which does not, must not open the data.
//
//go:embed schema3.sql
var formThree string

// formFour has other index keys.
//
//go:embed schema4.sql
var formFour string

// formFive keeps accounts, sums of traffic and certificates.
//
//go:embed schema5.sql
var formFive string

// formSix keeps what was wished of deliveries under a lease.
//
//go:embed schema6.sql
var formSix string

// formSeven lets database and journal know each other.
//
//go:embed schema7.sql
var formSeven string

// formEight numbers what mail is judged by.
//
//go:embed schema8.sql
var formEight string

// formNine has the tables that searches of a scope, and of what was not delivered, look into.
//
//go:embed schema9.sql
var formNine string

// formTen keeps what is not mail without knowing what it means.
//
//go:embed schema10.sql
var formTen string

// forms bring a database from one form to the next: entry n makes form n+1. Released entries never change; a new form
// is a new entry, and a fixture of the old one goes to testdata of sqlstore.
func forms() []string {
	return []string{formOne, formTwo, formThree, formFour, formFive, formSix, formSeven, formEight, formNine, formTen}
}

// Newest is the form that Migrate makes.
func Newest() int { return len(forms()) }

// Migrate brings a database to the newest form, whose header has an application ID.
func Migrate(c *sqlite.Conn, mark int64) error { return sqlite.Migrate(c, mark, forms()) }
