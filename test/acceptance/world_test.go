// Package acceptance holds the gateway to what it promises, from outside: the real binary as a process, driven by its
// own command line, between partners on the loopback that have every fault partners have. Time is compressed by the
// configuration: windows and retry intervals of seconds stand for hours.
package acceptance

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/zone"
)

// patience is how long anything may take that should take a moment, on a busy machine.
const patience = 20 * time.Second

// binary is the gateway, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postern-acceptance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "postern")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "postern/cmd/postern")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		_ = flag.Set("test.parallel", "6") // these tests mostly wait; -parallel on the command line wins
		code = m.Run()
	}
	_ = os.RemoveAll(dir) // in the temporary folder
	os.Exit(code)
}

// lastIP counts the loopback addresses given out, so that worlds running side by side never meet.
var lastIP atomic.Uint32

// newIP is a loopback address of its own. The process id keeps test processes apart.
func newIP() string {
	n := lastIP.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()%128, n>>8&0xff, n&0xff)
}

// world is a gateway and everything around it: a CA, a name server, the organisation home.test with its own server,
// partners, and a folder with the files an administrator would write.
type world struct {
	t     *testing.T
	dir   string
	now   time.Time
	ca    *pki.CA
	names *zone.Server
	zone  []string
	port  int // of every partner
	hosts map[string]*partner.Partner

	addr     string            // where the gateway takes mail
	settings map[string]string // "section.key" to its TOML value
	more     []string          // further tables of the configuration
	process  *process
}

// newWorld makes a world without partners; its gateway is not started yet. The domain home.test is the organisation's
// own, behind a server with a good certificate.
func newWorld(t *testing.T) *world {
	t.Helper()
	now := time.Now()
	w := &world{t: t, dir: t.TempDir(), now: now, ca: pki.New(now, "Acceptance Root"), hosts: map[string]*partner.Partner{}}
	var err error
	if w.names, err = zone.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range w.hosts {
			p.Close()
		}
		_ = w.names.Close() // nobody asks any more
	})
	w.addr = freeAddress(t)
	w.settings = map[string]string{
		"hostname": `"gw.home.test"`, "data": `"data"`,
		"tls.certificates": `[{ cert = "gw.pem", key = "gw.key" }]`,
		"relay.networks":   `["127.0.0.1/32"]`,
		"dns.servers":      fmt.Sprintf("[%q]", w.names.Addr()),

		"delivery.deny_networks": "[]", "delivery.retry": `["1s"]`, "delivery.lifetime": `"60s"`, "delivery.delay_notice": "0",
		"delivery.attempt_timeout": `"5s"`, "delivery.idle_time": `"1s"`,
		"trust.roots": `"ca.pem"`, "admin.listen": `""`, "limits.drain_time": `"5s"`,
	}
	w.write("ca.pem", w.ca.RootPEM())
	w.certificate("gw", "gw.home.test")
	w.partner("mail.home.test", w.good("mail.home.test"))
	w.own("home.test", "mail.home.test", "ca.pem")
	return w
}

// freeAddress is a loopback address and port that nothing uses.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", newIP()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (w *world) write(name string, content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// certificate writes NAME.pem and NAME.key for host names.
func (w *world) certificate(name string, hosts ...string) {
	w.t.Helper()
	c := w.ca.Issue(pki.Options{Names: hosts})
	w.write(name+".pem", c.CertPEM)
	w.write(name+".key", c.KeyPEM)
}

// own adds a domain that the gateway receives for, with the CA file that vouches for its server ("" for public trust).
func (w *world) own(domain, server, trust string) {
	w.more = append(w.more, fmt.Sprintf("[[domain]]\nname = %q\ndeliver_to = [\"%s:%d\"]\ntrust = %q\n", domain, server, w.port, trust))
}

// offers is TLS with a certificate.
func (w *world) offers(o pki.Options) partner.Behaviour {
	return partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{w.ca.Issue(o).TLS}}}
}

func (w *world) good(host string) partner.Behaviour {
	return w.offers(pki.Options{Names: []string{host}})
}

func (w *world) expired(host string) partner.Behaviour {
	return w.offers(pki.Options{Names: []string{host}, NotAfter: w.now.Add(-26 * time.Hour)})
}

// partner starts a mail server and puts its address into DNS.
func (w *world) partner(host string, b partner.Behaviour) *partner.Partner {
	w.t.Helper()
	ip := newIP()
	p, err := partner.Listen(host, fmt.Sprintf("%s:%d", ip, w.port), b)
	if err != nil {
		w.t.Fatal(err)
	}
	w.port = p.Addr().(*net.TCPAddr).Port
	w.hosts[host] = p
	w.record(host + " A " + ip)
	return p
}

// domain starts one partner for a domain, mx.DOMAIN, in DNS that is not signed, as most of the world's is not.
func (w *world) domain(domain string, b partner.Behaviour) *partner.Partner {
	w.t.Helper()
	w.record("!" + domain + " MX 10 mx." + domain)
	return w.partner("mx."+domain, b)
}

// record adds lines to DNS.
func (w *world) record(lines ...string) {
	w.t.Helper()
	w.zone = append(w.zone, lines...)
	if err := w.names.Set(strings.Join(w.zone, "\n")); err != nil {
		w.t.Fatal(err)
	}
}

// home is the organisation's own server, where notices to its people arrive.
func (w *world) home() *partner.Partner { return w.hosts["mail.home.test"] }

// forbidden are the mail commands a server has heard that must not have come at all: over a connection without TLS, or,
// where proven is false, over any.
func forbidden(p *partner.Partner, proven bool) (out []string) {
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

// eventually waits until ok, or fails the test.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// bodies are the messages at a server whose content holds a text.
func bodies(p *partner.Partner, text string) (out []partner.Message) {
	for _, m := range p.Messages() {
		if strings.Contains(m.Data, text) {
			out = append(out, m)
		}
	}
	return out
}
