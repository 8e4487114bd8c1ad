package config

import (
	"net"
	"net/netip"
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

// dangers are a password that whoever reads the file knows, and a way to the database that is not protected.
func (s Store) dangers() (out []Finding) {
	if s.HasPassword() {
		out = append(out, Finding{Key: "store", What: "a password stands in the configuration",
			Hint: "put it into a file that only the gateway may read, and name that with passfile= in the address, " +
				"or in PGPASSFILE"})
	}
	_, rest, _ := strings.Cut(string(s), "://")
	rest, query, _ := strings.Cut(rest, "?")
	hosts, _, _ := strings.Cut(rest, "/")
	values, _ := url.ParseQuery(query) // the database says more of what cannot be read
	hosts = hosts[strings.LastIndexByte(hosts, '@')+1:]
	if values.Get("sslmode") == "verify-full" || !s.Shared() ||
		onThisMachine(hosts) && onThisMachine(values.Get("host")) {
		return out
	}
	return append(out, Finding{Key: "store", What: "the database is not authenticated: somebody on the way to it " +
		"could read and change all mail",
		Hint: "add sslmode=verify-full and sslrootcert=FILE to the address"})
}

// onThisMachine reports whether every host of a list is reached without a network.
func onThisMachine(hosts string) bool {
	for host := range strings.SplitSeq(hosts, ",") {
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = strings.Trim(host, "[]")
		}
		addr, err := netip.ParseAddr(name)
		local := name == "" || name == "localhost" || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "%2F") ||
			err == nil && addr.IsLoopback()
		if !local {
			return false
		}
	}
	return true
}
