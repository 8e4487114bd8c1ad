package ownzone

import (
	"crypto/x509"
	"fmt"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy/sts"
	"postern/internal/smtp"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	Wrong   Level = "error"   // mail is refused, put off or unprotected, now or at the next change
	Warning Level = "warning" // worth a look
	Unknown Level = "unknown" // nobody could tell
)

// Code is what a finding is about. Codes stay for ever.
type Code string

// The codes.
const (
	MXMissing   Code = "mx-missing"    // no MX record leads here
	MXForeign   Code = "mx-not-ours"   // an MX record names a host that is not ours
	MXNoAddress Code = "mx-no-address" // a mail host cannot be reached by its name
	MXAlias     Code = "mx-alias"      // a mail host is an alias
	// a null MX stands beside other MX records
	MXNullBeside Code = "mx-null-beside"
	// the domain's MX records are not signed, and the host has TLSA records
	MXUnsigned         Code = "mx-unsigned"
	MXNotInPolicy      Code = "mx-not-in-policy"     // the policy does not name a mail host
	STSRecordMissing   Code = "sts-record-missing"   // nothing announces the policy
	STSRecordDouble    Code = "sts-record-double"    // two records are none
	STSRecordMalformed Code = "sts-record-malformed" // the record cannot be read
	STSIDDiffers       Code = "sts-id-differs"       // the id is not that of the policy
	STSNotConfigured   Code = "sts-not-configured"   // a policy is announced that is not ours
	STSHostUnreachable Code = "sts-host-unreachable" // nothing answers where the policy should be
	STSHostCertificate Code = "sts-host-certificate" // the policy host cannot be proven
	STSHostAnswer      Code = "sts-host-answer"      // it answers with something else
	STSHostUnknown     Code = "sts-host-unknown"     // it could not be asked
	STSPolicyMalformed Code = "sts-policy-malformed" // what it serves is no policy
	STSPolicyDiffers   Code = "sts-policy-differs"   // it serves another policy than is configured
	CertificateFails   Code = "certificate-fails"    // senders that keep to our policy refuse our certificate
	TLSRPTMissing      Code = "tlsrpt-missing"       // nobody is asked for the reports that are waited for
	TLSRPTDouble       Code = "tlsrpt-double"        // two records are none
	TLSRPTMalformed    Code = "tlsrpt-malformed"     // the record cannot be read
	TLSRPTDiffers      Code = "tlsrpt-differs"       // reports go elsewhere alone
	TLSAMissing        Code = "tlsa-missing"         // a present key has no record, and others have
	TLSAMismatch       Code = "tlsa-mismatch"        // the records prove none of what we show
	TLSANextMissing    Code = "tlsa-next-missing"    // a next key has no record
	TLSALeftover       Code = "tlsa-leftover"        // a record matches neither a present nor a next key
	TLSAUnusable       Code = "tlsa-unusable"        // a record that nobody can use
	TLSACertificate    Code = "tlsa-certificate"     // a record that ends with the next renewal
	TLSAUnsigned       Code = "tlsa-unsigned"        // records in a zone that is not signed
	DNSBogus           Code = "dnssec-bogus"         // signatures do not hold
	DNSSECUnknown      Code = "dnssec-unknown"       // nobody's word is believed that an answer is signed
	DNSUnknown         Code = "dns-unknown"          // DNS could not be asked
)

// Codes lists all of them.
func Codes() []Code {
	return []Code{MXMissing, MXForeign, MXNoAddress, MXAlias, MXNullBeside, MXUnsigned, MXNotInPolicy,
		STSRecordMissing, STSRecordDouble,
		STSRecordMalformed, STSIDDiffers, STSNotConfigured, STSHostUnreachable, STSHostCertificate, STSHostAnswer,
		STSHostUnknown,
		STSPolicyMalformed, STSPolicyDiffers, CertificateFails, TLSRPTMissing, TLSRPTDouble, TLSRPTMalformed,
		TLSRPTDiffers, TLSAMissing, TLSAMismatch, TLSANextMissing, TLSALeftover,
		TLSAUnusable, TLSACertificate, TLSAUnsigned, DNSBogus, DNSSECUnknown, DNSUnknown}
}

// Finding is something wrong, or that could not be found out.
type Finding struct {
	Code  Code
	Level Level
	// Domain is the domain of ours it is about; zero where it is about a host of ours and thereby about all.
	Domain mail.Domain
	// Name is the name in DNS it is about.
	Name string
	// Text says it in one sentence without a full stop. There is what is there and Want what should be, "" where
	// nothing is or should be; Hint is what to do.
	Text, There, Want, Hint string
}

