package route

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"postern/internal/dns"
	"postern/internal/event"
	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/policy"
)

// Config says where mail goes. New copies what it keeps.
type Config struct {
	// Hostname is our own name; an MX of this name is a loop.
	Hostname mail.Domain
	// Own are the domains we receive for.
	Own []Own
	// Routes go before MX for the domains they match.
	Routes []Route
	// Manner is how servers are spoken to where no route says more.
	Manner Manner
	// Port is dialled at mail exchangers and where a HostPort names none; 0 means 25.
	Port uint16
	// DenyNetworks are never dialled through MX; hosts an administrator named are.
	DenyNetworks []netip.Prefix
	// LocalAddrs are the addresses we listen at. An unspecified address (0.0.0.0, ::) stands for the loopback networks;
	// the caller lists the addresses of its interfaces too. A port of 0 matches any.
	LocalAddrs []netip.AddrPort
	// MaxHosts bounds the hosts of a plan, MaxAddrs the addresses of a host; 0 means 10 and 8.
	MaxHosts, MaxAddrs int
	// Timeout bounds one Plan, all its questions together; 0 means 30 s.
	Timeout time.Duration
	// Resolver answers; it may be nil only if nothing is ever planned.
	Resolver dns.Resolver
	// DANE says whether TLSA records are asked for and kept to: policy.Enforced, policy.Observed, or "" for neither.
	DANE string
	// STS says the same of the MTA-STS policies of recipient domains, which Policies tells; nil knows none. They speak
	// of mail exchangers: hosts that an administrator named are not held against them.
	STS      string
	Policies Policies
	// Waivable says that a message may set all of that aside for itself; see Table.Waived.
	Waivable bool
	// HostsFile names a file of the form of /etc/hosts that is asked before DNS for hosts an administrator named;
	// "" means /etc/hosts, "none" asks no file.
	HostsFile string
}

// Own is one domain we receive for ([[domain]] of the configuration).
type Own struct {
	Domain  mail.Domain
	To      []HostPort
	Trust   string // file of a private CA, "" for the public roots
	Pins    []string
	Require policy.Level
}

// Route sends matching domains to named hosts ([[route]] of the configuration).
type Route struct {
	// Name is how rules call it who redirect mail there, "" for none.
	Name string
	// Match lists domains: "partner.test" exactly, "*.partner.test" everything below it, "*" everything. An exact
	// entry goes before a wildcard, a longer wildcard before a shorter one, whatever the order of the routes.
	Match []string
	// To are the hosts in the order they are tried; none leaves where the mail goes as it is.
	To []HostPort
	// Manner is how they are spoken to.
	Manner Manner
}

// Manner is how the servers of a destination are spoken to, in what takes no protection away.
type Manner struct {
	// Without are EHLO keywords of extensions that are not used though they are offered: "pipelining".
	Without []string
	// Signed is what becomes of signed content with 8-bit octets where 8BITMIME is missing: Convert or Bounce, "" as in
	// Config.Manner, and there Convert.
	Signed string
	// Source is where connections come from; see Table.Source.
	Source Source
}

// The values of Manner.Signed.
const (
	Convert = "convert"
	Bounce  = "bounce"
)

func (m Manner) zero() bool { return len(m.Without) == 0 && m.Signed == "" && m.Source == Source{} }

// over is m with what general says besides.
func (m Manner) over(general Manner) Manner {
	m.Without = append(slices.Clone(general.Without), m.Without...)
	m.Signed = cmp.Or(m.Signed, general.Signed)
	return m
}

// HostPort is a next hop named by an administrator; exactly one of Host and IP is set. Port 0 is Config.Port.
type HostPort struct {
	Host mail.Domain
	IP   netip.Addr
	Port uint16
}

// String returns "host:port" or "[ip]:port", the port only when it is set.
func (h HostPort) String() string {
	name := h.Host.String()
	if h.IP.IsValid() {
		name = h.IP.String()
		if h.IP.Is6() {
			name = "[" + name + "]"
		}
	}
	if h.Port == 0 {
		return name
	}
	return name + ":" + strconv.Itoa(int(h.Port))
}

// Plan is where a domain's mail may go now: hops in the order they are tried. It has at least one hop with addresses.
type Plan struct {
	Domain mail.Domain
	Hops   []Hop
	Leg    event.Leg
	// ByAdmin says that the hosts were named by an administrator, not found through MX.
	ByAdmin bool
	// Waived says that something that is published, or may be, was set aside: a connection over the plan carries only
	// mail that asked for that.
	Waived bool
	// Manner is how the hosts are spoken to.
	Manner Manner

	policies Policies        // who knows the domain's MTA-STS policy; nil: nobody was asked
	policy   *stscache.Found // what the hops were held against
	ends     time.Time       // when an exception does; zero is never
}

// Hop is one host of a plan.
type Hop struct {
	// Host is the name asked for, which SNI and certificate must match; zero where there is none to match: an address
	// literal, or an MX that is one.
	Host mail.Domain
	Port uint16
	Pref uint16
	// Addrs are judged: dial these and no others. Both families, alternating.
	Addrs []netip.Addr
	// Proven says that the name owes nothing to DNS that nobody vouched for, and By what speaks for it: one of
	// policy.MXByAdministrator and policy.MXBySignedDNS, "" where it is not proven.
	Proven bool
	By     string
	// Problem says why there are no Addrs; nil when there are.
	Problem *Problem
	// Published is what the host and the recipient's domain publish for senders, Demand what of it is enforced; TLSA
	// the records that can be used, and Bases the names that a certificate below one of usage 2 must bear.
	Published []policy.Published
	TLSA      []dns.TLSA
	Bases     []mail.Domain
	// Until is when all of that must be asked for again; zero is never.
	Until time.Time

	signed bool // DNS vouched for the addresses, or for the lack of any
}

// Demand is what a channel to the hop must pass, whatever mail it carries.
func (h *Hop) Demand() policy.Requirement { return policy.Demands(h.Published) }

// Problem is why a domain has no plan or a hop has no addresses.
type Problem struct {
	Reason policy.Reason
	Text   string // one plain sentence
	// Permanent means that waiting will not help: the delivery fails at once, where it is Final.
	Permanent bool
	// Signed says that a permanent problem owes nothing to DNS that nobody vouched for.
	Signed bool
	// Hops are those that were passed over, each with a Problem of its own; none where no host was looked at.
	Hops []Hop
	// ByAdmin says that the hosts were named by an administrator.
	ByAdmin bool
	// Contradicted says that an enforced MTA-STS policy of the domain is in force, so that it takes mail.
	Contradicted bool
}

// Final reports whether the problem ends a delivery with requirement r at once. An unsigned "no" may be forged, so
// forced mail does not go by one alone, nor does any where a policy says otherwise.
func (p *Problem) Final(r policy.Requirement) bool {
	return p.Permanent && (p.Signed || !r.Forced() && !p.Contradicted)
}

// Error returns the sentence.
func (p *Problem) Error() string { return p.Text }
