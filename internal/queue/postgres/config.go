package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config is where a database is and how it is spoken to. Use Parse.
type Config struct {
	parsed *pgxpool.Config
	// settings are those of each session. They are set when it begins, and not asked for with the start-up message: a
	// pooler refuses that.
	settings map[string]string
}

// Patience bounds what may keep others waiting: a lock, and a transaction whose program says nothing any more.
const (
	lockPatience = 4 * time.Second
	idlePatience = 8 * time.Second
	dialPatience = 5 * time.Second
)

// needed are settings that nobody may choose: the statements are written for them.
func needed(schema string) map[string]string {
	return map[string]string{
		"search_path":                 quoted(schema),
		"standard_conforming_strings": "on",
		"client_min_messages":         "warning", // see ErrUnsure
	}
}

// usual are settings that the address of the database may choose otherwise, and nobody else: neither the server nor the
// role.
func usual() map[string]string {
	return map[string]string{
		"default_transaction_isolation":       "read committed",
		"statement_timeout":                   "0", // whoever asks says how long
		"lock_timeout":                        fmt.Sprint(lockPatience.Milliseconds()),
		"idle_in_transaction_session_timeout": fmt.Sprint(idlePatience.Milliseconds()),
		"idle_session_timeout":                "0",
		"jit":                                 "off", // statements are short, and compiling them takes longer
		// Every statement is answered by an index in its order. The server may not know: a table that was empty when it
		// last looked may have a million rows.
		"enable_indexscan":  "on",
		"enable_seqscan":    "off",
		"enable_bitmapscan": "off",
	}
}

// Parse reads a connection string as libpq does: a URL or "host=... dbname=...", several hosts allowed, a password from
// PGPASSFILE. Of several hosts the one that takes changes is used. Schema is where the tables are. The error has no
// password in it.
func Parse(address, schema string, readers int) (*Config, error) {
	if err := Misread(address); err != nil {
		return nil, err
	}
	parsed, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("postgres: cannot read the address of the database: %s", reason(err))
	}
	c := parsed.ConnConfig
	if len(c.Fallbacks) > 0 && c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = dialPatience
	}
	settings := needed(schema)
	for name := range settings {
		delete(c.RuntimeParams, name)
	}
	for name, value := range usual() {
		if _, set := c.RuntimeParams[name]; !set {
			settings[name] = value
		}
	}
	c.RuntimeParams["client_encoding"] = "UTF8"
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "postern"
	}
	parsed.MaxConns = int32(readers)
	parsed.PingTimeout = dialPatience // of a connection that was idle
	return &Config{parsed, settings}, nil
}

// ErrMisread: an address of a database has a character in its password that makes it another address.
var ErrMisread = errors.New("the address of the database cannot be read: in a user's name or password each of " +
	"/ ? # @ must be written as %2F %3F %23 %40, or the password left to passfile")

// Misread answers ErrMisread for an address that cannot be meant so: its user or password goes on behind what looks
// like the end of the host.
func Misread(address string) error {
	_, rest, is := strings.Cut(address, "://")
	if !is {
		return nil
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	hosts, below := rest[:end], rest[end:]
	path, query, _ := strings.Cut(below, "?")
	for part := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(part, "="); strings.Contains(key, "@") {
			return ErrMisread
		}
	}
	if strings.ContainsAny(path, "@#") || strings.Contains(query, "#") {
		return ErrMisread
	}
	// Of several hosts each may have a port, which package url does not know.
	first, _, _ := strings.Cut(hosts[strings.LastIndexByte(hosts, '@')+1:], ",")
	if _, err := url.Parse("postgres://" + first); err != nil {
		return ErrMisread
	}
	return nil
}

// reason is what is wrong with an address, without the address.
func reason(err error) string {
	text := err.Error()
	at := strings.LastIndex(text, "`: ")
	if at < 0 || strings.Contains(text[at:], "failed to parse") { // says more, and repeats parts of it
		return "it is not one as libpq writes it"
	}
	return text[at+len("`: "):]
}

// with is the same with another setting of each session.
func (c *Config) with(name, value string) *Config {
	settings := maps.Clone(c.settings)
	settings[name] = value
	return &Config{c.parsed, settings}
}

// Loose is the same for connections whose commits need not be durable by themselves: a later commit on another
// connection makes them so, because all before it is written first.
func (c *Config) Loose() *Config { return c.with(commitSetting, "off") }

// Steady is the same for connections whose statements are planned once: they say the same again and again, each
// answered by one index, and planning takes as long as carrying them out.
func (c *Config) Steady() *Config { return c.with("plan_cache_mode", "force_generic_plan") }

// begins is the configuration for the driver, which has each new session begun as it should.
func (c *Config) begins() *pgxpool.Config {
	out := c.parsed.Copy()
	out.ConnConfig.OnNotice = heed
	out.ConnConfig.AfterConnect = func(ctx context.Context, raw *pgconn.PgConn) error {
		// A pool bounds only what comes before: a server that falls silent now would keep a place in it for ever.
		ctx, cancel := context.WithTimeout(ctx, dialPatience)
		defer cancel()
		return begin(ctx, raw, c.settings)
	}
	return out
}
