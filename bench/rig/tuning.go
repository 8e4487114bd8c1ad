package rig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/test/peers"
)

// Each server is configured for throughput as its own documentation advises; bench/README.md says why. What all have in
// common: no limit on what one client may do, 20 connections to the sink at a time where the server knows such a
// number, TLS that encrypts and judges no certificate, and a log.

// siteConnections is how many connections a server may have to the sink.
const siteConnections = 20

// postfixTuning: TUNING_README (process limits, destination concurrency, no delays for well-meaning clients) and
// TLS_README (reused TLS connections by tlsproxy, session caches).
const postfixTuning = `default_process_limit = 200
initial_destination_concurrency = 20
default_destination_concurrency_limit = 20
relay_destination_concurrency_limit = 20
smtp_destination_concurrency_limit = 20
default_destination_recipient_limit = 50
qmgr_message_active_limit = 40000
qmgr_message_recipient_limit = 40000
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = SINK
smtp_connection_reuse_count_limit = 0
smtp_tls_connection_reuse = yes
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
smtp_tls_loglevel = 0
smtpd_tls_loglevel = 0
smtpd_client_connection_count_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_new_tls_session_rate_limit = 0
smtpd_recipient_limit = 1000
in_flow_delay = 0
smtputf8_enable = no
address_verify_map =
smtpd_restriction_classes =
minimal_backoff_time = 300s
queue_run_delay = 300s
`

// eximTuning: the specification's chapters on performance (split spool) and on the limits of the daemon.
const eximTuning = `split_spool_directory = true
smtp_accept_max = 200
smtp_accept_max_per_host = 0
smtp_accept_queue_per_connection = 0
smtp_accept_queue = 0
smtp_connect_backlog = 200
remote_max_parallel = 20
queue_run_max = 5
recipients_max = 1000
smtp_enforce_sync = false
pipelining_advertise_hosts = *
`

// opensmtpdTuning: smtpd.conf(5), limits of sessions and of the relay.
const opensmtpdTuning = `smtp limit max-mails 1000
smtp limit max-rcpt 1000
mta limit max-conn-per-host 20
mta limit max-conn-per-route 20
mta limit max-conn-per-connector 20
mta limit conn-delay-host 0
mta limit conn-delay-source 0
mta limit conn-delay-connector 0
mta limit conn-delay-relay 0
mta limit conn-delay-domain 0
mta limit reconn-delay-route 0
mta limit session-transaction-delay 0
scheduler limit max-inflight 5000
`

// PostgresTuning is docs/cluster.md for PostgreSQL; everything that durability depends on is as it was.
func PostgresTuning() []string {
	return []string{"shared_buffers = 256MB", "max_wal_size = 2GB", "min_wal_size = 512MB"}
}

func peerServer(s Spec, tuning string) peers.Server {
	domains := []string{"*.bench.test"}
	if s.Kind == Postfix {
		domains = []string{"bench.test"} // with everything below it
	}
	p := peers.Server{Hostname: "gw.test", IP: "127.0.0.1", Port: s.Port, Domains: domains, Sink: s.Sink,
		SinkTLS: s.TLS, QueueRun: "5m", Routes: s.routes(),
		Extra: strings.ReplaceAll(tuning, "SINK", "["+strings.Replace(s.Sink, ":", "]:", 1))}
	if s.TLS {
		p.Cert, p.Key = s.Cert, s.Key
	}
	return p
}

// Hop is the address of the n-th next hop: a loopback address of its own, at the port of the sink.
func Hop(n int, sink string) string {
	_, port, _ := strings.Cut(sink, ":")
	return fmt.Sprintf("127.1.%d.%d:%s", n/250, n%250+1, port)
}

// routes are the next hops by domain; nil when all mail goes to the sink.
func (s Spec) routes() map[string]string {
	if s.Hops == 0 {
		return nil
	}
	out := map[string]string{}
	for n := range s.Hops {
		out[fmt.Sprintf("d%d.bench.test", n)] = Hop(n, s.Sink)
	}
	return out
}

// posternConfig: docs/performance.md of this repository.
func posternConfig(s Spec) string {
	settings := map[string]string{
		"hostname": `"gw.test"`, "data": `"data"`,
		"relay.networks":                `["127.0.0.0/8"]`,
		"delivery.connections_per_site": fmt.Sprint(siteConnections),
		"limits.connections_per_client": "12000",
		"admin.listen":                  `""`,
	}
	if s.TLS {
		settings["tls.certificates"] = `[{ cert = "cert.pem", key = "key.pem" }]`
	}
	maps.Copy(settings, s.Settings)
	sections := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		section, key, ok := strings.Cut(name, ".")
		if !ok {
			section, key = "", name
		}
		sections[section] += key + " = " + settings[name] + "\n"
	}
	var out strings.Builder
	out.WriteString(sections[""])
	delete(sections, "")
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(&out, "[%s]\n%s", name, sections[name])
	}
	fmt.Fprintf(&out, "[[listen]]\naddress = \"127.0.0.1:%d\"\n", s.Port)
	if !s.MX {
		fmt.Fprintf(&out, "[[route]]\nmatch = [\"*.bench.test\"]\nto = [%q]\n", s.Sink)
	}
	for domain, address := range s.routes() {
		fmt.Fprintf(&out, "[[route]]\nmatch = [%q]\nto = [%q]\n", domain, address)
	}
	return out.String()
}
