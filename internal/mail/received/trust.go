package received

import (
	"fmt"
	"net/netip"
	"strings"

	"postern/internal/mail"
)

// Trust is whom the reader trusts to write honest lines: hosts by name or by domain, networks by address. The zero
// value trusts the writer of the newest line alone. A Trust is never changed and is safe for concurrent use.
type Trust struct {
	domains  []string
	networks []netip.Prefix
	everyone bool
}

// ParseTrust reads a list of names. "example.com" is that host and every host below it, an address or a network
// ("192.0.2.0/24") is every host in it, "*" is everybody. The error names the entry that cannot be meant.
func ParseTrust(list []string) (Trust, error) {
	var t Trust
	for _, entry := range list {
		if entry == "*" {
			t.everyone = true
			continue
		}
		if p, err := netip.ParsePrefix(entry); err == nil {
			t.networks = append(t.networks, p.Masked())
			continue
		}
		if ip, ok := parseIP(entry); ok {
			t.networks = append(t.networks, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		d, err := mail.ParseDomain(strings.TrimPrefix(strings.TrimPrefix(entry, "*"), "."))
		if err != nil {
			return Trust{}, fmt.Errorf("%q is no host name, domain, address or network", entry)
		}
		t.domains = append(t.domains, d.String())
	}
	return t, nil
}

// empty reports whether nobody is named.
func (t Trust) empty() bool { return !t.everyone && len(t.domains) == 0 && len(t.networks) == 0 }

// names reports whether a host's name is one of the trusted.
func (t Trust) names(host string) bool {
	d, err := mail.ParseDomain(host)
	if err != nil {
		return false
	}
	name := d.String()
	for _, trusted := range t.domains {
		if name == trusted || strings.HasSuffix(name, "."+trusted) {
			return true
		}
	}
	return false
}

func (t Trust) holds(ip netip.Addr) bool {
	for _, p := range t.networks {
		if ip.IsValid() && p.Contains(ip) {
			return true
		}
	}
	return false
}

// sameHost compares two names of hosts in any spelling.
func sameHost(a, b string) bool {
	x, err := mail.ParseDomain(a)
	if err != nil {
		return a != "" && strings.EqualFold(a, b)
	}
	y, err := mail.ParseDomain(b)
	return err == nil && x == y
}

// extends decides whether the line below a trusted one was written by a trusted host too: the trusted line must prove
// that its peer is one, and the line below must be signed with a name that fits. Otherwise why says what is missing.
func (t Trust) extends(above, below *Line, own map[string]bool) (ok bool, why string) {
	if t.everyone {
		return true, ""
	}
	if above.Doubtful {
		return false, "written by the peer of a line that contradicts itself"
	}
	listed := t.names(below.By) || t.holds(below.ByIP)
	fits := sameHost(below.By, above.Helo) || above.IP.IsValid() && below.ByIP == above.IP
	switch {
	case above.SameHost:
		ok = listed || fits || own[strings.ToLower(below.By)] || strings.EqualFold(below.By, "localhost") ||
			below.ByIP.IsLoopback() ||
			above.Form == Qmail && above.By == "" && below.Form == Qmail // two stamps by one qmail
	case t.holds(above.IP):
		ok = listed || fits
	case above.NameChecked && t.names(above.Name):
		ok = listed || fits || sameHost(below.By, above.Name)
	case above.Inside:
		ok = listed
	case t.empty():
		return false, "brought by " + above.peer() + ", and nobody is named as trusted"
	default:
		return false, "brought by " + above.peer() + ", which is not proven to be a host you trust" + above.remedy()
	}
	if !ok {
		return false, "written in the name of " + orUnknown(below.By) + ", which is not a host you trust"
	}
	return true, ""
}

// peer describes who brought the message, for a note.
func (l *Line) peer() string {
	who := orUnknown(l.Helo)
	if l.IP.IsValid() && !isIP(l.Helo) {
		who += " [" + l.IP.String() + "]"
	}
	return who
}

// remedy says how to trust the peer, where only its address can prove it.
func (l *Line) remedy() string {
	if !l.IP.IsValid() {
		return ""
	}
	return "; if it is one, add --trust " + l.IP.String()
}

func orUnknown(s string) string {
	if s == "" {
		return "somebody without a name"
	}
	return s
}
