package danger

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"postern/internal/config"
)

// dangers are a password that whoever reads the file knows, and a way to the database that is not protected.
func storeDangers(s config.Store) (out []config.Finding) {
	if s.HasPassword() {
		out = append(out, config.Finding{Key: "store", What: "a password stands in the configuration",
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
	return append(out, config.Finding{Key: "store",
		What: "the database is not authenticated: somebody on the way to it could read and change all mail",
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
