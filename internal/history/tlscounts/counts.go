package tlscounts

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/policy/tlsrpt"
)

// Bounds of what is kept of one domain in one day. What comes beyond is summed up: failures of a policy by result and
// reason alone, policies by their type alone.
const (
	policiesMost = 20
	kindsMost    = 50
)

// Counts is what was counted in one day of one domain.
type Counts struct {
	Day      string   `json:"day"`    // "2026-11-29", in UTC
	Domain   string   `json:"domain"` // that is told, in A-labels
	Policies []Policy `json:"policies"`
}

// Policy is the sum of one policy.
type Policy struct {
	Type    string   `json:"type"`
	Domain  string   `json:"domain"`
	Strings []string `json:"strings,omitempty"`
	MXHosts []string `json:"mx_hosts,omitempty"`
	// Copy says that the same sessions are counted at the recipients' domains.
	Copy      bool      `json:"copy,omitempty"`
	Succeeded int64     `json:"succeeded,omitempty"`
	Failed    int64     `json:"failed,omitempty"`
	Failures  []Failure `json:"failures,omitempty"`
}

// Failure is the sum of one kind of failure.
type Failure struct {
	Result     string     `json:"result"`
	Code       string     `json:"code,omitempty"`
	MXHost     string     `json:"mx_host,omitempty"`
	SendingIP  netip.Addr `json:"sending_ip,omitzero"`
	ReceiverIP netip.Addr `json:"receiver_ip,omitzero"`
	Sessions   int64      `json:"sessions"`
}

// kind is a failure without its number.
func (f Failure) kind() Failure {
	f.Sessions = 0
	return f
}

func (p *Policy) same(o *Policy) bool {
	return p.Type == o.Type && p.Domain == o.Domain && p.Copy == o.Copy && slices.Equal(p.Strings, o.Strings) &&
		slices.Equal(p.MXHosts, o.MXHosts)
}

// Sum is how many sessions there were. Copies are told apart: their sessions are counted at other domains.
func (c *Counts) Sum() (succeeded, failed int64, onlyCopies bool) {
	onlyCopies = true
	for i := range c.Policies {
		succeeded, failed = succeeded+c.Policies[i].Succeeded, failed+c.Policies[i].Failed
		onlyCopies = onlyCopies && c.Policies[i].Copy
	}
	return succeeded, failed, onlyCopies
}

// Merge adds what other has counted of the same day and domain.
func (c *Counts) Merge(other *Counts) {
	for i := range other.Policies {
		c.policy(&other.Policies[i]).add(&other.Policies[i])
	}
}

// count adds one session.
func (c *Counts) count(s *Session, isCopy bool) {
	one := Policy{Type: s.Policy.Type, Domain: s.Policy.Domain, Strings: s.Policy.Strings, MXHosts: s.Policy.MXHosts,
		Copy: isCopy}
	p := c.policy(&one)
	if !s.Failed() {
		p.Succeeded++
		return
	}
	p.Failed++
	f := s.Failure
	p.fail(Failure{Result: f.Result, Code: f.Code, MXHost: f.MXHost, SendingIP: f.SendingIP, ReceiverIP: f.ReceiverIP,
		Sessions: 1})
}

// policy is where a policy is summed up.
func (c *Counts) policy(like *Policy) *Policy {
	for i := range c.Policies {
		if c.Policies[i].same(like) {
			return &c.Policies[i]
		}
	}
	named := Policy{Type: like.Type, Domain: like.Domain, Strings: like.Strings, MXHosts: like.MXHosts, Copy: like.Copy}
	rest := Policy{Type: like.Type, Domain: c.Domain, Copy: like.Copy}
	if len(c.Policies) >= policiesMost && !named.same(&rest) {
		return c.policy(&rest)
	}
	c.Policies = append(c.Policies, named)
	return &c.Policies[len(c.Policies)-1]
}

func (p *Policy) add(other *Policy) {
	p.Succeeded, p.Failed = p.Succeeded+other.Succeeded, p.Failed+other.Failed
	for _, f := range other.Failures {
		p.fail(f)
	}
}

// fail adds failures of one kind.
func (p *Policy) fail(f Failure) {
	for i := range p.Failures {
		if p.Failures[i].kind() == f.kind() {
			p.Failures[i].Sessions += f.Sessions
			return
		}
	}
	rest := Failure{Result: f.Result, Code: f.Code, Sessions: f.Sessions}
	if len(p.Failures) >= kindsMost && f != rest {
		p.fail(rest)
		return
	}
	p.Failures = append(p.Failures, f)
}

// Report is the document of these counts, without who reports it. Policies and failures have a fixed order. A copy and
// what is no copy of the same policy are one.
func (c *Counts) Report() tlsrpt.Report {
	start, _ := time.Parse(time.DateOnly, c.Day) // the zero time for a day that cannot be
	out := tlsrpt.Report{Start: start, End: start.AddDate(0, 0, 1).Add(-time.Second)}
	joined := Counts{Domain: c.Domain}
	for _, p := range c.Policies {
		p.Copy = false
		joined.policy(&p).add(&p)
	}
	slices.SortFunc(joined.Policies, func(a, b Policy) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Domain, b.Domain),
			cmp.Compare(strings.Join(a.Strings, "\n"), strings.Join(b.Strings, "\n")),
			cmp.Compare(strings.Join(a.MXHosts, "\n"), strings.Join(b.MXHosts, "\n")))
	})
	for _, p := range joined.Policies {
		one := tlsrpt.Policy{Type: p.Type, Domain: p.Domain, Strings: p.Strings, MXHosts: p.MXHosts,
			Succeeded: p.Succeeded, Failed: p.Failed}
		slices.SortFunc(p.Failures, func(a, b Failure) int {
			return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Result, b.Result),
				cmp.Compare(a.Code, b.Code),
				cmp.Compare(a.MXHost, b.MXHost), a.ReceiverIP.Compare(b.ReceiverIP), a.SendingIP.Compare(b.SendingIP))
		})
		for _, f := range p.Failures {
			one.Failures = append(one.Failures,
				tlsrpt.Failure{Result: f.Result, SendingIP: f.SendingIP, MXHost: f.MXHost, ReceiverIP: f.ReceiverIP,
					Sessions: f.Sessions, Code: f.Code})
		}
		out.Policies = append(out.Policies, one)
	}
	return out
}
