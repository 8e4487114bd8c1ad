package pgtables

import (
	"context"
	"fmt"
	"strings"

	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
)

// What a role needs that only uses the tables. Who owns them has all of it.
const (
	// rowsOf are the tables whose rows are read, made, changed and deleted, readsOf those that are only read, and
	// drawsOn the sequences that numbers are drawn from.
	rowsOf  = closedTables
	readsOf = "form undelivered party"
	drawsOn = "message_seq lease_token body_number"
)

// Needed lists what a role needs of the schema, name by name.
func Needed() map[string][]string {
	out := map[string][]string{}
	for names, rights := range map[string][]string{rowsOf: {"SELECT", "INSERT", "UPDATE", "DELETE"},
		readsOf: {"SELECT"}, drawsOn: {"USAGE"}} {
		for name := range strings.FieldsSeq(names) {
			out[name] = rights
		}
	}
	return out
}

// Lacks is the error of a role that lacks rights. It is postgres.ErrRights.
type Lacks struct {
	Role, Schema string
	// Rights are in words: "USAGE on message_seq".
	Rights []string
	// Makes says that there are no tables yet, which the role may not make.
	Makes bool
}

// lacksShown is how many rights are told.
const lacksShown = 8

// Error names the rights.
func (l *Lacks) Error() string {
	shown := l.Rights
	if len(shown) > lacksShown {
		shown = append(shown[:lacksShown:lacksShown], fmt.Sprintf("%d more", len(l.Rights)-lacksShown))
	}
	return fmt.Sprintf("the role %s may not do what the store needs; it lacks %s", l.Role, strings.Join(shown, ", "))
}

// Unwrap is postgres.ErrRights.
func (l *Lacks) Unwrap() error { return postgres.ErrRights }

// Hint is what the owner of the schema says to grant them.
func (l *Lacks) Hint() string {
	if l.Makes {
		return "start a gateway once as the role that owns the database, or let this one: GRANT CREATE ON DATABASE " +
			"... TO " + l.Role
	}
	return fmt.Sprintf("as the owner, in psql: GRANT USAGE ON SCHEMA %[1]s TO %[2]s; GRANT SELECT, INSERT, UPDATE, "+
		"DELETE ON ALL TABLES IN SCHEMA %[1]s TO %[2]s; GRANT USAGE ON ALL SEQUENCES IN SCHEMA %[1]s TO %[2]s",
		l.Schema, l.Role)
}

// lacking are the rights that a role does not have on what is there, in order.
const lacking = `SELECT p.name || ' on ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN unnest(?::text[], ?::text[]) p(relation, name) ON p.relation = c.relname
	WHERE n.nspname = ? AND CASE c.relkind WHEN 'S' THEN NOT has_sequence_privilege(c.oid, p.name || ', UPDATE')
		WHEN 'r' THEN NOT has_table_privilege(c.oid, p.name) WHEN 'v' THEN NOT has_table_privilege(c.oid, p.name) END
	ORDER BY c.relname, p.name`

// allowed answers Lacks where the role of a connection has not the rights that the store needs.
func allowed(ctx context.Context, c *postgres.Conn, schema string) error {
	l := &Lacks{Schema: schema}
	var there, uses, makes bool
	err := c.Query(ctx, `SELECT quote_ident(current_user),
		coalesce(has_schema_privilege(n.oid, 'USAGE'), true),
		coalesce(has_schema_privilege(n.oid, 'CREATE'), has_database_privilege(current_database(), 'CREATE')),
		EXISTS (SELECT 1 FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'form')
		FROM (SELECT ?::text AS name) s LEFT JOIN pg_namespace n ON n.nspname = s.name`, func(r database.Row) error {
		l.Role, uses, makes, there = r.Text(0), r.Int(1) != 0, r.Int(2) != 0, r.Int(3) != 0
		return nil
	}, schema)
	switch {
	case err != nil:
		return err
	case !uses:
		l.Rights = []string{"USAGE on schema " + schema}
		return l
	case !there && !makes:
		l.Rights, l.Makes = []string{"the right to make the tables of schema " + schema}, true
		return l
	}
	var relations, rights []string
	for name, needs := range Needed() {
		for _, right := range needs {
			relations, rights = append(relations, name), append(rights, right)
		}
	}
	err = c.Query(ctx, lacking, func(r database.Row) error {
		l.Rights = append(l.Rights, r.Text(0))
		return nil
	}, relations, rights, schema)
	if err == nil && len(l.Rights) > 0 {
		err = l
	}
	return err
}
