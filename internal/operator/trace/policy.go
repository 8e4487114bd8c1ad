package trace

import (
	"slices"

	"postern/internal/attempt"
	"postern/internal/policy"
)

// Policy is what was published for the hop of a try.
type Policy struct {
	policy.Published
	// AgeS is how old it was at the time of the try, in seconds.
	AgeS int64 `json:"age_s"`
	// Matched is the TLSA record that matched, "" where none did.
	Matched string `json:"matched,omitempty"`
	// Also is what applies besides.
	Also []Policy `json:"also,omitempty"`
}

// String is one line for people: what is published, and what would have fallen short of it where it is not kept to.
func (p *Policy) String() string {
	if p == nil {
		return ""
	}
	text := p.Line(p.AgeS, p.Matched)
	if p.Mode == policy.Enforced || p.Mode == "" {
		return text
	}
	for _, s := range p.Shortfalls {
		text += "; it would have waited: " + string(s.Reason) + ", " + s.Text
	}
	return text
}

// requireTLS is what the sender of a message asked for who said REQUIRETLS.
func requireTLS(reason string) *Policy {
	p := &Policy{Published: policy.Published{Kind: policy.FromRequireTLS, Mode: policy.Enforced,
		Note: "the sender asked for REQUIRETLS: a proven mail host with TLS that makes the same promise"}}
	if reason == string(policy.RequireTLSNotOffered) {
		p.Note += ", which this one does not"
	}
	return p
}

// beside puts what the sender asked for beside what is published: in front, unless the try fell short of that.
func (p *Policy) beside(published *Policy, decided bool) *Policy {
	switch {
	case published == nil:
		return p
	case decided:
		published.Also = append(published.Also, *p)
		return published
	}
	p.Also = append([]Policy{*published}, published.Also...)
	p.Also[0].Also = nil
	return p
}

// policyOf is what was published for the hop of a try, what decided first: what the try fell short of, what is
// enforced, what is not, what is not known, in that order. It is nil where nothing is.
func policyOf(try *attempt.Try) *Policy {
	var all []Policy
	for i := range try.Published {
		p := Policy{Published: try.Published[i], AgeS: try.Published[i].AgeS(try.At)}
		if e := try.Evidence; e != nil && e.DANE != nil && p.Kind == policy.PublishedDANE {
			p.Matched = e.DANE.Record
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil
	}
	short := try.FellShortOf()
	slices.SortStableFunc(all, func(a, b Policy) int { return weight(&b, short) - weight(&a, short) })
	all[0].Also = all[1:len(all):len(all)]
	if len(all) == 1 {
		all[0].Also = nil
	}
	return &all[0]
}

// weight orders what is published by how much it decided, where a try fell short of one.
func weight(p *Policy, short *policy.Published) int {
	switch {
	case short != nil && p.Kind == short.Kind && p.Mode == policy.Enforced:
		return 3
	case p.Mode == policy.Enforced:
		return 2
	case p.Mode != "":
		return 1
	}
	return 0
}

// decided reports whether something that is published is why a try did not carry mail.
func decided(try *attempt.Try) bool { return !try.Used && try.FellShortOf() != nil }

// decidedBy is decided of the try that tells most of an attempt.
func decidedBy(a *attempt.Attempt) bool {
	if a == nil {
		return false
	}
	try := a.Telling()
	return try != nil && decided(try)
}
