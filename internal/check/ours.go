package check

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"postern/internal/policy"
)

// Tally counts what targets have in common and says when the fault is probably ours: nobody has it so bad that every
// partner broke at once. It keeps a few counters and names, however many targets it is told of. Its zero value is
// ready; it belongs to one goroutine.
type Tally struct {
	Now time.Time // when the clock is read for judging certificates; zero is each report's own time
	// Unvalidated says that no word of our resolvers about signatures is believed.
	Unvalidated bool

	answered, silent  common // hosts that were reached, and connects that timed out, at port 25
	plain, encrypted  common // answered EHLO without STARTTLS, and with
	dnsFails, dnsGood common
	signed, unproven  common // answers that were validated, and verdicts that fell short because none was
	expired, early    common // leaf certificates whose time is over, or has not come
	inDate            common
	youngest          time.Time // the latest beginning of a certificate
}

// common counts unrelated parties.
type common struct {
	total int
	names []string // the first few that are unrelated to each other
}

// unrelated is how many parties without anything in common make a pattern.
const unrelated = 3

// add counts a party under a name that relatives share.
func (c *common) add(name string) {
	c.total++
	if len(c.names) >= unrelated {
		return
	}
	for _, known := range c.names {
		if known == name {
			return
		}
	}
	c.names = append(c.names, name)
}

func (c *common) wide() bool { return len(c.names) >= unrelated }

// Suspicion says what is probably wrong on our side.
type Suspicion struct {
	Kind string `json:"kind"` // "suspicion"
	// Code is "tls-stripped-here", "port-25-blocked", "clock-wrong", "resolver-silent", "resolver-not-validating" or
	// "own-chain-incomplete".
	Code string `json:"code"`
	// Sure says that enough unrelated targets show it; otherwise it is a guess worth a look.
	Sure bool   `json:"sure"`
	Text string `json:"text"`
	Hint string `json:"hint"`
}

// Add takes a report in.
func (t *Tally) Add(r *Report) {
	family := relatives(r)
	t.addDNS(r, family)
	t.addProofs(r, family)
	r.Each(func(h *Host, a *Address) {
		for _, v := range a.Verdicts {
			if v.Question == Opportunistic && v.Reason == policy.ConnectTimeout && h.Port == 25 {
				t.silent.add(family)
			} else if v.Question == Opportunistic && h.Port == 25 {
				t.answered.add(family)
			}
		}
		if a.Look == nil || len(a.Look.Offered) == 0 {
			return
		}
		if a.Look.StartTLS {
			t.encrypted.add(family)
		} else {
			t.plain.add(family)
		}
		t.addDates(a, family, r.At)
	})
}

func (t *Tally) addDNS(r *Report, family string) {
	for _, v := range r.Verdicts[:1] {
		switch v.Reason {
		case policy.DNSTimeout, policy.DNSServfail:
			t.dnsFails.add(family)
		default:
			if r.DNS != nil {
				t.dnsGood.add(family)
			}
		}
	}
}

// addProofs counts whether anything is proven by signed DNS, and whether anybody missed it.
func (t *Tally) addProofs(r *Report, family string) {
	if r.DNS != nil && r.DNS.Signed {
		t.signed.add(family)
	}
	for i := range r.Verdicts {
		if r.Verdicts[i].Reason == policy.MXUnproven {
			t.unproven.add(family)
		}
	}
}

func (t *Tally) addDates(a *Address, family string, at time.Time) {
	if len(a.Look.Chain) == 0 {
		return
	}
	now, leaf := at, a.Look.Chain[0]
	if !t.Now.IsZero() {
		now = t.Now
	}
	if leaf.NotBefore.After(t.youngest) {
		t.youngest = leaf.NotBefore
	}
	switch {
	case now.Before(leaf.NotBefore):
		t.early.add(family)
	case now.After(leaf.NotAfter):
		t.expired.add(family)
	default:
		t.inDate.add(family)
	}
}

// relatives is a name that targets of one owner share: the registrable domain, or the network of an address.
func relatives(r *Report) string {
	name := r.Domain
	if name == "" && len(r.Hosts) > 0 {
		name = r.Hosts[0].Name
	}
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil || name == "" {
		if len(r.Hosts) > 0 && len(r.Hosts[0].Addresses) > 0 {
			ip = r.Hosts[0].Addresses[0].IP
		}
		bits := 24
		if ip.Is6() {
			bits = 48
		}
		network, err := ip.Prefix(bits)
		if err != nil {
			return r.Target
		}
		return network.String()
	}
	if owner, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return owner
	}
	return name
}

// IncompleteOwn is the suspicion that a chain of our own gives rise to, false where it gives rise to none.
func IncompleteOwn(o *Own) (Suspicion, bool) {
	for _, w := range o.Warnings {
		if w.Reason == policy.CertIncompleteChain && len(o.Chain) > 0 && o.Root == nil {
			return Suspicion{"suspicion", "own-chain-incomplete", true, "our own " + o.Kind + " certificate, " +
				o.File + ", is sent without the " +
				"certificate of its issuer, " + o.Chain[len(o.Chain)-1].Issuer,
				"Append the issuer's certificate to the file; `postern trust show` tells what partners see."}, true
		}
	}
	return Suspicion{}, false
}

// Suspicions lists what is probably our own fault, judged by everything told so far.
func (t *Tally) Suspicions() []Suspicion {
	var out []Suspicion
	add := func(code string, sure bool, text, hint string) {
		out = append(out, Suspicion{"suspicion", code, sure, text, hint})
	}
	if t.dnsFails.total > 0 && t.dnsGood.total == 0 {
		add("resolver-silent", t.dnsFails.wide(), "no DNS question was answered",
			"Check the key `dns.servers` or /etc/resolv.conf, and that this machine may send to port 53 over UDP "+
				"and TCP.")
	}
	if t.unproven.total > 0 && t.signed.total == 0 && (t.Unvalidated || t.unproven.wide()) {
		add("resolver-not-validating", t.Unvalidated, "no DNS answer was validated (DNSSEC), so that no mail "+
			"host's name is ever proven",
			"Ask a validating resolver on this machine (`dns.servers = [\"127.0.0.1\"]`), or write `trust_ad = "+
				"\"yes\"` below [dns] for one that is reached over a safe way.")
	}
	if t.silent.total > 0 && t.answered.total == 0 {
		add("port-25-blocked", t.silent.wide(), "no host answered at port 25",
			"Many networks let nobody but their own mail server send to port 25. Run this on the gateway itself, "+
				"or ask whoever runs the network to open port 25 outward.")
	}
	if t.plain.wide() && t.encrypted.total == 0 {
		add("tls-stripped-here", true, fmt.Sprintf("none of %d unrelated mail hosts offers STARTTLS, which is not "+
			"believable", t.plain.total),
			"A firewall on our side is rewriting SMTP: turn off SMTP inspection (\"fixup\", \"ESMTP inspection\") for "+
				"port 25.")
	}
	if t.inDate.total == 0 && (t.early.wide() && t.expired.total == 0 || t.expired.wide() && t.early.total == 0) {
		text := "every certificate seems to have expired"
		if t.early.total > 0 {
			text = "every certificate seems not to be valid yet, the newest since " +
				t.youngest.UTC().Format(time.DateOnly)
		}
		add("clock-wrong", true, text+": the clock of this machine is probably wrong",
			"Compare `date -u` with another machine, and let the clock be set by NTP.")
	}
	return out
}