// Seen is what was found, for Judge. Nothing in it is changed or kept.
type Seen struct {
	// Now is the time of the look, and Roots what senders trust.
	Now   time.Time
	Roots *x509.CertPool
	// Validates says that somebody's word is believed that an answer is signed.
	Validates bool
	// Domains are those that were asked, in their order.
	Domains []SeenDomain
	// Hosts are our own hosts and those of the MX records. One that is not there was not asked.
	Hosts map[mail.Domain]SeenHost
}

// SeenDomain is what was found of a domain. Errors are those of dns.Resolver.
type SeenDomain struct {
	Name   mail.Domain
	MX     dns.MXAnswer
	MXErr  error
	TXT    dns.TXTAnswer // of _mta-sts
	TXTErr error
	// Reports are the texts of _smtp._tls, where they were asked for.
	Reports    dns.TXTAnswer
	ReportsErr error
	// OnlyReports says that nothing else was asked.
	OnlyReports bool
	// Served is what the policy host has, Fault why it has nothing. Both are zero where it was not asked.
	Served sts.Policy
	Fault  Fault
}

// SeenHost is what was found of a mail host.
type SeenHost struct {
	Addrs   dns.Addresses
	TLSA    dns.TLSAAnswer // of _25._tcp
	TLSAErr error
}

// Fault says why a policy host has no policy.
type Fault struct {
	Code Code   // one of STSHost..., or STSPolicyMalformed
	Text string // one sentence, without a full stop
}

// judgement is one under way.
type judgement struct {
	own      *Own
	seen     *Seen
	ourNames map[string]bool            // of our hosts
	policies map[mail.Domain]sts.Policy // of our domains
	out      []Finding
	told     map[string]bool // what was told of a host, whichever domain leads to it
}

// Judge holds what was found against what should be. The order is that of the domains, then of our hosts. It is safe
// for concurrent use.
func Judge(own *Own, seen *Seen) []Finding {
	j := &judgement{own: own, seen: seen, ourNames: own.names(), policies: map[mail.Domain]sts.Policy{},
		told: map[string]bool{}}
	for _, d := range own.Domains {
		j.policies[d.Name] = d.Policy
	}
	for i := range seen.Domains {
		d := &seen.Domains[i]
		if j.reports(d); d.OnlyReports {
			continue
		}
		configured := j.policies[d.Name]
		j.hosts(d, configured)
		j.sts(d, configured)
	}
	for _, host := range j.ownHosts() {
		if h, asked := seen.Hosts[host]; asked {
			j.tlsa(host, h)
		}
	}
	return j.out
}

// ours reports whether a mail host is one of ours.
func (j *judgement) ours(host mail.Domain) bool { return j.ourNames[host.String()] }

// add adds a finding.
func (j *judgement) add(f Finding) {
	f.Text, f.There = clean(f.Text), clean(f.There)
	j.out = append(j.out, f)
}

// once adds a finding about a host that several domains may lead to.
func (j *judgement) once(f Finding) {
	key := string(f.Code) + " " + f.Name + " " + f.Text
	if !j.told[key] {
		j.told[key] = true
		j.add(f)
	}
}

// unanswered tells that a question had no answer, and reports whether that is so. That a name does not exist is an
// answer.
func (j *judgement) unanswered(domain mail.Domain, name, kind string, err error) bool {
	if err == nil || dns.IsNXDomain(err) {
		return false
	}
	if dns.KindOf(err) == dns.Bogus {
		j.once(Finding{Code: DNSBogus, Level: Wrong, Domain: domain, Name: name,
			Text: fmt.Sprintf("the %s records of %s fail DNSSEC validation: senders that validate put mail off", kind,
				name), Hint: "look at the signatures of the zone and at the DS record of its parent"})
		return true
	}
	j.once(Finding{Code: DNSUnknown, Level: Unknown, Domain: domain, Name: name,
		Text: fmt.Sprintf("the %s records of %s could not be looked up (%s)", kind, name, dns.KindOf(err)),
		Hint: "ask again; where that goes on, others cannot look them up either, and put mail off"})
	return true
}

// clean makes harmless what strangers wrote.
func clean(s string) string { return smtp.Printable(s, 600) }

// names lists names for people.
func names[T fmt.Stringer](list []T) string {
	const most = 5
	var out []string
	for _, n := range list {
		out = append(out, n.String())
	}
	return mail.AtMost(out, most, ", ")
}
