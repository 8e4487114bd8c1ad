package acceptance

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
	"postern/test/peers"
)

// stsSituation is a domain's record and policy host as they are met in the field.
type stsSituation struct {
	name   string
	text   string // of the policy, or
	serve  http.HandlerFunc
	record string // lines of DNS in place of the usual record; "DOMAIN" stands for the domain
	cert   func(*pki.Options)
	ours   string // what binds: the names of an enforced policy, sorted, or "": nothing
	theirs string // what Postfix's resolver makes of it where that is something else; "-": nothing
	why    string // why it is something else
}

// good is a policy as it should be.
const goodPolicy = "version: STSv1\r\nmode: enforce\r\nmx: mx.clinic.test\r\nmax_age: 604800\r\n"

// typed serves the good policy with headers.
func typed(status int, headers ...string) http.HandlerFunc {
	return func(out http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			out.Header().Set(headers[i], headers[i+1])
		}
		out.WriteHeader(status)
		_, _ = out.Write([]byte(goodPolicy))
	}
}

// lines is an enforced policy with other lines in the middle, LF alone at their ends.
func lines(middle ...string) string {
	return "version: STSv1\nmode: enforce\n" + strings.Join(middle, "\n") + "\nmax_age: 604800\n"
}

const untidy = "untidy where it does no harm: the domain's wish is plain, and its mail is protected"

