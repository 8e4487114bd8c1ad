package tlsreports

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"postern/internal/policy/tlsrpt"
)

// Ways of a report to us.
const (
	ByMail = "mail"
	ByPost = "https"
)

// Received is a report that is kept. Every text in it is a stranger's, escaped and bounded. The names of its fields
// stay for ever.
type Received struct {
	// ID is what it is called here: sixteen digits of its identity and six of its signer.
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Way is how it came, Client the address that brought it, From the author of a mail.
	Way    string `json:"way"`
	Client string `json:"client"`
	From   string `json:"from,omitempty"`
	// Signer is the domain whose signature holds, "" where none does; then Unsigned says in a sentence why.
	Signer   string `json:"signer"`
	Unsigned string `json:"unsigned,omitempty"`
	// Submitter is the domain that claims to send it.
	Submitter    string    `json:"submitter,omitempty"`
	Organization string    `json:"organization"`
	Contact      string    `json:"contact"`
	ReportID     string    `json:"report_id"`
	Start        time.Time `json:"start,omitzero"`
	End          time.Time `json:"end,omitzero"`
	// Parts are the sums of each domain of ours.
	Parts    []Part   `json:"parts"`
	Oddities []string `json:"oddities,omitempty"`
	// Copies is how often it came again, Copied when it last did.
	Copies int       `json:"copies"`
	Copied time.Time `json:"copied,omitzero"`
	// Bytes is the size of the document that is kept.
	Bytes int `json:"bytes"`
	// Key is what the store has it under.
	Key string `json:"key"`
}

// Part is what a report says of one domain of ours. Domain is "" for what is about none that we receive for: our own
// name, or somebody else.
type Part struct {
	Domain    string `json:"domain"`
	Succeeded int64  `json:"succeeded"`
	Failed    int64  `json:"failed"`
	// Failures are the kinds of failed sessions, the largest first; More are sessions of further ones.
	Failures []Failure `json:"failures"`
	More     int64     `json:"more,omitempty"`
}

// Failure is failed sessions of one kind.
type Failure struct {
	Result   string `json:"result"`
	Code     string `json:"code,omitempty"`    // the sender's own reason
	Address  string `json:"address,omitempty"` // of the sender, "" where it is not told
	Host     string `json:"host,omitempty"`    // the mail host of ours
	Sessions int64  `json:"sessions"`
}

// failuresMost is how many kinds of failures a part has.
const failuresMost = 50

// Signed reports whether somebody's signature holds.
func (r *Received) Signed() bool { return r.Signer != "" }

// Sender is who sent it as far as is known: the signer, else the claim.
func (r *Received) Sender() string {
	if r.Signed() {
		return r.Signer
	}
	return cmp.Or(r.Organization, r.Submitter, r.Client)
}

// Sums returns how many sessions succeeded and failed in all parts.
func (r *Received) Sums() (succeeded, failed int64) {
	for i := range r.Parts {
		succeeded, failed = succeeded+r.Parts[i].Succeeded, failed+r.Parts[i].Failed
	}
	return succeeded, failed
}

// About reports whether it says something of a domain of ours.
func (r *Received) About(domain string) bool {
	return slices.ContainsFunc(r.Parts, func(p Part) bool { return p.Domain == domain })
}

// Sum fills in what a report says: its parts, by the domain of ours that owner finds for a policy domain, "" for none.
func (r *Received) Sum(report *tlsrpt.Report, owner func(policyDomain string) string) {
	r.Organization, r.Contact, r.ReportID, r.Start, r.End = report.Organization, report.Contact, report.ID,
		report.Start, report.End
	parts, kinds := map[string]*Part{}, map[string]map[Failure]int64{}
	for i := range report.Policies {
		p := &report.Policies[i]
		domain := owner(p.Domain)
		part := parts[domain]
		if part == nil {
			part = &Part{Domain: domain, Failures: []Failure{}}
			parts[domain], kinds[domain] = part, map[Failure]int64{}
		}
		part.Succeeded, part.Failed = part.Succeeded+p.Succeeded, part.Failed+p.Failed
		for j := range p.Failures {
			f := &p.Failures[j]
			key := Failure{Result: f.Result, Code: f.Code, Host: f.MXHost}
			if f.SendingIP.IsValid() {
				key.Address = f.SendingIP.String()
			}
			kinds[domain][key] += f.Sessions
		}
	}
	for domain, part := range parts {
		part.fill(kinds[domain])
		r.Parts = append(r.Parts, *part)
	}
	slices.SortFunc(r.Parts, func(a, b Part) int { return strings.Compare(a.Domain, b.Domain) })
}

// fill lists the largest kinds.
func (p *Part) fill(kinds map[Failure]int64) {
	for f, n := range kinds {
		f.Sessions = n
		p.Failures = append(p.Failures, f)
	}
	slices.SortFunc(p.Failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), strings.Compare(a.Result, b.Result),
			strings.Compare(a.Address, b.Address), strings.Compare(a.Code, b.Code), strings.Compare(a.Host, b.Host))
	})
	for _, f := range p.Failures[min(len(p.Failures), failuresMost):] {
		p.More += f.Sessions
	}
	p.Failures = slices.Clip(p.Failures[:min(len(p.Failures), failuresMost)])
}

// identity is what the same report has whoever brings it; document stands in for an identifier that it lacks.
func (r *Received) identity(document []byte) string {
	id := []byte(r.ReportID)
	if len(id) == 0 {
		id = document
	}
	return digest(16, strings.ToLower(r.Organization), string(id), r.Start.UTC().Format(time.RFC3339))
}

// signerDigits are those of a signer in an ID.
func signerDigits(signer string) string {
	if signer == "" {
		return "000000"
	}
	return digest(16, signer) // with fewer one could look for a name of one's own that has another's
}

func digest(digits int, texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		h.Write([]byte(t)) // it takes everything
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))[:digits]
}
