package tlscheck

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
		label := map[string]string{policy.PublishedDANE: "DANE", policy.PublishedSTS: "MTA-STS"}[p.Kind]
		if unavailable(p) {
			v.a.Detail("    ", cmp.Or(label, p.Kind), "announced, and not to be had: "+p.Note)
			continue
		}
		v.a.Detail("    ", cmp.Or(label, p.Kind), publishedText(p))
		for _, s := range p.Shortfalls {
			v.a.Detail("    ", "", "would fall short: "+string(s.Reason)+": "+s.Text)
		}
	}
}

// unavailable reports whether nothing is known of a policy but that there should be one.
func unavailable(p *check.Published) bool {
	return slices.ContainsFunc(p.Shortfalls, func(s policy.Shortfall) bool { return s.Reason == policy.STSPolicyUnavailable })
}

// publishedText is a policy in one line.
func publishedText(p *check.Published) string {
	said := []string{map[string]string{policy.Enforced: "enforced", policy.Testing: "testing, so that nothing is asked",
		policy.Observed: "only observed, as the configuration says"}[p.Mode]}
	if p.ID != "" {
		said = append(said, "id "+p.ID, "fetched "+(time.Duration(p.AgeS)*time.Second).String()+" ago")
	}
	if len(p.Hosts) > 0 {
		said = append(said, "names "+some(p.Hosts, " "))
	}
	if len(p.Records) > 0 {
		said = append(said, fmt.Sprintf("at %s: %s", p.Source, some(p.Records, "; ")))
	}
	if p.Matched != "" {
		said = append(said, "matched by "+p.Matched)
	}
	if p.Unusable > 0 {
		said = append(said, strconv.Itoa(p.Unusable)+" unusable")
	}
	if p.Half {
		said = append(said, "the MX record is not signed")
	}
	if p.Note != "" {
		said = append(said, p.Note)
	}
	return strings.Join(said, ", ")
}

// some joins the first of a list that may be long.
func some(list []string, by string) string {
	const most = 10
	if len(list) <= most {
		return strings.Join(list, by)
	}
	return strings.Join(list[:most], by) + fmt.Sprintf("%sand %d more", by, len(list)-most)
}
