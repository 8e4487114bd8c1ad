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

// policyOf is what decided of what was published for the hop of a try: what the try fell short of, what is enforced,
// what is not, what is not known, in that order. It is nil where nothing is.
func policyOf(try *attempt.Try) *Policy {
	var out *Policy
	for i := range try.Published {
		p := &try.Published[i]
		if out == nil || weight(p, try) > weight(&out.Published, try) {
			out = &Policy{Published: *p}
		}
	}
	if out == nil {
		return nil
	}
	out.AgeS = out.Published.AgeS(try.At)
	if e := try.Evidence; e != nil && e.DANE != nil && out.Kind == policy.PublishedDANE {
		out.Matched = e.DANE.Record
	}
	return out
}

func weight(p *policy.Published, try *attempt.Try) int {
	decides := func(s policy.Shortfall) bool { return s.Reason == try.Reason }
	switch {
	case p.Mode == policy.Enforced && slices.ContainsFunc(p.Shortfalls, decides):
		return 3
	case p.Mode == policy.Enforced:
		return 2
	case p.Mode != "":
		return 1
	}
	return 0
}
