package peers

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// Unbound starts a resolver on 127.0.0.1 that knows the records given, one a line in zone file form with absolute
// names, and nothing else: every other name does not exist. It returns the address to ask.
func Unbound(t testing.TB, records string) string {
	t.Helper()
	binary := program(t, "usr/sbin/unbound")
	dir := folder(t, "unbound")
	port := FreePort(t, "127.0.0.1")
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n directory: %q\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n "+
		"logfile: \"\"\n do-daemonize: no\n interface: 127.0.0.1\n port: %d\n access-control: 127.0.0.0/8 allow\n "+
		"module-config: \"iterator\"\n do-not-query-localhost: yes\n local-zone: \".\" static\n", dir, port)
	for line := range strings.Lines(records) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(&conf, " local-data: '%s'\n", line)
		}
	}
	fmt.Fprintf(&conf, " local-data: 'ready.invalid. A 127.0.0.1'\nremote-control:\n control-enable: no\n")
	path := write(t, dir, "unbound.conf", []byte(conf.String()), 0o644)
	p := start(t, "unbound", "", nil, binary, "-d", "-c", path)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
	for end := time.Now().Add(startTime); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := resolver.LookupHost(ctx, "ready.invalid.")
		cancel()
		if err == nil {
			return address
		}
		if time.Now().After(end) {
			t.Fatalf("unbound does not answer: %v\n%s", err, p.Log())
		}
		select {
		case <-p.done:
			t.Fatalf("unbound ended at once:\n%s", p.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
