package peers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// Fault is what is wrong with a whole zone.
type Fault string

// The faults. A zone without one is signed and validates.
const (
	Unsigned    Fault = "unsigned"     // there are no signatures, and the zone above proves that there are none
	Expired     Fault = "expired"      // the signatures ended a month ago
	Bogus       Fault = "bogus"        // no signature fits its record, but those of the keys
	WrongAnchor Fault = "wrong-anchor" // the zone above vouches for another key than the zone is signed with
	Failing     Fault = "failing"      // its name server answers SERVFAIL; as "_tcp.mx.good.test" to TLSA alone
)

// SignedZone is a zone of a SignedDNS.
type SignedZone struct {
	Name string // "good.test"
	// Records are lines of a zone file with absolute names: "mx.good.test. A 127.0.0.2". SOA, NS and the delegation of
	// zones below come of themselves.
	Records string
	Fault   Fault
	// Bogus are record sets, "mx.good.test A", whose signatures do not fit while the rest of the zone is good. What
	// they say stays true: whoever does not validate finds nothing wrong with them.
	Bogus []string
	// NSEC3 proves what does not exist by hashes of names and not by names.
	NSEC3 bool
}

// SignedDNS is a name server with zones and a resolver before it that validates them.
type SignedDNS struct {
	// Resolver is the address to ask: "127.0.0.1:40000". Its answers carry AD where they were validated; those that do
	// not validate are SERVFAIL with an extended error (RFC 8914).
	Resolver string
	// Nameserver is the address of the same resolver for programs that know port 53 alone, "127.53.7.9"; "" where that
	// port cannot be had.
	Nameserver string

	t         testing.TB
	dir       string
	port      int // of nsd
	failing   int // of a name server that answers SERVFAIL
	zones     []SignedZone
	changes   uint32 // the serial of the zone changed last
	anchors   Fault  // what is wrong with the resolver's trust anchor
	nsd       *Process
	unbound   *Process
	finger    sync.Once // see PosttlsFingerDANE
	fingerDir string
}

// NewSignedDNS starts nsd with the zones, signed by ldns-signzone, and a root above them, and unbound with the key of
// that root as its only trust anchor. All other names do not exist, and nothing is asked of the world. Answers may not
// be cached, neither positive nor negative nor bogus ones.
func NewSignedDNS(t testing.TB, zones ...SignedZone) *SignedDNS {
	t.Helper()
	s := &SignedDNS{t: t, dir: folder(t, "signeddns"), port: FreePort(t, "127.0.0.1"), changes: 1,
		zones: append([]SignedZone{{Name: "."}}, zones...)}
	for _, z := range s.zones {
		s.sign(z)
	}
	s.nsd = start(t, "nsd", "", nil, program(t, "usr/sbin/nsd"), "-d", "-c", s.nsdConf())
	s.awaitNSD()
	s.fail()
	s.listen()
	s.unbound = start(t, "unbound", "", nil, program(t, "usr/sbin/unbound"), "-d", "-c", s.unboundConf())
	s.awaitUnbound()
	return s
}

// Replace puts another zone in the place of the one of the same name, signed anew with the same key, and returns when
// the resolver's answers are those of the new one.
func (s *SignedDNS) Replace(z SignedZone) {
	s.t.Helper()
	i := slices.IndexFunc(s.zones, func(old SignedZone) bool { return old.Name == z.Name })
	if i < 0 {
		s.t.Fatalf("there is no zone %s to replace", z.Name)
	}
	s.zones[i] = z
	s.changes++
	for _, other := range s.zones {
		if inZone(z.Name, other.Name) {
			s.sign(other)
		}
	}
	s.hangUp(s.nsd)
	s.awaitNSD()
	s.unboundConf()
	s.hangUp(s.unbound) // it reads its configuration and forgets what it knows
	s.awaitUnbound()
}

// Anchor changes what the resolver believes, and returns when it does: "" is the root's own key, WrongAnchor another
// one, so that nothing validates, Unsigned none at all, so that every answer is given without AD.
func (s *SignedDNS) Anchor(f Fault) {
	s.t.Helper()
	s.anchors = f
	s.changes++
	s.unboundConf()
	s.hangUp(s.unbound)
	s.awaitUnbound()
}

// trustAnchor is the line of unbound's configuration.
func (s *SignedDNS) trustAnchor() string {
	if s.anchors == Unsigned {
		return ""
	}
	return fmt.Sprintf(" trust-anchor: %q\n", s.anchor(SignedZone{Name: ".", Fault: s.anchors}))
}

// inZone reports whether a name is at or below that of a zone.
func inZone(name, zone string) bool { return wire.IsSubDomain(wire.Fqdn(zone), wire.Fqdn(name)) }

