package peers

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// eximUser is compiled into Debian's Exim. Everything runs as this user: the ports are high ones and mail goes on by
// SMTP, so that root is not needed after the start.
const eximUser = "Debian-exim"

// Exim starts an Exim.
func Exim(t testing.TB, s Server) *Process {
	t.Helper()
	binary := program(t, "usr/sbin/exim4")
	dir := folder(t, "exim")
	for _, name := range []string{"spool", "log"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o750); err != nil {
			t.Fatal(err)
		}
		own(t, eximUser, filepath.Join(dir, name))
	}
	sinkHost, sinkPort, _ := strings.Cut(s.Sink, ":")
	tls := "tls_advertise_hosts =\n"
	if len(s.Cert) > 0 {
		cert, key := write(t, dir, "cert.pem", s.Cert, 0o644), write(t, dir, "key.pem", s.Key, 0o600)
		own(t, eximUser, key)
		tls = fmt.Sprintf("tls_advertise_hosts = *\ntls_certificate = %s\ntls_privatekey = %s\n", cert, key)
	}
	sinkTLS := "hosts_avoid_tls = *"
	if s.SinkTLS {
		sinkTLS = "hosts_require_tls = *\n  tls_verify_hosts =\n  tls_try_verify_hosts =\n  tls_verify_cert_hostnames ="
	}
	conf := strings.NewReplacer("BINARY", binary, "DIR", dir, "HOSTNAME", s.Hostname, "DOMAINS",
		strings.Join(s.Domains, " : "),
		"ADDRESS", s.IP, "PORT", fmt.Sprint(s.Port), "SINKHOST", sinkHost, "SINKTLS", sinkTLS, "SINKP", sinkPort,
		"TLS\n", tls, "EXTRA\n", s.Extra,
	).Replace(eximConf)
	if len(s.Routes) > 0 {
		var table strings.Builder
		for domain, address := range s.Routes {
			host, _, _ := strings.Cut(address, ":")
			fmt.Fprintf(&table, "%s: %s\n", domain, host)
		}
		routes := write(t, dir, "routes", []byte(table.String()), 0o644)
		conf = strings.Replace(conf, "  route_list = * "+sinkHost, "  route_data = ${lookup{$domain}lsearch{"+routes+
			"}{$value}{"+sinkHost+"}}", 1)
	}
	path := write(t, dir, "exim.conf", []byte(conf), 0o644)
	logs := []string{filepath.Join(dir, "log", "main.log"), filepath.Join(dir, "log", "reject.log"),
		filepath.Join(dir, "log", "panic.log")}
	return start(t, "exim "+s.Hostname, eximUser, logs, binary, "-C", path, "-bdf", "-q"+cmp.Or(s.QueueRun, "1s")).
		answers(t, fmt.Sprintf("%s:%d", s.IP, s.Port))
}

const eximConf = `exim_path = BINARY
deliver_drop_privilege = true
keep_environment = LD_LIBRARY_PATH
spool_directory = DIR/spool
log_file_path = DIR/log/%s.log
pid_file_path = DIR/spool/exim.pid
log_selector = +tls_cipher +tls_sni +received_recipients +smtp_protocol_error +smtp_syntax_error
primary_hostname = HOSTNAME
qualify_domain = HOSTNAME
domainlist relay_to_domains = DOMAINS
acl_smtp_rcpt = acl_check_rcpt
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = 200M
accept_8bitmime = true
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
local_interfaces = ADDRESS
daemon_smtp_ports = PORT
TLS
EXTRA

begin acl
acl_check_rcpt:
  accept domains = +relay_to_domains
  deny message = relay not permitted

begin routers
sink:
  driver = manualroute
  transport = sink
  route_list = * SINKHOST
  self = send

begin transports
sink:
  driver = smtp
  port = SINKP
  SINKTLS
  allow_localhost

begin retry
* * F,1h,1s
`
