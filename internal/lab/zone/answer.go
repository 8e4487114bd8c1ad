package zone

import (
	wire "github.com/miekg/dns"
)

// Answer returns the packet that the zone answers query with over "udp" or "tcp"; nil means silence over UDP, and over
// TCP that the stream is closed without a word.
func (z *Zone) Answer(network string, query []byte) []byte {
	var q wire.Msg
	if err := q.Unpack(query); err != nil || q.Response || len(q.Question) != 1 {
		return nil
	}
	out := z.lookup(q.Question[0].Name, q.Question[0].Qtype)
	m := new(wire.Msg)
	m.SetReply(&q)
	m.RecursionAvailable = true
	opt := q.IsEdns0()
	if opt != nil {
		m.SetEdns0(opt.UDPSize(), opt.Do())
	}
	switch out.failure {
	case timeout:
		return nil
	case garbage:
		return append(append([]byte{}, query[:2]...), 0xff, 0x00, 0x00, 0xff)
	case cut:
		if network == "tcp" {
			return nil
		}
		m.Truncated = true
		return pack(m)
	case truncated:
		if network == "udp" {
			m.Truncated = true
			return pack(m)
		}
	case servfail, bogus, refused, notimp:
		refuse(m, out.failure)
		return pack(m)
	}
	m.Rcode = out.rcode
	m.Answer = out.answer
	m.AuthenticatedData = !out.unsigned && (q.AuthenticatedData || opt != nil && opt.Do())
	if last := len(out.answer) - 1; last < 0 || out.rcode != wire.RcodeSuccess ||
		isDangling(out.answer[last], q.Question[0].Qtype) {
		m.Ns = []wire.RR{soa()}
	}
	if network == "udp" {
		fitUDP(m, opt)
	}
	return pack(m)
}

// isDangling reports whether the answer ends with an alias that was not asked for: there is no such record at its end.
func isDangling(last wire.RR, qtype uint16) bool {
	return last.Header().Rrtype == wire.TypeCNAME && qtype != wire.TypeCNAME
}

func refuse(m *wire.Msg, f failure) {
	switch f {
	case refused:
		m.Rcode = wire.RcodeRefused
	case notimp:
		m.Rcode = wire.RcodeNotImplemented
	default:
		m.Rcode = wire.RcodeServerFailure
	}
	if opt := m.IsEdns0(); opt != nil && f == bogus {
		opt.Option = append(opt.Option, &wire.EDNS0_EDE{InfoCode: wire.ExtendedErrorCodeDNSBogus})
	}
}

// fitUDP cuts m down to what the client takes.
func fitUDP(m *wire.Msg, opt *wire.OPT) {
	size := wire.MinMsgSize
	if opt != nil {
		size = max(size, int(opt.UDPSize()))
	}
	m.Truncate(size)
}

// soa is the record of RFC 2308 that makes "there is none" an answer. Its TTL is 0: changes are seen at once.
func soa() wire.RR {
	return &wire.SOA{
		Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeSOA, Class: wire.ClassINET},
		Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400,
	}
}

func pack(m *wire.Msg) []byte {
	packed, err := m.Pack()
	if err != nil {
		return nil // a record too large for DNS: silence, as a broken server does
	}
	return packed
}
