package config

import (
	"net/url"
	"strings"
)

// Store is where mail is stored: "" is the embedded database in the data folder, else the address of a PostgreSQL
// database as libpq writes it, postgres://. It may hold a password: print Shown, never the text itself.
type Store string

// Shared reports whether other gateways can have the same store.
func (s Store) Shared() bool { return s != "" }

// Shown is the address without a password.
func (s Store) Shown() string {
	scheme, rest, ok := strings.Cut(string(s), "://")
	if !ok {
		if s == "" {
			return ""
		}
		return hidden
	}
	rest, query, asked := strings.Cut(rest, "?")
	hosts, path, below := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(hosts, '@'); at >= 0 {
		if user, _, has := strings.Cut(hosts[:at], ":"); has {
			hosts = user + ":" + hiddenInURL + hosts[at:]
		}
	}
	out := scheme + "://" + hosts
	if below {
		out += "/" + path
	}
	if asked {
		out += "?" + withoutPasswords(query)
	}
	return out
}

// hiddenInURL stands where a password would.
const hiddenInURL = "***"

func withoutPasswords(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		key, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(key); err != nil || strings.Contains(strings.ToLower(plain), "password") {
			parts[i] = key + "=" + hiddenInURL
		}
	}
	return strings.Join(parts, "&")
}

// HasPassword reports whether a password stands in the address.
func (s Store) HasPassword() bool { return s.Shown() != string(s) }

// check examines the address as far as it can be without the database.
func (s Store) check(d *decoder) {
	scheme, rest, ok := strings.Cut(string(s), "://")
	const hint = `write store = "postgres://postern@db.example.com/postern?sslmode=verify-full", or leave it out for the embedded database`
	switch {
	case s == "":
	case !ok || scheme != "postgres" && scheme != "postgresql":
		d.fail("store", "must be the address of a PostgreSQL database", hint)
	case strings.Trim(rest, "/") == "":
		d.fail("store", "names no host and no database", hint)
	}
}
