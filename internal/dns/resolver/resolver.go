package resolver

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/dns"
	"postern/internal/mail"
)

// Config says whom to ask. The zero value asks the servers of /etc/resolv.conf.
type Config struct {
	// Servers are asked in this order, those alone whose AD bit is believed where there is one: "192.0.2.1",
	// "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353". When empty, the nameserver lines of ResolvConf are used,
	// and read again when the file changes.
	Servers []string
	// ResolvConf is the file used when Servers is empty; "" means /etc/resolv.conf.
	ResolvConf string
	// TrustAD says whose AD bit is believed.
	TrustAD Trust
	// TryTimeout bounds the first try at a server; it doubles with each round. 0 means 2 s.
	TryTimeout time.Duration
	// Rounds is how often a server that does not answer is asked; 0 means 3.
	Rounds int
	// Total bounds one question with everything that it takes; 0 means 20 s.
	Total time.Duration
	// CacheBytes bounds the cache; 0 means 16 MiB.
	CacheBytes int
	// Transport carries the packets; nil means UDP and TCP sockets. Tests put a zone in memory here.
	Transport Transport
}

// Trust says whose AD bit is believed (RFC 4035 §4.9.3).
type Trust uint8

// Whose AD bit is believed. "options trust-ad" in ResolvConf makes TrustLoopback of its servers TrustAll.
const (
	TrustLoopback Trust = iota // that of servers on the loopback
	TrustAll                   // everybody's: the way to the servers is safe
	TrustNone                  // nobody's: no answer is ever secure
)

// Transport sends query to server over network "udp" or "tcp" (without the length prefix of TCP) and hands replies to
// accept until that returns true, the stream ends or ctx ends. It returns nil only if accept returned true, and it does
// not keep the slices.
type Transport func(ctx context.Context, network string, server netip.AddrPort, query []byte,
	accept func(reply []byte) bool) error

// Resolver is a dns.Resolver. It is safe for concurrent use and owns nothing that must be closed: no goroutine and no
// socket outlives a call.
type Resolver struct {
	cfg     Config
	servers *servers
	cache   cache

	mu      sync.Mutex // guards flights
	flights map[question]*flight
}

var _ dns.Resolver = (*Resolver)(nil)

// Validates reports whether an answer can come back as validated at all: whether the word of any server about
// signatures is believed. It says nothing about whether such a server validates.
func (r *Resolver) Validates() bool { return r.servers.validates(time.Now()) }

// Idle lists the servers that are named and never asked, because another one's word about signatures is believed and
// theirs is not: what they say of a name would unsay it where the other is silent. None where all are alike.
func (r *Resolver) Idle() (out []netip.AddrPort) {
	_, idle := r.servers.split(time.Now())
	for _, s := range idle {
		out = append(out, s.addr)
	}
	return out
}

// New checks cfg. It does not ask anything, and a missing resolv.conf is no error (the loopback is asked then).
func New(cfg Config) (*Resolver, error) {
	if cfg.ResolvConf == "" {
		cfg.ResolvConf = "/etc/resolv.conf"
	}
	cfg.TryTimeout = cmp.Or(max(cfg.TryTimeout, 0), 2*time.Second)
	cfg.Rounds = cmp.Or(max(cfg.Rounds, 0), 3)
	cfg.Total = cmp.Or(max(cfg.Total, 0), 20*time.Second)
	cfg.CacheBytes = cmp.Or(max(cfg.CacheBytes, 0), 16<<20)
	if cfg.Transport == nil {
		cfg.Transport = sockets
	}
	s, err := newServers(cfg)
	if err != nil {
		return nil, err
	}
	r := &Resolver{cfg: cfg, servers: s, flights: make(map[question]*flight)}
	r.cache.limit = cfg.CacheBytes
	return r, nil
}

// Forget empties the cache, so that a change in DNS is seen at once.
func (r *Resolver) Forget() { r.cache.clear() }

