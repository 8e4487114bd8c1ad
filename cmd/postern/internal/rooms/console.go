package rooms

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"postern/internal/config"
)

// ConsoleURL is the console's address as a browser can open it: what the configuration says, or the address of [admin]
// listen, with the gateway's own name where that is no address of one machine (0.0.0.0, [::]).
func ConsoleURL(cfg *config.Config) string {
	if cfg.Admin.URL != "" {
		return strings.TrimSuffix(cfg.Admin.URL, "/")
	}
	listen, scheme := cfg.Admin.Listen, "http://"
	if listen == "" {
		listen = "127.0.0.1:8025"
	}
	if cfg.Admin.TLS {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return scheme + listen
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.Unmap().IsUnspecified() {
		host = cfg.Hostname.String()
	}
	return scheme + net.JoinHostPort(host, port)
}

// HostGuard refuses requests at a loopback listener that name another host: a page elsewhere whose name leads here all
// of a sudden (DNS rebinding) is of its own origin for the browser, and would read what it is answered.
func HostGuard(cfg *config.Config, next http.Handler) http.Handler {
	named := map[string]bool{"localhost": true, cfg.Hostname.String(): true}
	for _, address := range []string{cfg.Admin.Listen,
		strings.TrimPrefix(strings.TrimPrefix(ConsoleURL(cfg), "https://"), "http://")} {
		named[hostOf(address)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		if ip, err := netip.ParseAddr(host); named[host] || err == nil && ip.Unmap().IsLoopback() {
			next.ServeHTTP(w, r)
			return
		}
		http.Error(w, "This gateway is not called that. Open it as localhost or by its address, or write admin.url "+
			"in its configuration.", http.StatusMisdirectedRequest)
	})
}

// hostOf is the host of an address with or without a port, in one form.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
