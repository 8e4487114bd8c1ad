package examiner

import (
	"time"

	"postern/internal/check"
	"postern/internal/gateway/route"
	"postern/internal/policy"
)

// hostOf is what is told of a hop before anybody spoke to it.
func hostOf(hop *route.Hop, heard *answers) check.Host {
	host := check.Host{Name: hop.Host.String(), Port: hop.Port, Pref: hop.Pref, Proven: hop.Proven,
		Signed: heard.signed(hop.Host)}
	if hop.Problem != nil {
		host.Reason, host.Text = hop.Problem.Reason, hop.Problem.Text
	}
	return host
}

// published is what is published for a hop, with what its addresses made of it: the record that matched, and what fell
// short of what is not enforced, the first of each.
func published(hop *route.Hop, addresses []check.Address, at time.Time) (out []check.Published) {
	for i, p := range hop.Published {
		told := check.Published{Published: p, AgeS: p.AgeS(at)}
		for j := range addresses {
			v := &addresses[j].Verdicts[0] // of ordinary mail
			if p.Kind == policy.PublishedDANE && told.Matched == "" {
				told.Matched = v.Matched
			}
			if len(told.Shortfalls) == 0 && i < len(v.Published) {
				told.Shortfalls = v.Published[i].Shortfalls
			}
		}
		out = append(out, told)
	}
	return out
}