// MX implements dns.Resolver.
func (r *Resolver) MX(ctx context.Context, name mail.Domain) (dns.MXAnswer, error) {
	info, rrs, err := r.follow(ctx, name, wire.TypeMX)
	answer := dns.MXAnswer{Info: info}
	for _, rr := range rrs {
		if mx, ok := rr.(*wire.MX); ok {
			host, text := hostName(mx.Mx)
			answer.Records = append(answer.Records, dns.MX{Pref: mx.Preference, Host: host, Text: text})
		}
	}
	return answer, err
}

// Addrs implements dns.Resolver.
func (r *Resolver) Addrs(ctx context.Context, name mail.Domain) dns.Addresses {
	var a dns.Addresses
	var wg sync.WaitGroup
	six, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { a.V6 = r.family(six, name, wire.TypeAAAA) })
	a.V4 = r.family(ctx, name, wire.TypeA)
	if len(a.V4.Addrs) > 0 { // there is a way: one try more for the other family, and no round after it
		defer time.AfterFunc(r.cfg.TryTimeout*3/2, cancel).Stop()
	}
	wg.Wait()
	return a
}

func (r *Resolver) family(ctx context.Context, name mail.Domain, qtype uint16) dns.Family {
	info, rrs, err := r.follow(ctx, name, qtype)
	f := dns.Family{Info: info, Err: err}
	for _, rr := range rrs {
		var ip netip.Addr
		var ok bool
		switch rr := rr.(type) {
		case *wire.A:
			ip, ok = netip.AddrFromSlice(rr.A.To4())
		case *wire.AAAA:
			ip, ok = netip.AddrFromSlice(rr.AAAA.To16())
		}
		if ok {
			f.Addrs = append(f.Addrs, ip)
		}
	}
	return f
}

// CNAME implements dns.Resolver.
func (r *Resolver) CNAME(ctx context.Context, name mail.Domain) (dns.CNAMEAnswer, error) {
	info, rrs, err := r.follow(ctx, name, wire.TypeCNAME)
	answer := dns.CNAMEAnswer{Info: info}
	for _, rr := range rrs {
		if c, ok := rr.(*wire.CNAME); ok {
			answer.Target, _ = hostName(c.Target)
			if answer.Target.IsZero() {
				return dns.CNAMEAnswer{Info: dns.Info{Name: name}},
					r.fault(dns.Malformed, question{name, wire.TypeCNAME}, "",
						fmt.Errorf("the alias points to %s, which no host can be called", c.Target))
			}
		}
	}
	return answer, err
}

// TXT implements dns.Resolver.
func (r *Resolver) TXT(ctx context.Context, name mail.Domain) (dns.TXTAnswer, error) {
	info, rrs, err := r.follow(ctx, name, wire.TypeTXT)
	answer := dns.TXTAnswer{Info: info}
	for _, rr := range rrs {
		if txt, ok := rr.(*wire.TXT); ok {
			answer.Texts = append(answer.Texts, unescape(strings.Join(txt.Txt, "")))
		}
	}
	return answer, err
}

// TLSA implements dns.Resolver.
func (r *Resolver) TLSA(ctx context.Context, name mail.Domain) (dns.TLSAAnswer, error) {
	info, rrs, err := r.follow(ctx, name, wire.TypeTLSA)
	answer := dns.TLSAAnswer{Info: info}
	for _, rr := range rrs {
		t, ok := rr.(*wire.TLSA)
		if !ok {
			continue
		}
		data, hexErr := hex.DecodeString(t.Certificate)
		if hexErr != nil {
			return dns.TLSAAnswer{Info: dns.Info{Name: name}},
				r.fault(dns.Malformed, question{name, wire.TypeTLSA}, "", hexErr)
		}
		answer.Records = append(answer.Records, dns.TLSA{Usage: t.Usage, Selector: t.Selector, Matching: t.MatchingType,
			Data: data})
	}
	return answer, err
}

// fault makes the error of a question.
func (r *Resolver) fault(kind dns.Kind, q question, server string, cause error) *dns.Error {
	e := &dns.Error{Kind: kind, Name: q.name, Type: wire.TypeToString[q.qtype], Server: server, Err: cause}
	for _, known := range []error{errCapitals, errTruncated, errStray} {
		if errors.Is(cause, known) {
			e.Oddity = known.Error()
		}
	}
	return e
}
