// Package harness is what tests of the real binary share: the gateway as a process, driven by its own command line,
// between a name server and partners on the loopback. Time is compressed by the configuration: windows and retry
// intervals of seconds stand for hours.
package harness

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/zone"
)

// Patience is how long anything may take that should take a moment, on a busy machine.
const Patience = 20 * time.Second

// binary is the gateway, built once by Main.
var binary string

// Binary is the path of the gateway that Main has built.
func Binary() string { return binary }

// BinaryVariable names a gateway in the environment that is built already, for `make e2e` and for tests that start
// themselves once more.
const BinaryVariable = "POSTERN_BINARY"

// Main builds the gateway, unless the environment names one, and runs the tests of a package: call it from TestMain.
func Main(m *testing.M) {
	if binary = os.Getenv(BinaryVariable); binary != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "postern-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "postern")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "postern/cmd/postern")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	code := 1
	out, err := build.CombinedOutput()
	if err = errors.Join(err, os.Chmod(dir, 0o755)); err != nil { // other users run it too
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir) // in the temporary folder
	os.Exit(code)
}

// lastIP counts the loopback addresses given out, so that worlds running side by side never meet.
var lastIP atomic.Uint32

// NewIP is a loopback address of its own. The process id keeps test processes apart.
func NewIP() string {
	n := lastIP.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()%128, n>>8&0xff, n&0xff)
}

// World is a gateway and everything around it: a CA, a name server, the organisation home.test with its own server,
// partners, and a folder with the files an administrator would write.
type World struct {
	T     *testing.T
	Dir   string    // of the configuration, the log and the data folder
	Now   time.Time // when the world was made
	CA    *pki.CA
	Names *zone.Server
	Zone  []string // what is in DNS, see Record
	Port  int      // of every partner
	Hosts map[string]*partner.Partner

	Addr     string            // where the gateway takes mail
	Settings map[string]string // "section.key" to its TOML value
	More     []string          // further tables of the configuration
	Program  string            // the gateway; "" is the one that Main has built
	Under    []string          // a command that runs the gateway, as strace does; nil runs it as it is
	Process  *Process          // of the last Serve
	LogTo    *os.File          // where the process writes what it says; nil: LogFile
}

// NewWorld makes a world without partners; its gateway is not started yet. The domain home.test is the organisation's
// own, behind a server with a good certificate.
func NewWorld(t *testing.T) *World {
	t.Helper()
	now := time.Now()
	w := &World{T: t, Dir: t.TempDir(), Now: now, CA: pki.New(now, "Test Root"), Hosts: map[string]*partner.Partner{}}
	var err error
	if w.Names, err = zone.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range w.Hosts {
			p.Close()
		}
		_ = w.Names.Close() // nobody asks any more
	})
	w.Addr = FreeAddress(t)
	w.Settings = map[string]string{
		"hostname": `"gw.home.test"`, "data": `"data"`,
		"tls.certificates": `[{ cert = "gw.pem", key = "gw.key" }]`,
		"relay.networks":   `["127.0.0.1/32"]`,
		"dns.servers":      fmt.Sprintf("[%q]", w.Names.Addr()),

		"delivery.deny_networks": "[]", "delivery.retry": `["1s"]`, "delivery.lifetime": `"60s"`,
		"delivery.delay_notice": "0", "delivery.attempt_timeout": `"5s"`, "delivery.idle_time": `"1s"`,
		"trust.roots": `"ca.pem"`, "admin.listen": `""`, "limits.drain_time": `"5s"`,
	}
	w.Write("ca.pem", w.CA.RootPEM())
	w.Certificate("gw", "gw.home.test")
	w.Partner("mail.home.test", w.Good("mail.home.test"))
	w.Own("home.test", "mail.home.test", "ca.pem")
	return w
}

// FreeAddress is a loopback address and port that nothing uses.
func FreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", NewIP()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Write writes a file into the folder of the world and returns its path.
func (w *World) Write(name string, content []byte) string {
	w.T.Helper()
	path := filepath.Join(w.Dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.T.Fatal(err)
	}
	return path
}

// Certificate writes NAME.pem and NAME.key for host names.
func (w *World) Certificate(name string, hosts ...string) {
	w.T.Helper()
	c := w.CA.Issue(pki.Options{Names: hosts})
	w.Write(name+".pem", c.CertPEM)
	w.Write(name+".key", c.KeyPEM)
}

// Own adds a domain that the gateway receives for, with the CA file that vouches for its server ("" for public trust).
func (w *World) Own(domain, server, trust string) {
	w.More = append(w.More, fmt.Sprintf("[[domain]]\nname = %q\ndeliver_to = [\"%s:%d\"]\ntrust = %q\n", domain, server,
		w.Port, trust))
}

