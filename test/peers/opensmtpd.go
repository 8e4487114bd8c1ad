package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Places compiled into Debian's OpenSMTPD.
const (
	opensmtpdSpool  = "/var/spool/smtpd"
	opensmtpdChroot = "/var/lib/opensmtpd/empty"
)

// OpenSMTPD starts an OpenSMTPD. Its spool has one fixed place, so there is one at a time on a machine; another test
// waits. Where the package is installed the place is not ours, and the test cannot run.
//
// OpenSMTPD 6.8 with the OpenSSL of Debian 12 breaks every handshake as a server, whatever the key, because it keeps
// keys in a process of their own in a way that OpenSSL 3 does not know. Given a certificate it is a real peer that
// offers STARTTLS and cannot do it; as a client its TLS works. See HandshakeWorks.
func OpenSMTPD(t testing.TB, s Server) *Process {
	t.Helper()
	binary := program(t, "usr/sbin/smtpd")
	if exec.Command("dpkg-query", "-W", "opensmtpd").Run() == nil {
		unavailable(t, "OpenSMTPD is installed here, and its spool is not ours to use")
	}
	ids(t, "opensmtpd")
	ids(t, "opensmtpq")
	onlyOne(t)
	t.Cleanup(func() { os.Remove(filepath.Dir(opensmtpdChroot)) }) // last: it is empty then
	for path, mode := range map[string]os.FileMode{opensmtpdSpool: 0o711, opensmtpdChroot: 0o755} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(path) })
	}
	dir := folder(t, "opensmtpd")
	var conf strings.Builder
	listen := fmt.Sprintf("listen on %s port %d hostname %s", s.IP, s.Port, s.Hostname)
	if len(s.Cert) > 0 {
		fmt.Fprintf(&conf, "pki %s cert %q\npki %s key %q\n", s.Hostname, write(t, dir, "cert.pem", s.Cert, 0o644),
			s.Hostname, write(t, dir, "key.pem", s.Key, 0o600))
		listen += " tls pki " + s.Hostname
	}
	fmt.Fprintf(&conf, "%s\nsmtp max-message-size 200M\n%s\n", listen, s.Extra)
	fmt.Fprintf(&conf, "action \"sink\" relay host \"smtp://%s\" src %s\n", s.Sink, s.IP)
	for _, domain := range s.Domains {
		fmt.Fprintf(&conf, "match from any for domain %q action \"sink\"\n", domain)
	}
	if s.Smarthost != "" {
		fmt.Fprintf(&conf, "action \"smarthost\" relay host %s src %s\n", opensmtpdHost(s), s.IP)
		fmt.Fprintf(&conf, "match from any for any action \"smarthost\"\n")
	}
	path := write(t, dir, "smtpd.conf", []byte(conf.String()), 0o644)
	return start(t, "opensmtpd "+s.Hostname, "", nil, binary, "-d", "-f", path).answers(t,
		fmt.Sprintf("%s:%d", s.IP, s.Port))
}

// opensmtpdHost says Postfix's level towards the smart host the way OpenSMTPD does.
func opensmtpdHost(s Server) string {
	switch s.SmarthostTLS {
	case "", "may":
		return fmt.Sprintf(`"smtp://%s"`, s.Smarthost)
	case "none":
		return fmt.Sprintf(`"smtp+notls://%s"`, s.Smarthost)
	}
	return fmt.Sprintf(`"smtp+tls://%s" tls no-verify`, s.Smarthost)
}

// onlyOne waits until no other test of this machine has an OpenSMTPD.
func onlyOne(t testing.TB) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "postern-opensmtpd.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
}
