package ownzone

import (
	"crypto/x509"
	"fmt"
	"slices"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/policy/sts"
)

// hosts judges the MX records of a domain and the hosts they name.
func (j *judgement) hosts(d *SeenDomain, configured sts.Policy) {
	if j.unanswered(d.Name, d.Name.String(), "MX", d.MXErr) {
		return
	}
	var ours, foreign []mail.Domain
	for _, mx := range sorted(d.MX.Records) {
		switch {
		case mx.Null():
		case mx.Host.IsZero():
			j.add(Finding{Code: MXNoAddress, Level: Wrong, Domain: d.Name, Name: d.Name.String(), There: mx.Text,
				Text: "an MX record names something that can be no host", Want: j.own.Hostname.String(),
				Hint: "an MX record has a name, and no address"})
		case j.ours(mx.Host):
			ours = append(ours, mx.Host)
		default:
			foreign = append(foreign, mx.Host)
		}
	}
	if len(ours) == 0 {
		j.noMX(d, foreign)
	}
	j.nullBeside(d)
	for _, host := range foreign {
		if len(ours) > 0 {
			j.add(Finding{Code: MXForeign, Level: Warning, Domain: d.Name, Name: d.Name.String(), There: host.String(),
				Text: fmt.Sprintf("%s is a mail host of %s and not this gateway: mail that goes there is not under "+
					"its rules", host, d.Name),
				Hint: "take the record out, unless that host is meant"})
		}
	}
	for _, host := range slices.Concat(ours, foreign) {
		j.address(d.Name, host)
		j.named(d, configured, host)
	}
	j.certificates(d, configured, ours)
}

// sorted are records in the order in which they are tried.
func sorted(records []dns.MX) []dns.MX {
	out := slices.Clone(records)
	slices.SortFunc(out, func(a, b dns.MX) int {
		if a.Pref != b.Pref {
			return int(a.Pref) - int(b.Pref)
		}
		return slices.Compare([]byte(a.Text), []byte(b.Text))
	})
	return out
}

// noMX tells that no mail for the domain comes here.
func (j *judgement) noMX(d *SeenDomain, foreign []mail.Domain) {
	f := Finding{Code: MXMissing, Level: Wrong, Domain: d.Name, Name: d.Name.String(),
		There: names(foreign), Want: mxPreference + " " + j.own.Hostname.String() + ".",
		Text: d.Name.String() + " has no MX record: its mail does not come here",
		Hint: "publish the MX record that `postern records` prints"}
	switch {
	case len(foreign) > 0:
		f.Text = fmt.Sprintf("no MX record of %s names this gateway: its mail goes elsewhere", d.Name)
		f.Hint = "publish the MX record that `postern records` prints, or have tls.certificates and sts name this " +
			"gateway as the MX record does"
	case len(d.MX.Records) > 0 && allNull(d.MX.Records):
		f.There, f.Text = "0 .", d.Name.String()+" says by a null MX that it takes no mail (RFC 7505)"
	case dns.IsNXDomain(d.MXErr):
		f.Text = "there is no " + d.Name.String() + " in DNS"
	}
	j.add(f)
}

// nullBeside judges a null MX that is not alone, which it must be (RFC 7505 §3): some senders read it and return mail.
func (j *judgement) nullBeside(d *SeenDomain) {
	if slices.ContainsFunc(d.MX.Records, dns.MX.Null) && !allNull(d.MX.Records) {
		j.add(Finding{Code: MXNullBeside, Level: Wrong, Domain: d.Name, Name: d.Name.String(), There: "0 .",
			Text: fmt.Sprintf("a null MX, by which %s says that it takes no mail, stands beside other MX records, "+
				"which RFC 7505 §3 forbids: some senders return mail for it", d.Name),
			Hint: "take the record out that ends with \"0 .\""})
	}
}

func allNull(records []dns.MX) bool {
	return !slices.ContainsFunc(records, func(mx dns.MX) bool { return !mx.Null() })
}

// address judges whether a mail host can be reached by its name.
func (j *judgement) address(domain, host mail.Domain) {
	h, asked := j.seen.Hosts[host]
	if !asked || j.unanswered(domain, host.String(), "address", h.Addrs.Err()) {
		return
	}
	if len(h.Addrs.All()) == 0 {
		j.once(Finding{Code: MXNoAddress, Level: Wrong, Domain: domain, Name: host.String(),
			Text: fmt.Sprintf("the mail host %s has no address", host),
			Hint: "publish its A and AAAA records"})
	}
	if aliases := slices.Concat(h.Addrs.V4.Aliases, h.Addrs.V6.Aliases); len(aliases) > 0 {
		j.once(Finding{Code: MXAlias, Level: Warning, Domain: domain, Name: host.String(),
			Text: fmt.Sprintf("the mail host %s is an alias (CNAME), which an MX record must not name (RFC 2181 §10.3)",
				host), Hint: "give it A and AAAA records of its own"})
	}
}

// named judges whether the policy means a mail host (RFC 8461 §4.1).
func (j *judgement) named(d *SeenDomain, configured sts.Policy, host mail.Domain) {
	for _, p := range []sts.Policy{configured, d.Served} {
		if p.Mode == "" || p.Mode == sts.None || p.Matches(host) {
			continue
		}
		text := fmt.Sprintf("the policy of %s does not name its mail host %s: senders that keep to it do not "+
			"deliver there", d.Name, host)
		if p.Mode == sts.Testing {
			text = fmt.Sprintf("the policy of %s does not name its mail host %s: once it is enforced, senders do "+
				"not deliver there", d.Name, host)
		}
		j.add(Finding{Code: MXNotInPolicy, Level: Wrong, Domain: d.Name, Name: host.String(),
			Text: text, There: fmt.Sprintf("%v", p.MX), Want: host.String(),
			Hint: fmt.Sprintf("add %q to mx of sts, or take the MX record out", host)})
		return
	}
}

// certificates judges what our hosts show as senders do who keep to a policy (RFC 8461 §4.2).
func (j *judgement) certificates(d *SeenDomain, configured sts.Policy, ours []mail.Domain) {
	if mode := configured.Mode; mode == "" || mode == sts.None {
		return
	}
	if len(ours) == 0 {
		ours = []mail.Domain{j.own.Hostname}
	}
	const hint = "`postern trust show` shows the certificates as partners see them"
	for _, host := range ours {
		shown := j.own.shown(host)
		if len(shown) == 0 {
			j.once(Finding{Code: CertificateFails, Level: Wrong, Name: host.String(),
				Text: "no certificate is configured: STARTTLS is not offered, which every policy asks for",
				Hint: `write [tls] certificates = [{cert = "cert.pem", key = "key.pem"}]`})
		}
		for _, c := range shown {
			if what := j.falls(c, host); what != "" {
				j.once(Finding{Code: CertificateFails, Level: Wrong, Name: host.String(), Hint: hint, There: c.File,
					Text: fmt.Sprintf("senders that keep to the policy refuse the certificate of %s: %s", host, what)})
			}
		}
	}
}

// falls says why a certificate of ours does not prove a host to those who trust public roots; "" where it does.
func (j *judgement) falls(c Certificate, host mail.Domain) string {
	demand := policy.PublicDemand()
	e := certcheck.Examine(certcheck.Input{Chain: c.Chain, Host: host, Demands: []policy.PeerDemand{demand},
		Roots: map[string]*x509.CertPool{policy.PublicTrust: j.seen.Roots}, Now: j.seen.Now})
	if short := e.Peers[demand.Key()].Shortfalls; len(short) > 0 {
		return string(short[0].Reason) + ", " + short[0].Text
	}
	return ""
}
