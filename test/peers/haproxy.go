package peers

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Balancer is a running HAProxy.
type Balancer struct {
	*Process
	socket string
}

// HAProxy starts a HAProxy with the sections given, which say where it listens and what is behind.
func HAProxy(t testing.TB, sections string) *Balancer {
	t.Helper()
	binary := program(t, "usr/sbin/haproxy")
	dir := folder(t, "haproxy")
	b := &Balancer{socket: filepath.Join(dir, "stats")}
	conf := fmt.Sprintf(`global
 log stdout format raw local0
 maxconn 100
 stats socket %s mode 600 level admin
defaults
 mode tcp
 log global
 timeout connect 5s
 timeout client 60s
 timeout server 60s
 timeout check 10s
%s
`, b.socket, sections)
	path := write(t, dir, "haproxy.cfg", []byte(conf), 0o644)
	b.Process = start(t, "haproxy", "", nil, binary, "-db", "-f", path)
	for end := time.Now().Add(startTime); ; {
		if b.stats() != "" {
			return b
		}
		if time.Now().After(end) {
			t.Fatalf("haproxy does not answer:\n%s", b.Log())
		}
		select {
		case <-b.done:
			t.Fatalf("haproxy ended at once:\n%s", b.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stats asks for the state of everything, as CSV; "" while there is no answer.
func (b *Balancer) stats() string {
	conn, err := net.DialTimeout("unix", b.socket, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // a deadline that cannot be set shows at the read
	fmt.Fprint(conn, "show stat\n")
	text, _ := io.ReadAll(conn) // half an answer is none
	return string(text)
}

// State returns what a server's checks say, as "UP L7OK".
func (b *Balancer) State(t testing.TB, section, server string) string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(b.stats(), "# "))).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("haproxy tells no state: %v", err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, row := range rows[1:] {
		if row[column["pxname"]] == section && row[column["svname"]] == server {
			return row[column["status"]] + " " + strings.TrimPrefix(row[column["check_status"]], "* ")
		}
	}
	t.Fatalf("haproxy has no server %s in %s", server, section)
	return ""
}
