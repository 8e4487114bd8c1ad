package tlscounts

import (
	"strings"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/tlsrpt"
)

// Session is one session under one policy.
type Session struct {
	// Policy names the policy; its counts are not set.
	Policy tlsrpt.Policy
	// Failure is what it failed with; one without a Result succeeded. Its Sessions is not set.
	Failure tlsrpt.Failure
}

// Failed reports whether the session failed.
func (s *Session) Failed() bool { return s.Failure.Result != "" }

// results are those that policies have for a fetch that failed; see stscache.Kind.
type results func(fault string) string

// Sessions lists the sessions of an attempt with the hosts of a domain, each once for each policy that applied. fetch
// gives the result of a failed fetch for its fault, "" where the fault is ours.
func Sessions(domain mail.Domain, a *attempt.Attempt, fetch func(fault string) string) (out []Session) {
	for i := range a.Tries {
		if t := &a.Tries[i]; decided(t) && !repeated(a.Tries[i+1:], t) {
			out = append(out, ofTry(domain, t, fetch)...)
		}
	}
	return out
}

// decided reports whether TLS was decided by a try, or the host was passed over.
func decided(t *attempt.Try) bool {
	switch {
	case t.Rung == "":
		return true // nothing was dialled; ofTry looks for what keeps mail from it
	case t.Evidence != nil:
		return true
	}
	return t.Rung != attempt.Plain && tlsrpt.Result(t.Reason, tlsrpt.TypeNone) != ""
}

// repeated reports whether a later try decided about TLS at the same address.
func repeated(later []attempt.Try, t *attempt.Try) bool {
	for i := range later {
		if l := &later[i]; t.IP.IsValid() && l.IP == t.IP && l.Port == t.Port && l.Host == t.Host && decided(l) {
			return true
		}
	}
	return false
}

// ofTry is the session of a try under each policy that applied.
func ofTry(domain mail.Domain, t *attempt.Try, fetch results) (out []Session) {
	for i := range t.Published {
		if s, applied := under(domain, t, &t.Published[i], fetch); applied {
			out = append(out, s)
		}
	}
	if len(out) == 0 && t.Rung != "" {
		out = append(out, Session{Policy: tlsrpt.Policy{Type: tlsrpt.TypeNone, Domain: domain.String()},
			Failure: failure(t, withoutTLS(t), tlsrpt.TypeNone)})
	}
	return out
}

// withoutTLS is why a try has no TLS, "" where it has.
func withoutTLS(t *attempt.Try) policy.Reason {
	if t.Evidence != nil {
		return ""
	}
	return t.Reason
}

// under is the session under one policy, if that applied.
func under(domain mail.Domain, t *attempt.Try, p *policy.Published, fetch results) (s Session, applied bool) {
	s.Policy = named(domain, t, p)
	switch {
	case t.Rung == "": // passed over: by this policy, or by another
		if len(p.Shortfalls) == 0 || p.Shortfalls[0].Reason != t.Reason {
			return s, false
		}
		s.Failure = failure(t, t.Reason, s.Policy.Type)
		return s, s.Failed()
	case p.Kind == policy.PublishedSTS && p.Mode == "":
		s.Failure = failure(t, policy.STSPolicyUnavailable, s.Policy.Type)
		s.Failure.Result = fetch(p.Fault)
		return s, s.Failed()
	case !p.Demand.Forced(): // nothing is asked of the channel; a shortfall is the host's
		if len(p.Shortfalls) == 0 {
			return s, false
		}
		s.Failure = failure(t, p.Shortfalls[0].Reason, s.Policy.Type)
		return s, s.Failed()
	}
	s.Failure = failure(t, short(t, p), s.Policy.Type)
	return s, true
}

// short is why a connection falls short of a policy, "" where it passes.
func short(t *attempt.Try, p *policy.Published) policy.Reason {
	if t.Evidence == nil {
		return t.Reason
	}
	if falls := policy.Verdict(p.Demand, *t.Evidence); len(falls) > 0 {
		return falls[0].Reason
	}
	if p.Kind == policy.PublishedDANE && p.Demand.Channel < policy.Authenticated {
		return policy.DANEUnusable
	}
	return ""
}

// failure tells of a try that failed for a reason under a policy of a type; the zero value where there is none, or none
// that a report knows.
func failure(t *attempt.Try, why policy.Reason, policyType string) tlsrpt.Failure {
	if why == "" {
		return tlsrpt.Failure{}
	}
	result := tlsrpt.Result(why, policyType)
	if result == "" && t.Evidence != nil {
		result = tlsrpt.ValidationFailure // RFC 8460 §4.3 has no word for it
	}
	if result == "" {
		return tlsrpt.Failure{}
	}
	return tlsrpt.Failure{Result: result, SendingIP: t.Local, MXHost: t.Host, ReceiverIP: t.IP, Code: string(why)}
}

// named says which policy it is.
func named(domain mail.Domain, t *attempt.Try, p *policy.Published) tlsrpt.Policy {
	if p.Kind == policy.PublishedSTS {
		return tlsrpt.Policy{Type: tlsrpt.TypeSTS, Domain: domain.String(), Strings: bounded(p.Lines),
			MXHosts: bounded(p.Hosts)}
	}
	out := tlsrpt.Policy{Type: tlsrpt.TypeTLSA, Domain: base(p.Source), Strings: bounded(p.Records)}
	if t.Host != "" {
		out.MXHosts = []string{t.Host}
	}
	if out.Domain == "" {
		out.Domain = t.Host
	}
	return out
}

// base is the TLSA base domain in the name of its records.
func base(name string) string {
	for range 2 { // _25, _tcp
		_, name, _ = strings.Cut(name, ".")
	}
	return name
}

// Bounds of what is kept of a policy's text, in bytes and strings.
const (
	textMost    = 4 << 10
	stringsMost = 60
)

// bounded is a list of strangers' strings of which not too much is kept.
func bounded(list []string) []string {
	room := textMost
	for i, s := range list {
		if room -= len(s); room < 0 || i == stringsMost {
			return list[:i:i]
		}
	}
	return list
}

// Fetch is the failure that a failed fetch of a domain's policy is, while one that was fetched earlier counts.
func Fetch(domain, result string) Session {
	return Session{Policy: tlsrpt.Policy{Type: tlsrpt.TypeSTS, Domain: domain},
		Failure: tlsrpt.Failure{Result: result, Code: string(policy.STSPolicyUnavailable)}}
}