// stsSituations are what both are asked about.
func stsSituations(now time.Time) []stsSituation {
	const mx = "mx.clinic.test"
	swap := func(from, to string) string { return strings.Replace(goodPolicy, from, to, 1) }
	return []stsSituation{
		{name: "good", text: goodPolicy, ours: mx},
		{name: "lf-alone", text: strings.ReplaceAll(goodPolicy, "\r", ""), ours: mx},
		{name: "no-line-end", text: strings.TrimSpace(goodPolicy), ours: mx},
		{name: "cr-alone", text: strings.ReplaceAll(goodPolicy, "\n", ""), ours: mx},
		{name: "cr-cr-lf", text: strings.ReplaceAll(goodPolicy, "\r", "\r\r"), ours: mx},
		{name: "byte-order-mark", text: "\ufeff" + goodPolicy, ours: mx, theirs: "-", why: untidy},
		{name: "blanks-before-colons", text: strings.ReplaceAll(goodPolicy, ":", " : "), ours: mx, theirs: "-", why: untidy},
		{name: "blanks-at-ends", text: strings.ReplaceAll(goodPolicy, "\r", " \t\r"), ours: mx},
		{name: "blanks-in-front", text: " " + strings.ReplaceAll(goodPolicy, "\nm", "\n m"), ours: mx, theirs: "-", why: untidy},
		{name: "no-blanks", text: strings.ReplaceAll(goodPolicy, ": ", ":"), ours: mx},
		{name: "other-order", text: "max_age: 86400\nmx: mx.clinic.test\nmode: enforce\nversion: STSv1\n", ours: mx},
		{name: "upper-case", text: strings.ToUpper(goodPolicy), ours: mx, theirs: "-", why: untidy},
		{name: "upper-host", text: swap(mx, "MX.Clinic.Test"), ours: mx, theirs: "MX.Clinic.Test", why: "the same name"},
		{name: "unknown-keys", text: lines("# a comment", "id: 1", "mx: "+mx, "end"), ours: mx},
		{name: "mode-none", text: swap("enforce", "none"), ours: ""},
		{name: "mode-testing", text: swap("enforce", "testing"), ours: ""},
		{name: "mode-of-a-draft", text: swap("enforce", "report"), ours: ""},
		{name: "two-modes", text: swap("mode:", "mode: testing\nmode:"), ours: "", theirs: mx, why: "RFC 8461 §3.2: the first of a field that comes twice counts"},
		{name: "two-modes-turned", text: swap("mx:", "mode: testing\nmx:"), ours: mx, theirs: "-", why: "RFC 8461 §3.2: the first of a field that comes twice counts"},
		{name: "nmx", text: lines("nmx: " + mx), ours: ""},
		{name: "no-mx", text: lines("x: y"), ours: ""},
		{name: "no-colon", text: lines("mx " + mx), ours: ""},
		{name: "max-dash-age", text: swap("max_age", "max-age"), ours: ""},
		{name: "max-age-none", text: swap("604800", ""), ours: ""},
		{name: "max-age-words", text: swap("604800", "one week"), ours: ""},
		{name: "max-age-zero", text: swap("604800", "0"), ours: mx},
		{name: "max-age-long", text: swap("604800", "63072000"), ours: mx, theirs: "-", why: "the largest there may be counts: who asks for two years gets one"},
		{name: "version-2", text: swap("STSv1", "STSv2"), ours: ""},
		{name: "equals-signs", text: strings.ReplaceAll(goodPolicy, ": ", "="), ours: ""},
		{name: "one-line", text: strings.ReplaceAll(goodPolicy, "\r\n", " "), ours: ""},
		{name: "json", text: `{"version": "STSv1", "mode": "enforce", "mx": [".clinic.test"], "max_age": 123456}`, ours: ""},
		{name: "web-page", text: "<!DOCTYPE html>\n<html><body>Welcome!</body></html>", ours: ""},
		{name: "empty", text: "", ours: ""},
		{name: "nul", text: lines("mx: mx.clinic.test\x00.evil.test"), ours: "", theirs: "mx.clinic.test\x00.evil.test",
			why: "a control character is in no policy that somebody wrote"},

		{name: "wildcard", text: lines("mx: *.clinic.test", "mx: mx.other.test"), ours: ".clinic.test mx.other.test"},
		{name: "wildcard-alone", text: lines("mx: *"), ours: ""}, // theirs is a match of nothing
		{name: "wildcard-inside", text: lines("mx: mx*.clinic.test", "mx: "+mx), ours: mx, theirs: "mx*.clinic.test " + mx, why: "a wildcard is the whole first label (RFC 8461 §3.2)"},
		{name: "leading-dot", text: lines("mx: .clinic.test", "mx: "+mx), ours: mx, theirs: ".clinic.test " + mx, why: "the form of a draft, which names no host"},
		{name: "final-dot", text: swap(mx, mx+"."), ours: mx, theirs: mx + ".", why: untidy},
		{name: "two-in-a-line", text: lines("mx: mx.clinic.test, mx2.clinic.test", "mx: mx3.clinic.test"), ours: "mx3.clinic.test",
			theirs: "mx.clinic.test, mx2.clinic.test mx3.clinic.test", why: "what cannot be a name matches none"},

		{name: "html-type", serve: typed(200, "Content-Type", "text/html"), ours: mx, theirs: "-", why: untidy},
		{name: "binary-type", serve: typed(200, "Content-Type", "application/octet-stream"), ours: mx, theirs: "-", why: untidy},
		{name: "charset", serve: typed(200, "Content-Type", "text/plain; charset=iso-8859-1"), ours: mx},
		{name: "upper-type", serve: typed(200, "Content-Type", "TEXT/PLAIN;CHARSET=UTF-8"), ours: mx},
		{name: "not-found", serve: typed(404, "Content-Type", "text/plain"), ours: ""},
		{name: "partial", serve: typed(206, "Content-Type", "text/plain"), ours: ""},
		{name: "redirect", serve: typed(302, "Content-Type", "text/plain", "Location", "https://mta-sts.good.test/.well-known/mta-sts.txt"), ours: ""},
		{name: "large", text: goodPolicy + strings.Repeat("x: "+strings.Repeat("y", 100)+"\r\n", 1000), ours: ""},
		{name: "nearly-large", text: goodPolicy + strings.Repeat("x: "+strings.Repeat("y", 100)+"\r\n", 600), ours: mx},

		{name: "cert-of-another", text: goodPolicy, cert: func(o *pki.Options) { o.Names = []string{"www.clinic.test"} }, ours: ""},
		{name: "cert-expired", text: goodPolicy, cert: func(o *pki.Options) { o.NotAfter = now.Add(-26 * time.Hour) }, ours: ""},
		{name: "cert-self-signed", text: goodPolicy, cert: func(o *pki.Options) { o.SelfSigned = true }, ours: ""},
		{name: "cert-wildcard", text: goodPolicy, cert: func(o *pki.Options) { o.Names = []string{"*.cert-wildcard.test"} }, ours: mx},

		{name: "two-records", text: goodPolicy, record: `TXT "v=STSv1; id=1;"|TXT "v=STSv1; id=2;"`, ours: ""},
		{name: "record-beside-spf", text: goodPolicy, record: `TXT "v=spf1 -all"|TXT "v=STSv1; id=1;"`, ours: mx},
		{name: "record-in-pieces", text: goodPolicy, record: `TXT "v=STS" "v1; i" "d=1;"`, ours: mx},
		{name: "record-bare", text: goodPolicy, record: `TXT "v=STSv1;id=1"`, ours: mx},
		{name: "record-blanks", text: goodPolicy, record: `TXT "v=STSv1 ; id=1 ;"`, ours: mx},
		{name: "record-without-id", text: goodPolicy, record: `TXT "v=STSv1;"`, ours: ""},
		{name: "record-small", text: goodPolicy, record: `TXT "v=stsv1; id=1"`, ours: ""},
		{name: "record-version-2", text: goodPolicy, record: `TXT "v=STSv2; id=1"`, ours: ""},
		{name: "record-other", text: goodPolicy, record: `TXT "v=spf1 -all"`, ours: ""},
		{name: "record-upper-id", text: goodPolicy, record: `TXT "v=STSv1; ID=1"`, ours: mx, theirs: "-", why: untidy},
		{name: "record-hyphens", text: goodPolicy, record: `TXT "v=STSv1; id=2026-11-28"`, ours: "", theirs: mx,
			why: "RFC 8461 §3.1: letters and digits alone; a record against its grammar is none, and is told of"},
		{name: "record-long-id", text: goodPolicy, record: `TXT "v=STSv1; id=012345678901234567890123456789012"`, ours: "", theirs: mx,
			why: "RFC 8461 §3.1: 32 characters at most"},
		{name: "record-alias", text: goodPolicy, record: `CNAME _mta-sts.good.test`, ours: mx},
		{name: "record-alias-nowhere", text: goodPolicy, record: `CNAME _mta-sts.nowhere.test`, ours: ""},
	}
}

