package tlsrpt

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
)

// Fields are found by the letters of their names: "receiving-mx-host-name" is seen in the field, and so are "mxHost"
// and the names of drafts. Of a field that comes twice the last counts.

// letters is a name without anything but letters, in lower case.
func letters(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return -1
	}, name[:min(len(name), maxSaid)])
}

// readPolicy is a policy under way.
type readPolicy struct {
	Policy
	summed bool // the summary says how many failed
}

func (r *reader) reportField(name string, t json.Token) error {
	switch name {
	case "organizationname", "organisationname":
		r.known = true
		return r.text(t, &r.report.Organization)
	case "contactinfo":
		return r.text(t, &r.report.Contact)
	case "reportid":
		r.known = true
		return r.text(t, &r.report.ID)
	case "daterange":
		return r.object(t, "date range", r.rangeField)
	case "startdatetime", "enddatetime":
		return r.rangeField(name, t)
	case "policies":
		r.known = true
		return r.list(t, r.policy)
	case "policy", "summary", "failuredetails":
		r.known = true
		if r.lone == nil {
			r.lone = &readPolicy{}
		}
		return r.policyField(r.lone, name, t)
	}
	return r.skip(t)
}

func (r *reader) rangeField(name string, t json.Token) error {
	switch name {
	case "startdatetime":
		return r.time(t, &r.report.Start)
	case "enddatetime":
		return r.time(t, &r.report.End)
	}
	return r.skip(t)
}

// policy reads one of policies.
func (r *reader) policy(t json.Token) error {
	if err := r.entry(); err != nil {
		return err
	}
	if t != json.Delim('{') {
		r.odd.add("one of the policies is no object, and is passed over")
		return r.skip(t)
	}
	p := readPolicy{}
	err := r.object(t, "policy", func(name string, t json.Token) error { return r.policyField(&p, name, t) })
	if err == nil {
		r.keep(p)
	}
	return err
}

func (r *reader) policyField(p *readPolicy, name string, t json.Token) error {
	switch name {
	case "policy":
		return r.object(t, "policy", func(name string, t json.Token) error { return r.aboutField(p, name, t) })
	case "summary", "summaryresults":
		return r.object(t, "summary", func(name string, t json.Token) error { return r.sumField(p, name, t) })
	case "failuredetails":
		return r.list(t, func(t json.Token) error { return r.failure(p, t) })
	}
	return r.aboutField(p, name, t)
}

// aboutField reads a field that says which policy it is.
func (r *reader) aboutField(p *readPolicy, name string, t json.Token) error {
	switch name {
	case "policytype":
		if err := r.text(t, &p.Type); err != nil {
			return err
		}
		p.Type = policyType(p.Type)
		return nil
	case "policystring":
		return r.texts(t, &p.Strings, atLineEnds)
	case "policydomain":
		return r.host(t, &p.Domain)
	case "mxhost", "mxhostpattern":
		if err := r.texts(t, &p.MXHosts, atBlanks); err != nil {
			return err
		}
		for i, host := range p.MXHosts {
			p.MXHosts[i] = hostText(host)
		}
		return nil
	}
	return r.sumField(p, name, t)
}

func (r *reader) sumField(p *readPolicy, name string, t json.Token) error {
	switch name {
	case "totalsuccessfulsessioncount", "successaggregate":
		_, err := r.count(t, &p.Succeeded)
		return err
	case "totalfailuresessioncount", "failureaggregate":
		known, err := r.count(t, &p.Failed)
		p.summed = p.summed || known
		return err
	}
	return r.skip(t)
}

// failure reads one of failure-details.
func (r *reader) failure(p *readPolicy, t json.Token) error {
	if t == nil {
		return nil
	}
	if err := r.entry(); err != nil {
		return err
	}
	if t != json.Delim('{') {
		r.odd.add("one of the failures is no object, and is passed over")
		return r.skip(t)
	}
	f := Failure{}
	err := r.object(t, "failure", func(name string, t json.Token) error { return r.failureField(&f, name, t) })
	f.Result = resultType(f.Result)
	if f.Result == "" {
		r.odd.add("a failure does not say its result")
	}
	p.Failures = append(p.Failures, f)
	return err
}

func (r *reader) failureField(f *Failure, name string, t json.Token) error {
	switch name {
	case "resulttype":
		return r.text(t, &f.Result)
	case "sendingmtaip":
		return r.address(t, &f.SendingIP)
	case "receivingip", "receivingmtaip":
		return r.address(t, &f.ReceiverIP)
	case "receivingmxhostname":
		return r.host(t, &f.MXHost)
	case "receivingmxhelo":
		return r.text(t, &f.MXHelo)
	case "failedsessioncount", "sessioncount":
		_, err := r.count(t, &f.Sessions)
		return err
	case "additionalinformation", "additionalinfouri":
		return r.text(t, &f.Info)
	case "failurereasoncode", "failureerrorcode":
		return r.text(t, &f.Code)
	}
	return r.skip(t)
}

// keep adds a policy to the report. One that stands there before, with the same counts and failures, is the same one.
func (r *reader) keep(p readPolicy) {
	var sum int64
	for _, f := range p.Failures {
		sum += f.Sessions
	}
	switch {
	case !p.summed:
		p.Failed = bounded(sum)
	case len(p.Failures) > 0 && sum != p.Failed:
		r.odd.add("the failures of a policy have %d sessions together, and its summary says %d", sum, p.Failed)
	}
	if p.Type == "" {
		r.odd.add("a policy does not say its type")
	}
	if p.Domain == "" {
		r.odd.add("a policy does not say its domain")
	}
	sign := sha256.Sum256(encode(p.entry()))
	if r.seen[sign] {
		r.odd.add("a policy stands there twice with the same counts, and counts once")
		return
	}
	r.seen[sign] = true
	r.report.Policies = append(r.report.Policies, p.Policy)
}

// policyType is a type as RFC 8460 §4.4 spells it, where it is one.
func policyType(text string) string {
	switch letters(text) {
	case "tlsa", "dane", "daneonly":
		return TypeTLSA
	case "sts", "mtasts":
		return TypeSTS
	case "nopolicyfound", "nopolicy", "none":
		return TypeNone
	}
	return text
}

// resultType is a result as RFC 8460 §4.3 spells it, where it is one.
func resultType(text string) string {
	known := Results()
	if i := slices.IndexFunc(known, func(k string) bool { return letters(k) == letters(text) }); i >= 0 && text != "" {
		return known[i]
	}
	return text
}