// delegations are the records of a zone for those right below it.
func (s *SignedDNS) delegations(above SignedZone) string {
	s.t.Helper()
	var records strings.Builder
	for _, z := range s.zones {
		below := func(name, zone string) bool { return name != zone && inZone(name, zone) }
		between := func(other SignedZone) bool { return below(z.Name, other.Name) && below(other.Name, above.Name) }
		if !below(z.Name, above.Name) || slices.ContainsFunc(s.zones, between) {
			continue
		}
		fmt.Fprintf(&records, "%[1]s. NS ns.%[1]s.\nns.%[1]s. A 127.0.0.1\n", z.Name)
		if z.Fault != Unsigned && z.Fault != Failing && above.Fault != Unsigned {
			records.WriteString(s.anchor(z) + "\n")
		}
	}
	return records.String()
}

func (s *SignedDNS) hangUp(p *Process) {
	s.t.Helper()
	if err := syscall.Kill(p.cmd.Process.Pid, syscall.SIGHUP); err != nil {
		s.t.Fatalf("%s: %v\n%s", p.name, err, p.Log())
	}
}

// fail starts a name server that answers nothing but SERVFAIL.
func (s *SignedDNS) fail() {
	s.t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.failing = conn.LocalAddr().(*net.UDPAddr).Port
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		packet := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			q := new(wire.Msg)
			if q.Unpack(packet[:n]) != nil {
				continue
			}
			if answer, err := new(wire.Msg).SetRcode(q, wire.RcodeServerFailure).Pack(); err == nil {
				_, _ = conn.WriteTo(answer, from) // who does not get it asks again
			}
		}
	}()
	s.t.Cleanup(func() {
		conn.Close()
		<-ended
	})
}

// lastNameserver counts the addresses tried, so that two resolvers of one process never want the same.
var lastNameserver atomic.Uint32

// listen chooses where the resolver is asked.
func (s *SignedDNS) listen() {
	s.Resolver = fmt.Sprintf("127.0.0.1:%d", FreePort(s.t, "127.0.0.1"))
	for range 20 {
		ip := fmt.Sprintf("127.53.%d.%d", os.Getpid()&0xff, lastNameserver.Add(1)&0xff)
		packets, err := net.ListenPacket("udp4", ip+":53")
		if err != nil {
			continue
		}
		streams, err := net.Listen("tcp4", ip+":53")
		packets.Close()
		if err != nil {
			continue
		}
		streams.Close()
		s.Nameserver = ip
		return
	}
}

