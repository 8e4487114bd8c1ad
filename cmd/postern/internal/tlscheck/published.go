package tlscheck

import (
	"cmp"
	"fmt"

	"postern/internal/check"
	"postern/internal/policy"
)

// published prints what a host and its domain publish for senders, a line each.
func (v *checkView) published(h *check.Host) {
	if len(h.Published) == 0 {
		return
	}
	if h.Reason == "" {
		fmt.Fprintf(v.a.Stdout, "\n  %s\n", cmp.Or(h.Name, "host"))
	}
	for i := range h.Published {
		p := &h.Published[i]
		v.a.Detail("    ", "Published", p.Line(p.AgeS, p.Matched))
		for _, s := range p.Shortfalls {
			if s.Reason != policy.STSPolicyUnavailable {
				v.a.Detail("    ", "Falls short", string(s.Reason)+": "+s.Text)
			}
		}
	}
}
