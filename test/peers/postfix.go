package peers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Postfix refuses to share its user and group with anything else it knows; these two have nothing to do on a machine of
// this century.
const (
	postfixUser  = "uucp"
	postfixGroup = "news"
)

// Postfix starts a Postfix. Its master is run in the foreground and without its start script, which would look at the
// places of an installed one.
func Postfix(t testing.TB, s Server) *Process {
	t.Helper()
	master := program(t, "usr/lib/postfix/sbin/master")
	dir := folder(t, "postfix")
	conf := postfixFolders(t, dir)
	prefix := strings.TrimSuffix(master, "usr/lib/postfix/sbin/master")
	log := filepath.Join(dir, "log")
	settings := [][2]string{
		{"compatibility_level", "3.6"},
		{"queue_directory", filepath.Join(dir, "queue")},
		{"data_directory", filepath.Join(dir, "data")},
		{"daemon_directory", prefix + "usr/lib/postfix/sbin"},
		{"command_directory", prefix + "usr/sbin"},
		{"shlib_directory", prefix + "usr/lib/postfix"},
		{"meta_directory", prefix + "etc/postfix"},
		{"mail_owner", postfixUser},
		{"setgid_group", postfixGroup},
		{"default_privs", "nobody"},
		{"import_environment", "MAIL_CONFIG MAIL_LOGTAG TZ LC_ALL LD_LIBRARY_PATH"},
		{"maillog_file", log},
		{"maillog_file_prefixes", dir},
		{"inet_protocols", "ipv4"},
		{"smtp_bind_address", s.IP},
		{"myhostname", s.Hostname},
		{"mydestination", ""},
		{"mynetworks", "127.0.0.0/8"},
		{"relay_domains", strings.Join(s.Domains, " ")},
		{"relay_transport", "smtp:[" + strings.Replace(s.Sink, ":", "]:", 1)},
		{"alias_maps", ""},
		{"alias_database", ""},
		{"local_recipient_maps", ""},
		{"smtpd_peername_lookup", "no"},
		{"smtp_host_lookup", "native"},
		{"disable_dns_lookups", "yes"},
		{"smtpd_recipient_restrictions", "permit_mynetworks reject_unauth_destination"},
		{"smtpd_client_connection_rate_limit", "0"},
		{"message_size_limit", "200000000"},
		{"mailbox_size_limit", "0"},
		{"smtputf8_enable", "yes"},
		{"minimal_backoff_time", "1s"},
		{"queue_run_delay", "1s"},
		{"smtpd_tls_loglevel", "1"},
		{"smtpd_tls_received_header", "yes"},
	}
	settings = append(settings, postfixTLS(t, dir, s)...)
	if len(s.Routes) > 0 {
		var table strings.Builder
		for domain, address := range s.Routes {
			fmt.Fprintf(&table, "%s smtp:[%s\n", domain, strings.Replace(address, ":", "]:", 1))
		}
		settings = append(settings, [2]string{"transport_maps",
			"texthash:" + write(t, conf, "transport", []byte(table.String()), 0o644)})
	}
	// A parameter given twice makes every process warn, postlogd too, before it reads what the others log: with enough
	// warnings they wait for each other for ever.
	var main strings.Builder
	for _, kv := range settings {
		if line := kv[0] + " ="; !strings.HasPrefix(s.Extra, line) && !strings.Contains(s.Extra, "\n"+line) {
			fmt.Fprintf(&main, "%s %s\n", line, kv[1])
		}
	}
	write(t, conf, "main.cf", []byte(main.String()+s.Extra), 0o644)
	address := net.JoinHostPort(s.IP, strconv.Itoa(s.Port))
	listen := address
	if s.ListensAtPort25 {
		listen = "smtp"
	}
	write(t, conf, "master.cf", []byte(strings.ReplaceAll(postfixMaster, "LISTEN", listen)), 0o644)
	for _, args := range s.Postconf {
		postconf := exec.Command(program(t, "usr/sbin/postconf"), append([]string{"-c", conf}, args...)...)
		postconf.Env = environment(t)
		if out, err := postconf.CombinedOutput(); err != nil {
			t.Fatalf("postconf %v: %v\n%s", args, err, out)
		}
	}
	return start(t, "postfix "+s.Hostname, "", []string{log}, master, "-c", conf, "-d").answers(t, address)
}

