package endurance

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

// sized pads PEM text to a size with lines that stand outside of it.
func sized(pem []byte, size int) []byte {
	return append([]byte(strings.Repeat("#", max(size-len(pem)-1, 0))+"\n"), pem...)
}

// serves is the name in the certificate that the gateway shows.
func (g *gateway) serves() string {
	g.t.Helper()
	c, err := enter(g.addr, "", true)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames[0]
}

// renew writes a certificate for a name in the place of the one before: the same file, size and time.
func (g *gateway) renew(name string, then time.Time) {
	g.t.Helper()
	cert := g.ca.Issue(pki.Options{Names: []string{name}})
	for file, content := range map[string][]byte{"gw.pem": cert.CertPEM, "gw.key": cert.KeyPEM} {
		g.write(file, sized(content, 4096))
		if err := os.Chtimes(g.path(file), then, then); err != nil {
			g.t.Fatal(err)
		}
	}
}

// A renewed certificate whose files keep their time and size is served, by itself and when that is asked for.
func TestARenewedCertificateOfTheSameTimeAndSizeIsServed(t *testing.T) {
	t.Parallel()
	g := newGateway(t, newSink(t).addr())
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	g.renew("first.test", then)
	g.start()
	if got := g.serves(); got != "first.test" {
		t.Fatalf("served for %s", got)
	}
	g.renew("second.test", then)
	eventually(t, patience, "the second is served by itself", func() bool { return g.serves() == "second.test" })
	g.renew("third.test", then)
	g.signal(syscall.SIGHUP)
	eventually(t, patience, "the reload is told", func() bool { return strings.Contains(g.log(), "reload configuration") })
	if got := g.serves(); got != "third.test" {
		t.Errorf("after it was asked for, the one for %s is served", got)
	}
}

// Two sockets that systemd opened for one listener, one a family, are both served; one that nobody names is closed and
// named in the log.
func TestEachSocketThatIsHandedOverIsServedOrClosed(t *testing.T) {
	t.Parallel()
	four, err := net.Listen("tcp4", newIP()+":0")
	if err != nil {
		t.Fatal(err)
	}
	port := four.Addr().(*net.TCPAddr).Port
	six, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		t.Skipf("no second family here: %v", err)
	}
	spare := listen(t)
	g := newGateway(t, newSink(t).addr())
	for _, l := range []net.Listener{six, four, spare} {
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		g.extra = append(g.extra, file)
		l.Close()
	}
	g.env = []string{"LISTEN_FDS=3"}
	g.more = append(g.more, fmt.Sprintf("[[listen]]\nname = \"both\"\naddress = \":%d\"\n", port))
	g.start()
	for _, f := range g.extra { // only the gateway's own copies are left
		f.Close()
	}
	for _, at := range []net.Addr{four.Addr(), six.Addr()} {
		c, err := dial(at.String(), "")
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		c.Close()
	}
	if nc, err := net.DialTimeout("tcp", spare.Addr().String(), time.Second); err == nil {
		nc.Close()
		t.Error("a socket that nobody serves takes connections")
	}
	if !strings.Contains(g.log(), spare.Addr().String()) || !strings.Contains(g.log(), "that no listener names") {
		t.Errorf("the log does not name the spare socket:\n%s", g.log())
	}
}
