package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// commitSetting says how durable a commit is before it is answered.
const commitSetting = "synchronous_commit"

// session is what is known of a connection besides what the driver knows.
type session struct {
	found   found
	process uint32 // of the server that answered when it began
	warning string // the last since a statement was sent, "" for none
}

// sessionKey is where a connection keeps it.
const sessionKey = "postern session"

func sessionOf(raw *pgconn.PgConn) *session {
	if s, ok := raw.CustomData()[sessionKey].(*session); ok {
		return s
	}
	return &session{} // unreachable: begin makes it
}

// ErrUnsure: a transaction was committed, and a warning came with that: what waits for synchronous standbys was ended,
// by an administrator for one. It may be on this server alone, so that a failover loses it.
var ErrUnsure = errors.New("postgres: a commit came with a warning, and may have reached no other server")

// heed notes warnings. Their texts are in the language of the server, their severity is not.
func heed(raw *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		sessionOf(raw).warning = n.Message
	}
}

// sure is ErrUnsure where a warning came with the end of a transaction.
func (c *Conn) sure() error {
	if c.session.warning == "" || c.raw.TxStatus() != 'I' {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnsure, c.session.warning)
}

// begin makes a new session what it should be, in one round trip. Where nobody said how durable commits are to be, what
// was found stays, whatever the server says later; what is too little is told by Sound, and is on meanwhile.
func begin(ctx context.Context, raw *pgconn.PgConn, settings map[string]string) error {
	version := raw.ParameterStatus("server_version") // 15.20, and words
	major, _ := strconv.Atoi(version[:max(strings.IndexFunc(version, notDigit), 0)])
	if major < oldest {
		return fmt.Errorf("postgres: the server has version %s; it must be %d at least", version, oldest)
	}
	if major >= withTransactionTimeout {
		settings = maps.Clone(settings)
		settings["transaction_timeout"] = "0"
	}
	was := "current_setting('" + commitSetting + "')"
	commit := "CASE WHEN " + was + " = 'remote_apply' THEN " + was + " ELSE 'on' END"
	if own := settings[commitSetting]; own != "" {
		commit = literal(own)
	}
	sets := []string{"set_config('" + commitSetting + "', " + commit + ", false)"}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name != commitSetting {
			sets = append(sets, "set_config("+literal(name)+", "+literal(settings[name])+", false)")
		}
	}
	// The first statement is over before the second begins.
	results, err := raw.Exec(ctx, "SELECT "+lookColumns+", "+was+", pg_backend_pid(); SELECT "+
		strings.Join(sets, ", ")).ReadAll()
	if err != nil {
		return err
	}
	s := &session{}
	if err := s.take(results[0].Rows[0]); err != nil {
		return err
	}
	raw.CustomData()[sessionKey] = s
	return nil
}

// oldest is the oldest version of a server that is supported.
const (
	oldest                 = 14
	withTransactionTimeout = 17
)

func notDigit(c rune) bool { return c < '0' || c > '9' }

// take reads what the first statement of begin answered.
func (s *session) take(row [][]byte) error {
	texts := make([]string, len(row))
	for i := range row {
		texts[i] = string(row[i])
	}
	s.found = looked(texts)
	s.found.commit = texts[lookWidth]
	_, err := fmt.Sscan(texts[lookWidth+1], &s.process)
	return err
}

// literal is a text as the server reads it however it is set to read texts.
func literal(text string) string {
	return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