// postfixTLS is the part of main.cf about certificates and the smart host. Mail that goes to the sink, in
// relay_domains, is on a transport of its own.
func postfixTLS(t testing.TB, dir string, s Server) [][2]string {
	t.Helper()
	settings := [][2]string{{"smtpd_tls_security_level", "none"}}
	if len(s.Cert) > 0 {
		settings = [][2]string{
			{"smtpd_tls_security_level", "may"},
			{"smtpd_tls_cert_file", write(t, dir, "cert.pem", s.Cert, 0o644)},
			{"smtpd_tls_key_file", write(t, dir, "key.pem", s.Key, 0o600)},
		}
	}
	level := "none"
	if s.SinkTLS {
		level = "encrypt"
	}
	if s.Smarthost != "" {
		if level = s.SmarthostTLS; level == "" {
			level = "may"
		}
		settings = append(settings, [2]string{"relayhost", "[" + strings.Replace(s.Smarthost, ":", "]:", 1)})
		if len(s.CA) > 0 {
			settings = append(settings, [2]string{"smtp_tls_CAfile", write(t, dir, "ca.pem", s.CA, 0o644)})
		}
	}
	return append(settings, [2]string{"smtp_tls_security_level", level}, [2]string{"smtp_tls_loglevel", "1"})
}

// postfixFolders makes the folders with the owners Postfix insists on and returns the one for the configuration.
func postfixFolders(t testing.TB, dir string) string {
	t.Helper()
	uid, _ := ids(t, postfixUser)
	_, gid := ids(t, postfixGroup)
	queue := filepath.Join(dir, "queue")
	for _, f := range []struct {
		path string
		uid  uint32
		gid  uint32
		mode os.FileMode
	}{
		{queue, 0, 0, 0o755},
		{queue + "/pid", 0, 0, 0o755},
		{queue + "/public", uid, gid, 0o710},
		{queue + "/maildrop", uid, gid, 0o730},
		{queue + "/private", uid, 0, 0o700},
		{queue + "/active", uid, 0, 0o700}, {queue + "/bounce", uid, 0, 0o700}, {queue + "/corrupt", uid, 0, 0o700},
		{queue + "/defer", uid, 0, 0o700}, {queue + "/deferred", uid, 0, 0o700}, {queue + "/flush", uid, 0, 0o700},
		{queue + "/hold", uid, 0, 0o700}, {queue + "/incoming", uid, 0, 0o700}, {queue + "/saved", uid, 0, 0o700},
		{queue + "/trace", uid, 0, 0o700},
		{filepath.Join(dir, "data"), uid, 0, 0o700},
		{filepath.Join(dir, "conf"), 0, 0, 0o755},
	} {
		if err := os.Mkdir(f.path, f.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(f.path, int(f.uid), int(f.gid)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(f.path, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "conf")
}

const postfixMaster = `LISTEN    inet       n - n -     - smtpd
postlog   unix-dgram n - n -     1 postlogd
pickup    unix       n - n 60    1 pickup
cleanup   unix       n - n -     0 cleanup
qmgr      unix       n - n 1     1 qmgr
tlsmgr    unix       - - n 1000? 1 tlsmgr
rewrite   unix       - - n -     - trivial-rewrite
bounce    unix       - - n -     0 bounce
defer     unix       - - n -     0 bounce
trace     unix       - - n -     0 bounce
verify    unix       - - n -     1 verify
flush     unix       n - n 1000? 0 flush
proxymap  unix       - - n -     - proxymap
smtp      unix       - - n -     - smtp
relay     unix       - - n -     - smtp
error     unix       - - n -     - error
retry     unix       - - n -     - error
discard   unix       - - n -     - discard
anvil     unix       - - n -     1 anvil
scache    unix       - - n -     1 scache
tlsproxy  unix       - - n -     0 tlsproxy
`