// Debian's postfix-mta-sts-resolver is asked about the same domains, at the same policy hosts. What binds is the same,
// or the table says why it is not.
func TestPoliciesBindAsWithPostfix(t *testing.T) {
	peers.NeedRoot(t)
	t.Parallel()
	w := newWorld(t)
	situations := stsSituations(w.Now)
	var domains []string
	for _, s := range situations {
		domain := s.name + ".test"
		domains = append(domains, domain)
		if s.serve == nil {
			s.serve = func(out http.ResponseWriter, _ *http.Request) {
				out.Header().Set("Content-Type", "text/plain; charset=utf-8")
				_, _ = out.Write([]byte(s.text))
			}
		}
		host := w.policyHost(domain, "1", s.serve)
		if s.cert != nil {
			o := pki.Options{Names: []string{"mta-sts." + domain}}
			s.cert(&o)
			host.shows(w.CA.Issue(o))
		}
		if s.record != "" {
			w.erase("!_mta-sts." + domain + " ")
			for record := range strings.SplitSeq(s.record, "|") {
				w.Record("!_mta-sts." + domain + " " + record)
			}
		}
	}
	theirs := peers.STSResolver(t, w.Names.Addr().String(), w.CA.RootPEM(), domains...)
	ours := w.binds(domains)
	for _, s := range situations {
		want := s.ours
		if s.theirs != "" {
			want = strings.TrimPrefix(s.theirs, "-")
		}
		if (s.theirs != "") != (s.why != "") {
			t.Errorf("%s: a difference has a reason, and nothing else has one", s.name)
		}
		if got := ours[s.name+".test"]; got != s.ours {
			t.Errorf("%s: ours is %q, want %q", s.name, got, s.ours)
		}
		if got := names(strings.TrimPrefix(theirs[s.name+".test"], "OK secure match=")); got != want {
			t.Errorf("%s: theirs is %q, want %q: %q", s.name, got, want, theirs[s.name+".test"])
		}
	}
}

// names are those of a match of Postfix, sorted.
func names(match string) string {
	if match == "NOTFOUND " {
		return ""
	}
	all := strings.Split(match, ":")
	slices.Sort(all)
	return strings.Join(all, " ")
}

// binds is what an enforced policy of each domain names, by the gateway that has mail for all of them. Their mail host
// does not answer, which is found out after the policies are.
func (w *world) binds(domains []string) map[string]string {
	w.T.Helper()
	w.Settings["delivery.retry"], w.Settings["delivery.lifetime"] = `["10m"]`, `"30m"`
	w.Settings["policies.sts_timeout"] = `"20s"` // ten at a time
	w.Record("mx.clinic.test A " + harness.NewIP())
	var to []string
	for _, domain := range domains {
		w.Record("!" + domain + " MX 10 mx.clinic.test")
		to = append(to, "a@"+domain)
	}
	w.Start("")
	w.Send("anna@home.test", "to all", to...)
	harness.Eventually(w.T, 2*harness.Patience, "all were tried", func() bool {
		time.Sleep(200 * time.Millisecond)
		all := w.Traces("trace", "--limit", "1000")
		return len(all) == len(to) && !slices.ContainsFunc(all, func(t harness.Trace) bool { return t.Reason == "" })
	})
	out := map[string]string{}
	for line := range strings.Lines(w.Postern("policies", "list", "--json", "--limit", "1000")) {
		var p struct {
			Domain, Mode string
			MX           []string
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			w.T.Fatalf("%v in %s", err, line)
		}
		if p.Mode == "enforce" {
			for i := range p.MX {
				p.MX[i] = strings.TrimPrefix(p.MX[i], "*")
			}
			slices.Sort(p.MX)
			out[p.Domain] = strings.Join(p.MX, " ")
		}
	}
	return out
}
