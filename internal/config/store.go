package config

import (
	"net/url"
	"regexp"
	"strings"
)

// Store is where mail is stored: "" is the embedded database in the data folder, else the address of a PostgreSQL
// database as libpq writes it, postgres://. It may hold a password: print Shown, never the text itself.
type Store string

// Shared reports whether other gateways can have the same store.
func (s Store) Shared() bool { return s != "" }

// Shown is the address without a password. One that is not written as it must be may hold any character, so rather too
// much is hidden: from the first colon of what may be a user to the last @, and what may be a port and is no number.
func (s Store) Shown() string {
	scheme, rest, ok := strings.Cut(string(s), "://")
	if !ok {
		if s == "" {
			return ""
		}
		return hidden
	}
	who := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if colon := colonIn.FindStringIndex(rest[:at]); colon != nil {
			user := rest[:colon[0]]
			if strings.ContainsAny(user, "/?#&=") {
				user = hiddenInURL
			}
			who, rest = user+":"+hiddenInURL+"@", rest[at+1:]
		} else if !strings.ContainsAny(rest[:at], "/?#") {
			who, rest = rest[:at+1], rest[at+1:]
		}
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if !hosts.MatchString(rest[:end]) {
		return scheme + "://" + who + hiddenInURL
	}
	return scheme + "://" + who + keyValue.ReplaceAllStringFunc(rest, withoutPassword)
}

// hiddenInURL stands where a password would.
const hiddenInURL = "***"

var (
	colonIn = regexp.MustCompile(`(?i):|%3a`)
	// hosts fits hosts with their ports.
	hosts = regexp.MustCompile(`^[^:,]*(\[[^]]*\])?(:[0-9]*)?(,[^:,]*(\[[^]]*\])?(:[0-9]*)?)*$`)
	// keyValue fits a key with its value, and what is before it.
	keyValue = regexp.MustCompile(`(^|[?&])[^?&=]*=[^&]*`)
	// secretKey fits a key whose value is not shown. A file of passwords has none in its name.
	secretKey = regexp.MustCompile(`(?i)pass|pwd|secret|token`)
)

// withoutPassword is a key with its value, where that is no secret.
func withoutPassword(part string) string {
	key, _, _ := strings.Cut(part, "=")
	plain, err := url.QueryUnescape(strings.TrimLeft(key, "?&"))
	if err == nil && (plain == "passfile" || !secretKey.MatchString(plain)) {
		return part
	}
	return key + "=" + hiddenInURL
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
	case s.Shown() == scheme+"://"+hiddenInURL: // else the database says more
		d.fail("store", "has a port that is no number, or half a password before it", hint)
	}
}
