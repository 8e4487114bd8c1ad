package ownzone

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/internal/policy/sts"
)

// sts judges the record about the policy of a domain, and what its policy host serves.
func (j *judgement) sts(d *SeenDomain, configured sts.Policy) {
	known := !j.unanswered(d.Name, recordName(d.Name), "TXT", d.TXTErr)
	if configured.Mode == "" {
		j.notConfigured(d)
		return
	}
	if known {
		j.record(d, configured)
	}
	if d.Fault.Code != "" {
		j.fault(d, configured)
	} else if d.Served.Mode != "" {
		j.served(d, configured)
	}
}

// notConfigured tells of a policy that somebody announces for a domain for which none is configured.
func (j *judgement) notConfigured(d *SeenDomain) {
	if _, err := sts.ParseRecord(d.TXT.Texts); errors.Is(err, sts.ErrNoRecord) {
		return
	}
	j.add(Finding{Code: STSNotConfigured, Level: Warning, Domain: d.Name, Name: recordName(d.Name),
		There: strings.Join(d.TXT.Texts, " / "),
		Text: fmt.Sprintf("%s announces an MTA-STS policy, and none is configured here: this gateway cannot tell "+
			"whether the two fit", d.Name),
		Hint: "write it as sts of the [[domain]], or take it back: a policy of mode none first, the record when " +
			"max_age has passed (RFC 8461 §8.3)"})
}

// record judges the record (RFC 8461 §3.1).
func (j *judgement) record(d *SeenDomain, configured sts.Policy) {
	want := configured.Record()
	f := Finding{Level: Wrong, Domain: d.Name, Name: recordName(d.Name),
		There: strings.Join(d.TXT.Texts, " / "), Want: want.Text(),
		Hint: "publish the TXT record that `postern records` prints, and no other that begins with v=STSv1"}
	there, err := sts.ParseRecord(d.TXT.Texts)
	several := len(slices.DeleteFunc(slices.Clone(d.TXT.Texts),
		func(t string) bool { return !strings.HasPrefix(t, "v="+sts.Version) }))
	switch {
	case errors.Is(err, sts.ErrNoRecord):
		f.Code, f.Text = STSRecordMissing, fmt.Sprintf("nothing announces the policy of %s: nobody asks for it", d.Name)
	case err != nil && several > 1:
		f.Code, f.Text = STSRecordDouble, fmt.Sprintf("%s has %d records, which count as none", recordName(d.Name),
			several)
	case err != nil:
		f.Code, f.Text = STSRecordMalformed, "the record counts as none: "+err.Error()
	case there.ID != want.ID:
		f.Code, f.Text = STSIDDiffers, "the id is not that of the policy: who has fetched an earlier one does not "+
			"fetch this one before its end"
	default:
		return
	}
	j.add(f)
}

// fault tells why no policy could be had.
func (j *judgement) fault(d *SeenDomain, configured sts.Policy) {
	f := Finding{Code: d.Fault.Code, Level: Wrong, Domain: d.Name, Name: HostName(d.Name), Want: summary(configured),
		Text: d.Fault.Text}
	switch d.Fault.Code {
	case STSHostUnknown:
		f.Level, f.Hint = Unknown, "ask again"
	case STSHostUnreachable:
		f.Hint = "have " + f.Name + " lead to what serves the policy, and let strangers in at port 443"
	case STSHostCertificate:
		f.Hint = "add a certificate for " + f.Name + " to tls.certificates; it must be from a public CA"
	case STSPolicyMalformed:
		f.Hint = "serve the policy as it is configured here"
	default:
		f.Hint = "only an answer 200 with the policy itself counts, without redirects"
	}
	j.add(f)
}

// served judges the policy that others are given.
func (j *judgement) served(d *SeenDomain, configured sts.Policy) {
	var differs []string
	if d.Served.Mode != configured.Mode {
		differs = append(differs, "mode")
	}
	if !slices.Equal(slices.Sorted(slices.Values(d.Served.MX)), slices.Sorted(slices.Values(configured.MX))) {
		differs = append(differs, "mx")
	}
	if d.Served.MaxAge != configured.MaxAge {
		differs = append(differs, "max_age")
	}
	if len(differs) == 0 {
		return
	}
	j.add(Finding{Code: STSPolicyDiffers, Level: Wrong, Domain: d.Name, Name: HostName(d.Name),
		There: summary(d.Served), Want: summary(configured),
		Text: fmt.Sprintf("the policy host serves another policy than is configured: %s", strings.Join(differs, ", ")),
		Hint: "have what answers at " + HostName(d.Name) + " be this gateway, and reload it; or configure what is " +
			"meant"})
}

// summary is a policy in one line.
func summary(p sts.Policy) string { return strings.Join(p.Lines()[1:], ", ") }
