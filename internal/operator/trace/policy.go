package trace

import (
	"fmt"
	"slices"
	"strings"
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

// String is what was published as a person reads it; "" of nil.
func (p *Policy) String() string {
	if p == nil {
		return ""
	}
	var parts []string
	add := func(format string, v ...any) { parts = append(parts, fmt.Sprintf(format, v...)) }
	switch p.Kind {
	case policy.PublishedDANE:
		if len(p.Records) > 0 {
			add("DANE: %s at %s", count(len(p.Records)), p.Source)
		} else {
			add("DANE: its TLSA records are not known")
		}
	case policy.PublishedSTS:
		if len(p.Hosts) == 0 {
			add("MTA-STS: no policy is known")
			break
		}
		add("MTA-STS policy %s of %s, for %s", p.ID, p.AsOf.Format(time.DateTime), strings.Join(p.Hosts, ", "))
	default:
		add("%s", p.Kind)
	}
	if p.Matched != "" {
		add("%s matches", p.Matched)
	}
	if p.Unusable > 0 {
		add("%d of them cannot be used", p.Unusable)
	}
	if p.Half {
		add("the host was found by unsigned DNS")
	}
	if p.Note != "" {
		add("%s", p.Note)
	}
	if p.Mode != policy.Enforced && p.Mode != "" {
		text := "not kept to (" + p.Mode + ")"
		for _, s := range p.Shortfalls {
			text += "; it would have waited: " + string(s.Reason) + ", " + s.Text
		}
		add("%s", text)
	}
	return strings.Join(parts, "; ")
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

// policyOf is what decided of what was published for the hop of a try: what the try fell short of, what is enforced, what is
// not, what is not known, in that order. It is nil where nothing is.
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
	if !out.AsOf.IsZero() {
		out.AgeS = max(0, int64(try.At.Sub(out.AsOf)/time.Second))
	}
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

func count(n int) string {
	if n == 1 {
		return "one TLSA record"
	}
	return fmt.Sprintf("%d TLSA records", n)
}
