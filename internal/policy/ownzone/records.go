package ownzone

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy/dane"
	"postern/internal/policy/sts"
	"postern/internal/policy/tlsrpt"
)

// Own is what we serve, as configured. The zero value serves nothing. Nothing in it is changed by this room, so that
// it may be shared.
type Own struct {
	// Hostname is the gateway's own name, at which it takes mail.
	Hostname mail.Domain
	// Domains are those we receive for.
	Domains []Domain
	// Certificates are offered to clients: those that carry the name a client asks for, else the first.
	Certificates []Certificate
	// NextKeys will take the place of those of the certificates.
	NextKeys []Key
	// Web says that the policies are served here.
	Web bool
	// Reports is what should stand in _smtp._tls of each domain, its destinations in this order; the zero Record where
	// no reports are taken here.
	Reports tlsrpt.Record
}

// Domain is a domain of ours.
type Domain struct {
	Name mail.Domain
	// Policy is its MTA-STS policy; the zero Policy for none.
	Policy sts.Policy
}

// Certificate is a chain, leaf first, and the file it comes from, for people.
type Certificate struct {
	File  string
	Chain []*x509.Certificate
}

// Key is a public key (DER of its SubjectPublicKeyInfo), and the file it comes from, for people.
type Key struct {
	File string
	SPKI []byte
}

// Record is a record of DNS that should be there.
type Record struct {
	// Domain is the domain of ours that it is for; zero where it belongs to a host of ours and thereby to all.
	Domain mail.Domain
	// Name is the owner, Type and Value what it has, in presentation form: names absolute with their final dot.
	Name, Type, Value string
	// Why says in a sentence without a full stop what it is good for.
	Why string
	// Hint says that another record may stand there instead.
	Hint bool
}

// Line is the record as a line of a zone.
func (r Record) Line() string { return r.Name + ". IN " + r.Type + " " + r.Value }

// mxPreference is the one that is printed; any will do.
const mxPreference = "10"

// Records lists what should be in DNS for some of our domains, all of them where none is named, and for our hosts.
func (o *Own) Records(names ...mail.Domain) (out []Record) {
	for _, d := range o.Domains {
		if len(names) > 0 && !slices.Contains(names, d.Name) {
			continue
		}
		out = append(out, Record{Domain: d.Name, Name: d.Name.String(), Type: "MX",
			Value: mxPreference + " " + o.Hostname.String() + ".",
			Why:   "mail for the domain comes to this gateway"})
		if len(o.Reports.Destinations) > 0 {
			out = append(out, Record{Domain: d.Name, Name: tlsrpt.Name(d.Name), Type: "TXT",
				Value: quoted(o.Reports.Text()),
				Why:   "others report on TLS with the domain's mail hosts, and the gateway keeps it"})
		}
		if d.Policy.Mode == "" {
			continue
		}
		out = append(out, Record{Domain: d.Name, Name: recordName(d.Name), Type: "TXT",
			Value: quoted(d.Policy.Record().Text()),
			Why:   "there is an MTA-STS policy; the id changes whenever the policy does"})
		if o.Web {
			out = append(out, Record{Domain: d.Name, Name: HostName(d.Name), Type: "CNAME",
				Value: o.Hostname.String() + ".", Hint: true,
				Why: "the policy host is this gateway; its A and AAAA records will do as well"})
		}
	}
	for _, host := range o.Hosts() {
		out = append(out, o.tlsaRecords(host)...)
	}
	return out
}

// tlsaRecords are those of a host of ours: 3 1 1 for each key that it shows or will show (RFC 7672 §3.1.1).
func (o *Own) tlsaRecords(host mail.Domain) (out []Record) {
	add := func(r dns.TLSA, why string) {
		record := Record{Name: tlsaName(host), Type: "TLSA", Value: dane.Format(r), Why: why}
		if !slices.ContainsFunc(out, func(o Record) bool { return o.Value == record.Value }) {
			out = append(out, record)
		}
	}
	for _, c := range o.shown(host) {
		if r, err := dane.Of(c.Chain[0], 3, 1, 1); err == nil {
			add(r, "DANE: the key of "+c.File+" (of use in a signed zone alone)")
		}
	}
	for _, k := range o.NextKeys {
		add(dane.OfKey(k.SPKI), "DANE: the next key, "+k.File)
	}
	if len(o.shown(host)) == 0 {
		return nil // without a certificate there is no TLS that a record could speak of
	}
	return out
}

// Hosts are the hosts of ours that mail is sent to: the hostname, and what a policy of ours names and a certificate
// of ours covers.
func (o *Own) Hosts() []mail.Domain {
	out := []mail.Domain{o.Hostname}
	for _, d := range o.Domains {
		for _, pattern := range d.Policy.MX {
			host, err := mail.ParseDomain(pattern)
			if err == nil && !slices.Contains(out, host) &&
				slices.ContainsFunc(o.Certificates, func(c Certificate) bool { return c.covers(host) }) {
				out = append(out, host)
			}
		}
	}
	return out
}

// names are those under which mail hosts are ours: of the hosts, and what certificates carry in so many letters.
func (o *Own) names() map[string]bool {
	out := map[string]bool{}
	for _, host := range o.Hosts() {
		out[host.String()] = true
	}
	for _, c := range o.Certificates {
		if len(c.Chain) > 0 {
			for _, name := range c.Chain[0].DNSNames {
				out[strings.ToLower(name)] = true
			}
		}
	}
	return out
}

// shown are the certificates that clients of a host may get: those that carry its name, else the first.
func (o *Own) shown(host mail.Domain) (out []Certificate) {
	for _, c := range o.Certificates {
		if c.covers(host) {
			out = append(out, c)
		}
	}
	if len(out) == 0 && len(o.Certificates) > 0 && len(o.Certificates[0].Chain) > 0 {
		return o.Certificates[:1]
	}
	return out
}

func (c Certificate) covers(host mail.Domain) bool {
	return len(c.Chain) > 0 && c.Chain[0].VerifyHostname(host.String()) == nil
}

// is reports whether the certificate's key is this one.
func (k Key) is(c *x509.Certificate) bool { return bytes.Equal(k.SPKI, c.RawSubjectPublicKeyInfo) }

// HostName is the name of the policy host of a domain (RFC 8461 §3.3).
func HostName(domain mail.Domain) string { return "mta-sts." + domain.String() }

// recordName is where the record about a policy stands (RFC 8461 §3.1).
func recordName(domain mail.Domain) string { return "_mta-sts." + domain.String() }

// tlsaName is where the TLSA records of a mail host stand (RFC 7672 §2.2.3).
func tlsaName(host mail.Domain) string { return dane.Name(host, 25) }

// quoted is a text as a zone has it. Those written here have neither quotation marks nor backslashes.
func quoted(text string) string { return `"` + text + `"` }
