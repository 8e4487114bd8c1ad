package ownzone

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/internal/policy/tlsrpt"
)

// reports judges the record that asks others for reports about TLS (RFC 8460 §3). Where none are taken here it may say
// what it likes: reports may go to somebody else. Further destinations beside ours are as good.
func (j *judgement) reports(d *SeenDomain) {
	name := tlsrpt.Name(d.Name)
	if len(j.own.Reports.Destinations) == 0 || j.unanswered(d.Name, name, "TXT", d.ReportsErr) {
		return
	}
	f := Finding{Level: Wrong, Domain: d.Name, Name: name, There: strings.Join(d.Reports.Texts, " / "),
		Want: j.own.Reports.Text(),
		Hint: "publish the TXT record that `postern records` prints, and no other that begins with v=TLSRPTv1"}
	there, err := tlsrpt.ParseRecord(d.Reports.Texts)
	several := 0
	for _, text := range d.Reports.Texts {
		if strings.HasPrefix(text, "v=TLSRPTv1") {
			several++
		}
	}
	switch missing := j.notAsked(there); {
	case errors.Is(err, tlsrpt.ErrNoRecord):
		f.Code, f.Text = TLSRPTMissing, fmt.Sprintf("nobody is asked for reports about %s", d.Name)
	case err != nil && several > 1:
		f.Code, f.Text = TLSRPTDouble, fmt.Sprintf("%s has %d records, which count as none", name, several)
	case err != nil:
		f.Code, f.Text = TLSRPTMalformed, "the record counts as none: "+err.Error()
	case len(missing) == len(j.own.Reports.Destinations):
		f.Code, f.Text = TLSRPTDiffers, "reports go elsewhere, and none comes here: the record does not name "+
			strings.Join(missing, ", ")
	case len(missing) > 0:
		f.Code, f.Level, f.Text = TLSRPTDiffers, Warning, "the record does not name "+strings.Join(missing, ", ")
	default:
		return
	}
	j.add(f)
}

// notAsked lists the destinations of ours that a record does not name.
func (j *judgement) notAsked(there tlsrpt.Record) (out []string) {
	for _, want := range j.own.Reports.Destinations {
		if !slices.ContainsFunc(there.Destinations,
			func(d tlsrpt.Destination) bool { return strings.EqualFold(d.String(), want.String()) }) {
			out = append(out, want.String())
		}
	}
	return out
}
