// Package peers runs real mail servers for the end-to-end tests: Postfix, Exim and OpenSMTPD receiving and sending,
// unbound answering DNS, with nsd behind it where zones are signed (SignedDNS), swaks as a client, OpenSSL doing the
// TLS of servers that are otherwise the test's. All live on loopback addresses, as processes of the test, with their
// configuration in the test's temporary folder.
//
// What DANE is to mean is asked of Postfix: DANESituations are what domains publish, PosttlsFingerDANE says what
// becomes of it. What MTA-STS is to mean is asked of postfix-mta-sts-resolver: STSResolver.
//
// The programs are Debian's, unpacked under Folder by test/prepare.sh and not installed; see there why. What a
// server accepts it hands on at once to a Sink, a plain SMTP server inside the test, so that a test sees what arrived,
// byte for byte, without polling mailboxes.
//
// Where the programs are missing, or the test does not run as root, tests skip; with CI set in the environment they
// fail instead.
package peers

import (
	"cmp"
	"os"
	"path/filepath"
	"testing"
)

// Folder is where test/prepare.sh unpacks the programs, outside every clone: some of them run as users of their own,
// who must be able to enter it. POSTERN_PEERS in the environment names another.
const Folder = "/var/cache/postern-test/peers"

// unavailable ends a test that cannot have its peers.
func unavailable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("real peers are needed here: %s", why)
	}
	t.Skipf("no real peers: %s", why)
}

// NeedRoot ends a test that is not run as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		unavailable(t, "mail servers start as root only")
	}
}

// root is the folder the programs were unpacked in.
func root(t testing.TB) string {
	t.Helper()
	NeedRoot(t)
	dir := cmp.Or(os.Getenv("POSTERN_PEERS"), Folder)
	if _, err := os.Stat(filepath.Join(dir, "complete")); err != nil {
		unavailable(t, "nothing in "+dir+"; run test/prepare.sh peers")
	}
	return filepath.Join(dir, "root")
}

// program returns the path of a program, "usr/sbin/unbound": the one unpacked, or that of an installed package.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, path := range []string{filepath.Join(root(t), name), "/" + name} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	unavailable(t, name+" is neither unpacked nor installed")
	return ""
}

// environment is what the programs need to find their libraries and Perl modules in the folder they were unpacked in.
func environment(t testing.TB) []string {
	t.Helper()
	dir := root(t)
	libraries := filepath.Join(dir, "usr/lib/postfix")
	perl := ""
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern)) // the patterns are well-formed
		for _, path := range found {
			libraries += ":" + path
		}
	}
	for _, pattern := range []string{"usr/share/perl5", "usr/lib/*-linux-gnu*/perl5/*", "usr/share/perl/*",
		"usr/lib/*-linux-gnu*/perl/*"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range found {
			perl += path + ":"
		}
	}
	return append(os.Environ(), "LD_LIBRARY_PATH="+libraries, "PERL5LIB="+perl, "LC_ALL=C")
}

// Server says how a mail server is to run. It is the same for all kinds.
type Server struct {
	// Hostname is what it calls itself; IP and Port where it listens.
	Hostname string
	IP       string
	Port     int
	// Domains it receives for, everything else is refused.
	Domains []string
	// Sink is where accepted mail goes, "address:port".
	Sink string
	// SinkTLS makes the way to the sink encrypted, by STARTTLS, whatever the certificate; else it is in plaintext.
	SinkTLS bool
	// Cert and Key are PEM; both empty: no TLS is offered.
	Cert, Key []byte
	// Smarthost, when set, is where mail for other domains goes, "address:port". Not for Exim.
	Smarthost string
	// SmarthostTLS is the level towards the smart host in Postfix's words: none, may, encrypt, and for Postfix alone
	// verify and secure; "" is may.
	SmarthostTLS string
	// CA is PEM: what SmarthostTLS verify and secure judge by.
	CA []byte
	// Routes send mail for some domains to another "address:port" than Sink. Exim wants the port of Sink. Not for
	// OpenSMTPD.
	Routes map[string]string
	// QueueRun is how often Exim looks at its queue, "5m" for example; "" is every second.
	QueueRun string
	// Postconf are arguments of postconf commands, run over the finished configuration before the start. For Postfix.
	Postconf [][]string
	// ListensAtPort25 is a Postfix as it is installed, listening at port 25 of every address, until Postconf moves it.
	ListensAtPort25 bool
	// Extra lines are appended to the main configuration. In Postfix's "parameter =" takes the
	// place of the line there would be.
	Extra string
}

// write puts a file into a folder and returns its path.
func write(t testing.TB, dir, name string, content []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder makes a temporary folder that other users can reach into. t.TempDir is not: its parents are private.
func folder(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postern-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("cannot clean up: %v", err)
		}
	})
	return dir
}