// await asks a server until its answer has a record with a text.
func (s *SignedDNS) await(p *Process, address, name string, qtype uint16, want string) {
	s.t.Helper()
	q := new(wire.Msg).SetQuestion(wire.Fqdn(name), qtype)
	client := wire.Client{Timeout: time.Second}
	last := "nothing"
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		answer, _, err := client.Exchange(q, address)
		if err == nil {
			last = answer.String()
			if strings.Contains(last, want) {
				return
			}
		}
		select {
		case <-p.done:
			s.t.Fatalf("%s ended:\n%s", p.name, p.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.t.Fatalf("%s does not answer with %q but %s:\n%s", p.name, want, last, p.Log())
}

func (s *SignedDNS) awaitNSD() {
	s.t.Helper()
	s.await(s.nsd, fmt.Sprintf("127.0.0.1:%d", s.port), ".", wire.TypeSOA, fmt.Sprintf(" %d 1 1 1 0", s.changes))
}

func (s *SignedDNS) awaitUnbound() {
	s.t.Helper()
	s.await(s.unbound, s.Resolver, "ready.lab", wire.TypeTXT, fmt.Sprintf("%q", fmt.Sprint("change ", s.changes)))
}

// nsdConf writes the configuration of nsd.
func (s *SignedDNS) nsdConf() string {
	var conf strings.Builder
	fmt.Fprintf(&conf, `server:
 ip-address: 127.0.0.1@%d
 server-count: 1
 username: ""
 chroot: ""
 pidfile: ""
 database: ""
 zonesdir: "%[2]s"
 zonelistfile: "%[2]s/zone.list"
 xfrdfile: "%[2]s/xfrd.state"
 xfrdir: "%[2]s"
 rrl-ratelimit: 0
remote-control:
 control-enable: no
`, s.port, s.dir)
	for _, z := range s.zones {
		fmt.Fprintf(&conf, "zone:\n name: %q\n zonefile: %q\n", z.Name, file(z)+".served")
	}
	return write(s.t, s.dir, "nsd.conf", []byte(conf.String()), 0o644)
}

// unboundConf writes the configuration of unbound.
func (s *SignedDNS) unboundConf() string {
	var conf strings.Builder
	_, port, _ := strings.Cut(s.Resolver, ":")
	fmt.Fprintf(&conf, `server:
 directory: "%s"
 chroot: ""
 username: ""
 pidfile: ""
 use-syslog: no
 logfile: ""
 do-daemonize: no
 num-threads: 1
 so-reuseport: no
 interface: 127.0.0.1@%s
 access-control: 127.0.0.0/8 allow
 do-ip6: no
 do-not-query-localhost: no
 module-config: "validator iterator"
%s trust-anchor-signaling: no
 val-log-level: 2
 ede: yes
 qname-minimisation: no
 aggressive-nsec: no
 cache-max-ttl: 0
 cache-max-negative-ttl: 0
 val-bogus-ttl: 0
 local-zone: "test." nodefault
 local-data: 'ready.lab. TXT "change %d"'
`, s.dir, port, s.trustAnchor(), s.changes)
	if s.Nameserver != "" {
		fmt.Fprintf(&conf, " interface: %s@53\n", s.Nameserver)
	}
	fmt.Fprint(&conf, "remote-control:\n control-enable: no\n")
	for _, z := range s.zones {
		port := s.port
		if z.Fault == Failing {
			port = s.failing
		}
		fmt.Fprintf(&conf, "stub-zone:\n name: %q\n stub-addr: 127.0.0.1@%d\n", z.Name, port)
	}
	return write(s.t, s.dir, "unbound.conf", []byte(conf.String()), 0o644)
}

// key returns the path of a zone's key without its endings, made when it is first asked for. which is "" for the key
// that signs, "other" for one that does not.
func (s *SignedDNS) key(z SignedZone, which string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "keys", file(z)+which)
	if made, _ := filepath.Glob(filepath.Join(dir, "*.private")); len(made) == 1 {
		return strings.TrimSuffix(made[0], ".private")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	return filepath.Join(dir, strings.TrimSpace(s.ldns(dir, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", z.Name)))
}

// anchor is the record that vouches for the key of a zone.
func (s *SignedDNS) anchor(z SignedZone) string {
	s.t.Helper()
	which := ""
	if z.Fault == WrongAnchor {
		which = "other"
	}
	ds, err := os.ReadFile(s.key(z, which) + ".ds")
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(ds)), " ")
}

// sign writes the file of a zone as nsd serves it.
func (s *SignedDNS) sign(z SignedZone) {
	s.t.Helper()
	name := wire.Fqdn(z.Name)
	below := "." + strings.TrimPrefix(name, ".")
	plain := fmt.Sprintf("$TTL 1\n%[1]s SOA ns%[2]s host%[2]s %[3]d 1 1 1 0\n%[1]s NS ns%[2]s\nns%[2]s A 127.0.0.1\n",
		name, below, s.changes)
	for line := range strings.Lines(z.Records) {
		plain += strings.TrimSpace(line) + "\n" // a blank in front would mean the owner before
	}
	plain += s.delegations(z)
	path := write(s.t, s.dir, file(z)+".plain", []byte(plain), 0o644)
	served := []byte(plain)
	if z.Fault != Unsigned {
		signed := filepath.Join(s.dir, file(z)+".signed")
		args := []string{"-o", z.Name, "-f", signed}
		if z.NSEC3 {
			args = append(args, "-n", "-t", "0")
		}
		if z.Fault == Expired {
			args = append(args, "-i", day(-60), "-e", day(-30))
		}
		s.ldns(s.dir, "ldns-signzone", append(args, path, s.key(z, ""))...)
		var err error
		if served, err = os.ReadFile(signed); err != nil {
			s.t.Fatal(err)
		}
	}
	write(s.t, s.dir, file(z)+".served", []byte(s.spoil(z, string(served))), 0o644)
}

// file is the name of a zone's files without their endings.
func file(z SignedZone) string { return "zone-" + strings.TrimSuffix(z.Name, ".") }

// day is a date some days from now, as the tools take it.
func day(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format("20060102150405") }

// spoil changes the signatures that are not to fit.
func (s *SignedDNS) spoil(z SignedZone, signed string) string {
	s.t.Helper()
	found := map[string]bool{}
	var out strings.Builder
	for line := range strings.Lines(signed) {
		// owner TTL IN RRSIG type algorithm labels TTL end begin tag signer signature
		f := strings.Fields(line)
		if len(f) == 13 && f[3] == "RRSIG" {
			set := strings.TrimSuffix(f[0], ".") + " " + f[4]
			if slices.Contains(z.Bogus, set) || z.Fault == Bogus && f[4] != "DNSKEY" {
				found[set] = true
				other := "A"
				if f[12][0] == 'A' {
					other = "B"
				}
				line = strings.Join(f[:12], " ") + " " + other + f[12][1:] + "\n"
			}
		}
		out.WriteString(line)
	}
	for _, set := range z.Bogus {
		if !found[set] {
			s.t.Fatalf("the zone %s has no signature over %s", z.Name, set)
		}
	}
	return out.String()
}

// ldns runs one of the tools and returns what it printed.
func (s *SignedDNS) ldns(dir, name string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(program(s.t, "usr/bin/"+name), args...)
	cmd.Dir, cmd.Env = dir, environment(s.t)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return string(out)
}
