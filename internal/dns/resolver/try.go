package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/dns"
)

// ednsSize is the UDP size we offer, small enough to arrive in one piece on every path (DNS flag day 2020).
const ednsSize = 1232

// failure is how one try ended without an answer. Its kind is one of dns.Kind, never NXDomain.
type failure struct {
	kind  dns.Kind
	cause error
}

func (f *failure) Error() string { return f.kind.String() + ": " + f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// query is a packed question with what a reply to it must repeat.
type query struct {
	packed []byte
	id     uint16
	name   string // in random case
	qtype  uint16
}

// newQuery packs q, with OPT where room is offered for the reply. The AD bit in a question asks for the AD bit in the
// answer without the signatures (RFC 6840 §5.7).
func newQuery(q question, room uint16) (*query, error) {
	m := new(wire.Msg)
	name := randomCase(fqdn(q.name))
	m.SetQuestion(name, q.qtype)
	m.AuthenticatedData = true
	if room > 0 {
		m.SetEdns0(room, false)
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, err
	}
	return &query{packed: packed, id: m.Id, name: name, qtype: q.qtype}, nil
}

// fit is how well a packet fits a query.
type fit int

const (
	alien     fit = iota // not a reply to this query: ours is still to come
	unfit                // a reply to our ID that cannot be used: ask over TCP
	fitsBadly            // fits, but for the capitals of the name: ask over TCP, where nobody can forge it blindly
	fits
)

// judge parses packet as a reply to q.
func (q *query) judge(packet []byte) (*wire.Msg, fit) {
	const headerSize = 12
	if len(packet) < headerSize || binary.BigEndian.Uint16(packet) != q.id || packet[2]&0x80 == 0 {
		return nil, alien
	}
	m := new(wire.Msg)
	if err := m.Unpack(packet); err != nil {
		// A reply cut off in the middle of a record still says that it is truncated.
		if m.Truncated && len(m.Question) == 1 {
			return m, q.judgeQuestion(m)
		}
		return nil, unfit
	}
	if m.Opcode != wire.OpcodeQuery {
		return nil, alien
	}
	if len(m.Question) == 0 && m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError {
		return m, fits // servers that understood nothing repeat nothing
	}
	if len(m.Question) == 0 && m.Rcode == wire.RcodeSuccess && len(m.Answer) > 0 {
		return m, fitsBadly // its records have the name of the question, or are passed over later
	}
	if len(m.Question) != 1 {
		return nil, alien
	}
	return m, q.judgeQuestion(m)
}

func (q *query) judgeQuestion(m *wire.Msg) fit {
	asked := m.Question[0]
	switch {
	case asked.Qtype != q.qtype || asked.Qclass != wire.ClassINET || !strings.EqualFold(asked.Name, q.name):
		return alien
	case asked.Name != q.name:
		return fitsBadly
	}
	return fits
}

// try asks one server: over UDP, and over TCP if the reply was cut short or does not look right. What a server of some
// oddity is asked instead stands in oddity.go. Plain asks without OPT.
func (r *Resolver) try(ctx context.Context, s *server, q question, timeout time.Duration,
	plain bool) (*reply, *failure) {
	m, how, f := r.exchange(ctx, "udp", s, q, timeout, plain)
	if f != nil {
		return nil, f
	}
	if how == fits && !m.Truncated {
		return classify(m, s.trusted)
	}
	over, how2, f := r.exchange(ctx, "tcp", s, q, timeout, plain)
	switch {
	case f == nil && how2 != unfit && !over.Truncated:
		return classify(over, s.trusted)
	case f == nil:
		return nil, &failure{dns.Malformed, errUnfit}
	case how == unfit:
		return nil, f
	case m.Truncated:
		return r.wider(ctx, s, q, timeout)
	}
	return r.thrice(ctx, s, q, timeout, m)
}

// exchange sends q over one network, and again without OPT where that is in the way.
func (r *Resolver) exchange(ctx context.Context, network string, s *server, q question, timeout time.Duration,
	plain bool) (*wire.Msg, fit, *failure) {
	if plain || !s.edns(time.Now()) {
		return r.send(ctx, network, s, q, timeout, 0)
	}
	m, how, f := r.send(ctx, network, s, q, timeout, ednsSize)
	if f != nil || how == unfit || !needsPlain(m) {
		if f == nil {
			s.optInTheWay(false, time.Now())
		}
		return m, how, f
	}
	without, how2, f := r.send(ctx, network, s, q, timeout, 0)
	if f != nil {
		return m, how, nil // the answer there is
	}
	if how2 != unfit && without.Rcode != m.Rcode {
		s.optInTheWay(true, time.Now())
	}
	return without, how2, nil
}

// wider asks over UDP with more room, for a server whose answer does not fit and that cannot be asked over TCP.
func (r *Resolver) wider(ctx context.Context, s *server, q question, timeout time.Duration) (*reply, *failure) {
	m, how, f := r.send(ctx, "udp", s, q, timeout, wideSize)
	switch {
	case f != nil || how == unfit || m.Truncated:
		return nil, &failure{dns.Timeout, errTruncated}
	case how == fits:
		return classify(m, s.trusted)
	}
	return r.thrice(ctx, s, q, timeout, m)
}

// thrice takes the reply of a server that does not keep capitals if two more say the same, of signatures too.
func (r *Resolver) thrice(ctx context.Context, s *server, q question, timeout time.Duration,
	first *wire.Msg) (*reply, *failure) {
	replies := []*wire.Msg{first}
	for range 2 {
		m, how, f := r.send(ctx, "udp", s, q, timeout, 0)
		if f != nil {
			return nil, f
		}
		if how == unfit || m.Truncated || len(m.Question) != 1 {
			return nil, &failure{dns.Malformed, errCapitals}
		}
		replies = append(replies, m)
	}
	if len(first.Question) != 1 || !agreed(replies...) {
		return nil, &failure{dns.Malformed, errCapitals}
	}
	return classify(first, s.trusted)
}

// send sends q once and returns the reply that fits it best.
func (r *Resolver) send(ctx context.Context, network string, s *server, q question, timeout time.Duration,
	room uint16) (*wire.Msg, fit, *failure) {
	query, err := newQuery(q, room)
	if err != nil {
		return nil, alien, &failure{dns.Malformed, err}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var m *wire.Msg
	how := alien
	err = r.cfg.Transport(ctx, network, s.addr, query.packed, func(packet []byte) bool {
		m, how = query.judge(packet)
		return how != alien
	})
	if err == nil && how == alien {
		err = errUnfit
	}
	if err != nil {
		return nil, alien, &failure{dns.Timeout, err}
	}
	return m, how, nil
}

// classify turns a reply that fits into what it means.
func classify(m *wire.Msg, trusted bool) (*reply, *failure) {
	switch m.Rcode {
	case wire.RcodeSuccess, wire.RcodeNameError:
	case wire.RcodeRefused:
		return nil, &failure{dns.Refused, errors.New("REFUSED")}
	case wire.RcodeServerFailure:
		return nil, servfail(m)
	default:
		return nil, &failure{dns.ServFail, fmt.Errorf("response code %d", m.Rcode)}
	}
	soa := findSOA(m.Ns)
	if m.Rcode == wire.RcodeSuccess && len(m.Answer) == 0 && soa == nil && !m.RecursionAvailable && !m.Authoritative {
		return nil, &failure{dns.Refused, errors.New("the server only refers to others")}
	}
	out := &reply{
		records:  m.Answer,
		nxdomain: m.Rcode == wire.RcodeNameError,
		nodata:   m.Rcode == wire.RcodeSuccess && soa != nil,
		secure:   trusted && m.AuthenticatedData,
		ttl:      maxTTL,
		size:     m.Len(),
	}
	for _, rr := range m.Answer {
		out.ttl = min(out.ttl, seconds(rr.Header().Ttl))
	}
	switch {
	case soa != nil:
		out.ttl = min(out.ttl, maxNegative, seconds(soa.Hdr.Ttl), seconds(soa.Minttl))
	case out.nxdomain || len(m.Answer) == 0:
		out.ttl = min(out.ttl, noSOA)
	}
	out.expires = time.Now().Add(out.ttl)
	return out, nil
}

// seconds reads a TTL; one with the highest bit set counts as 0 (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

func findSOA(authority []wire.RR) *wire.SOA {
	for _, rr := range authority {
		if soa, ok := rr.(*wire.SOA); ok {
			return soa
		}
	}
	return nil
}

// servfail tells a failed validation from other failures by the extended error of RFC 8914, where the server sent one.
func servfail(m *wire.Msg) *failure {
	f := &failure{dns.ServFail, errors.New("SERVFAIL")}
	opt := m.IsEdns0()
	if opt == nil {
		return f
	}
	for _, o := range opt.Option {
		ede, ok := o.(*wire.EDNS0_EDE)
		if !ok {
			continue
		}
		f.cause = fmt.Errorf("SERVFAIL, extended error %d", ede.InfoCode)
		switch ede.InfoCode {
		case wire.ExtendedErrorCodeDNSBogus, wire.ExtendedErrorCodeSignatureExpired,
			wire.ExtendedErrorCodeSignatureNotYetValid, wire.ExtendedErrorCodeDNSKEYMissing,
			wire.ExtendedErrorCodeRRSIGsMissing, wire.ExtendedErrorCodeNoZoneKeyBitSet,
			wire.ExtendedErrorCodeNSECMissing, wire.ExtendedErrorCodeSignatureExpiredBeforeValid:
			f.kind = dns.Bogus
			return f
		}
	}
	return f
}