// TakesAll has the gateway take every recipient in a domain of Own without asking its server.
func (w *World) TakesAll(domain string) {
	w.T.Helper()
	for i, table := range w.More {
		if strings.Contains(table, fmt.Sprintf("[[domain]]\nname = %q\n", domain)) {
			w.More[i] += "recipients = \"any\"\n"
			return
		}
	}
	w.T.Fatalf("%s is no domain of ours", domain)
}

// Offers is TLS with a certificate.
func (w *World) Offers(o pki.Options) partner.Behaviour {
	return partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{w.CA.Issue(o).TLS}}}
}

// Good is TLS with a certificate that proves a host.
func (w *World) Good(host string) partner.Behaviour {
	return w.Offers(pki.Options{Names: []string{host}})
}

// Answers is Good, with a reply of its own to a verb.
func (w *World) Answers(host, verb, reply string) partner.Behaviour {
	b := w.Good(host)
	b.Replies = map[string]string{verb: reply}
	return b
}

// Refuses is Good, and refuses every recipient for good.
func (w *World) Refuses(host string) partner.Behaviour {
	return w.Answers(host, "RCPT", "550 5.1.1 nobody here")
}

// Expired is TLS with a certificate of the day before yesterday.
func (w *World) Expired(host string) partner.Behaviour {
	return w.Offers(pki.Options{Names: []string{host}, NotAfter: w.Now.Add(-26 * time.Hour)})
}

// Partner starts a mail server and puts its address into DNS.
func (w *World) Partner(host string, b partner.Behaviour) *partner.Partner {
	w.T.Helper()
	ip := NewIP()
	p, err := partner.Listen(host, fmt.Sprintf("%s:%d", ip, w.Port), b)
	if err != nil {
		w.T.Fatal(err)
	}
	w.Port = p.Addr().(*net.TCPAddr).Port
	w.Hosts[host] = p
	w.Record(host + " A " + ip)
	return p
}

// Domain starts one partner for a domain, mx.DOMAIN, in DNS that is not signed, as most of the world's is not.
func (w *World) Domain(domain string, b partner.Behaviour) *partner.Partner {
	w.T.Helper()
	w.Record("!" + domain + " MX 10 mx." + domain)
	return w.Partner("mx."+domain, b)
}

// Record adds lines to DNS.
func (w *World) Record(lines ...string) {
	w.T.Helper()
	w.Zone = append(w.Zone, lines...)
	if err := w.Names.Set(strings.Join(w.Zone, "\n")); err != nil {
		w.T.Fatal(err)
	}
}

// Home is the organisation's own server, where notices to its people arrive.
func (w *World) Home() *partner.Partner { return w.Hosts["mail.home.test"] }

// Force is a rule of an unticked box over recipient patterns, with further keys of its force_tls table.
func Force(name, recipients string, keys ...string) string {
	return fmt.Sprintf(`[[rule]]
name = %q
scope = "outbound"
action = "force-tls"
[rule.match]
recipient = [%s]
[rule.force_tls]
%s
`, name, recipients, strings.Join(keys, "\n"))
}

// Forbidden are the mail commands a server has heard that must not have come at all: over a connection without TLS, or,
// where proven is false, over any.
func Forbidden(p *partner.Partner, proven bool) (out []string) {
	for _, c := range p.Commands() {
		switch c.Verb {
		case "MAIL", "RCPT", "DATA", "BDAT":
			if !c.TLS || !proven {
				out = append(out, c.Line)
			}
		}
	}
	return out
}

// Eventually waits until ok, or fails the test.
func Eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// Bodies are the messages at a server whose content holds a text.
func Bodies(p *partner.Partner, text string) (out []partner.Message) {
	for _, m := range p.Messages() {
		if strings.Contains(m.Data, text) {
			out = append(out, m)
		}
	}
	return out
}

// Sibling is a second gateway of the same organisation, with the same configuration, name server and partners, in a
// folder and at an address of its own. What is said to one afterwards the other does not know.
func (w *World) Sibling() *World {
	w.T.Helper()
	s := *w
	s.Dir, s.Addr, s.Process = w.T.TempDir(), FreeAddress(w.T), nil
	s.Settings, s.More = maps.Clone(w.Settings), slices.Clone(w.More)
	files, err := os.ReadDir(w.Dir)
	if err != nil {
		w.T.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".pem") && !strings.HasSuffix(f.Name(), ".key") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(w.Dir, f.Name()))
		if err != nil {
			w.T.Fatal(err)
		}
		s.Write(f.Name(), content)
	}
	return &s
}
