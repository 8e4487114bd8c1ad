package trace

import (
	"time"

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

// requireTLS is what the sender of a message asked for who said REQUIRETLS.
func requireTLS(reason string) *Policy {
	p := &Policy{Published: policy.Published{Kind: policy.FromRequireTLS, Mode: policy.Enforced,
		Note: "the sender asked for REQUIRETLS: a proven mail host with TLS that makes the same promise"}}
	if reason == string(policy.RequireTLSNotOffered) {
		p.Note += ", which this one does not"
	}
	return p
}

// policyOf is what decided of what was published for the hop of a try: what is enforced before what is not. It is nil where
// nothing is.
func policyOf(try *attempt.Try) *Policy {
	var out *Policy
	for i := range try.Published {
		p := &try.Published[i]
		if out == nil || out.Mode != policy.Enforced && p.Mode == policy.Enforced {
			out = &Policy{Published: *p}
		}
	}
	if out == nil {
		return nil
	}
	if !out.AsOf.IsZero() {
		out.AgeS = max(0, int64(try.At.Sub(out.AsOf)/time.Second))
	}
	if e := try.Evidence; e != nil && e.DANE != nil && out.Kind == policy.PublishedDANE {
		out.Matched = e.DANE.Record
	}
	return out
}
