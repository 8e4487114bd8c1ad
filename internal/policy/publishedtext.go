package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
)

// mostShown bounds the mail hosts, and the records, of a line.
const mostShown = 10

// Said says what is published in words that stay as long as it does: without times, and with records in one order.
func (p *Published) Said() string {
	var out []string
	for _, text := range []string{p.Mode, p.ID} {
		if text != "" {
			out = append(out, text)
		}
	}
	out = append(out, slices.Sorted(slices.Values(p.Hosts))...)
	if list := slices.Sorted(slices.Values(p.Records)); len(list) > 0 {
		out = append(out, p.Source, strings.Join(list, ", "))
	} else if len(p.Hosts) == 0 {
		for _, s := range p.Shortfalls {
			out = append(out, "not known: "+string(s.Reason))
		}
	}
	return strings.Join(out, " ")
}

// Line says in one line for people what is published, how old it is, and which TLSA record matched, "" where none did.
func (p *Published) Line(ageS int64, matched string) string {
	said := []string{map[string]string{PublishedDANE: "DANE", PublishedSTS: "MTA-STS",
		FromRequireTLS: "REQUIRETLS"}[p.Kind]}
	add := func(when bool, text string) {
		if when && text != "" {
			said = append(said, text)
		}
	}
	if slices.ContainsFunc(p.Shortfalls, func(s Shortfall) bool { return s.Reason == STSPolicyUnavailable }) {
		if !Announced(p.Fault) {
			return said[0] + ": not known: " + p.Note
		}
		return said[0] + ": announced, and not to be had: " + p.Note
	}
	add(true, map[string]string{Enforced: "enforced", Testing: "testing, so that nothing is asked",
		Observed: "only observed, as the configuration says", Excepted: "set aside",
		Waived: "set aside by the message"}[p.Mode])
	add(p.ID != "", "id "+p.ID+", fetched "+(time.Duration(ageS)*time.Second).String()+" before")
	add(len(p.Hosts) > 0, "names "+mail.AtMost(p.Hosts, mostShown, " "))
	add(len(p.Records) > 0, p.Source+": "+mail.AtMost(p.Records, mostShown, "; "))
	add(matched != "", "matched by "+matched)
	add(p.Unusable > 0, fmt.Sprintf("%d unusable", p.Unusable))
	add(p.Half, "the MX record is not signed")
	add(true, p.Note)
	return strings.Join(said, ", ")
}
