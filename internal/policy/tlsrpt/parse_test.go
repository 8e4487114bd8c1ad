package tlsrpt_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	"postern/internal/policy/tlsrpt"
)

// sketch is a report on a few lines, for tables.
func sketch(r tlsrpt.Report) string {
	var b strings.Builder
	day := func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "Z"), "T00:00:00") }
	fmt.Fprintf(&b, "%s|%s|%s|%s..%s\n", r.Organization, r.Contact, r.ID, day(r.Start.Format("2006-01-02T15:04:05Z")), day(r.End.Format("2006-01-02T15:04:05Z")))
	for _, p := range r.Policies {
		fmt.Fprintf(&b, "%s %s %q %q %d/%d\n", p.Type, p.Domain, p.Strings, p.MXHosts, p.Succeeded, p.Failed)
		for _, f := range p.Failures {
			ip := func(v interface {
				IsValid() bool
				String() string
			}) string {
				if !v.IsValid() {
					return "-"
				}
				return v.String()
			}
			fmt.Fprintf(&b, "  %s %d %s>%s %s (%s) %s %s\n", f.Result, f.Sessions, ip(f.SendingIP), ip(f.ReceiverIP), f.MXHost, f.MXHelo, f.Info, f.Code)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

const (
	head = `"organization-name":"Org","date-range":{"start-datetime":"2026-11-28T00:00:00Z","end-datetime":"2026-11-28T23:59:59Z"},"contact-info":"c@org.test","report-id":"1"`
	line = "Org|c@org.test|1|2026-11-28..2026-11-28T23:59:59\n"
	sts  = `"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: enforce"],"policy-domain":"clinic.test","mx-host":["*.clinic.test"]}`
	sum  = `"summary":{"total-successful-session-count":5,"total-failure-session-count":0}`
)

type fieldCase struct{ name, json, want, odd string }

// withPolicy is a report with one policy of these fields.
func withPolicy(fields string) string { return "{" + head + `,"policies":[{` + fields + `}]}` }

func stsLine(rest string) string {
	return line + `sts clinic.test ["version: STSv1" "mode: enforce"] ["*.clinic.test"] ` + rest
}

// fieldCases are what senders write in place of RFC 8460 §4.4. Where a public thread or test shows it, it is named; the
// names and addresses are others.
func fieldCases() []fieldCase {
	failure := func(fields string) string {
		return withPolicy(sts + `,"summary":{"total-successful-session-count":0,"total-failure-session-count":3},"failure-details":[{` + fields + `}]`)
	}
	return []fieldCase{
		{"the example of RFC 8460, mx-host as its erratum has it", rfcExample, strings.Join([]string{
			`Company-X|sts-reporting@company-x.test|5065427c-23d3|2016-04-01..2016-04-01T23:59:59`,
			`sts company-y.test ["version: STSv1" "mode: testing" "mx: *.mail.company-y.test" "max_age: 86400"] ["*.mail.company-y.test"] 5326/303`,
			`  certificate-expired 100 2001:db8:abcd:12::1>- mx1.mail.company-y.test ()  `,
			`  starttls-not-supported 200 2001:db8:abcd:13::1>203.0.113.56 mx2.mail.company-y.test () https://reports.company-x.test/info?id=5 `,
			`  validation-failure 3 198.51.100.62>203.0.113.58 mx-backup.mail.company-y.test ()  X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED`}, "\n"), ""},
		{"Google: no failure-details where nothing failed", withPolicy(sts + "," + sum), stsLine("5/0"), ""},
		{"Microsoft: nothing of a failure but result and count (cry-inc/dmarc-report-viewer 57)",
			withPolicy(`"policy":{"policy-type":"sts","policy-domain":"clinic.test"},"summary":{"total-successful-session-count":0,` +
				`"total-failure-session-count":3},"failure-details":[{"result-type":"sts-policy-fetch-error","failed-session-count":3}]`),
			line + "sts clinic.test [] [] 0/3\n  sts-policy-fetch-error 3 ->-  ()  ", ""},
		{"Microsoft: times without a zone (mox)", `{"organization-name":"Org","date-range":{"start-datetime":"2026-11-28T00:00:00",` +
			`"end-datetime":"2026-11-28T23:59:59"},"contact-info":"c@org.test","report-id":"1","policies":[{` + sts + "," + sum + `}]}`,
			stsLine("5/0"), "not in the form"},
		{"contact-info null (cry-inc/dmarc-report-viewer 71)", strings.Replace(withPolicy(sts+","+sum), `"c@org.test"`, "null", 1),
			strings.Replace(stsLine("5/0"), "c@org.test", "", 1), ""},
		{"no policy-domain where there is no policy (sys4/tlsrpt-reporter 51)",
			withPolicy(`"summary":{"total-failure-session-count":0,"total-successful-session-count":1},"policy":{"policy-type":"no-policy-found"},"failure-details":[]`),
			line + "no-policy-found  [] [] 1/0", "does not say its domain"},
		{"empty lists for a domain without a policy (parsedmarc 575)",
			withPolicy(`"policy":{"policy-type":"no-policy-found","policy-string":[],"policy-domain":"clinic.test","mx-host":[]},` + sum),
			line + "no-policy-found clinic.test [] [] 5/0", ""},
		{"Mail.ru: other order, failures that are more than the sum says (parsedmarc's samples)",
			`{"contact-info":"c@org.test","date-range":{"end-datetime":"2026-11-29T00:00:00Z","start-datetime":"2026-11-28T00:00:00Z"},"organization-name":"Org",` +
				`"policies":[{"failure-details":[{"failed-session-count":1,"failure-reason-code":"bad https response code: 404","result-type":"sts-policy-fetch-error"},` +
				`{"failed-session-count":1,"failure-reason-code":"bad https response code: 500","result-type":"sts-policy-fetch-error"}],"policy":{"policy-domain":"clinic.test",` +
				`"policy-type":"sts"},"summary":{"total-failure-session-count":1,"total-successful-session-count":0}}],"report-id":"1"}`,
			"Org|c@org.test|1|2026-11-28..2026-11-29\nsts clinic.test [] [] 0/1\n  sts-policy-fetch-error 1 ->-  ()  bad https response code: 404\n" +
				"  sts-policy-fetch-error 1 ->-  ()  bad https response code: 500", "2 sessions together, and its summary says 1"},
		{"empty texts for what is not known (parsedmarc's samples)", failure(`"result-type":"sts-policy-fetch-error","sending-mta-ip":"","receiving-ip":"",` +
			`"receiving-mx-hostname":"","failed-session-count":3,"additional-information":"","failure-reason-code":"no-policy-served"`),
			stsLine("0/3\n  sts-policy-fetch-error 3 ->-  ()  no-policy-served"), ""},
		{"null for what is not known", failure(`"result-type":"validation-failure","sending-mta-ip":null,"receiving-ip":null,"failed-session-count":3,"additional-information":null`),
			stsLine("0/3\n  validation-failure 3 ->-  ()  "), ""},
		{"SocketLabs: a hyphen too many, an end before the start", `{"organization-name":"Org","date-range":{"start-datetime":"2026-11-28T00:10:00Z","end-datetime":"2026-11-28T00:00:00Z"},` +
			`"contact-info":"c@org.test","report-id":"1","policies":[{` + sts + `,"summary":{"total-successful-session-count":0,"total-failure-session-count":2},"failure-details":` +
			`[{"result-type":"certificate-host-mismatch","sending-mta-ip":"192.0.2.1","receiving-mx-host-name":"mx.clinic.test","receiving-ip":"203.0.113.1","failed-session-count":2}]}]}`,
			`Org|c@org.test|1|2026-11-28T00:10:00..2026-11-28` + "\n" + `sts clinic.test ["version: STSv1" "mode: enforce"] ["*.clinic.test"] 0/2` +
				"\n  certificate-host-mismatch 2 192.0.2.1>203.0.113.1 mx.clinic.test ()  ", "ends before it begins"},
		{"mx-host as a text, as the RFC's example was", withPolicy(strings.Replace(sts, `["*.clinic.test"]`, `"*.clinic.test"`, 1) + "," + sum), stsLine("5/0"), ""},
		{"mx-host as a text with two", withPolicy(strings.Replace(sts, `["*.clinic.test"]`, `"MX1.clinic.test., mx2.clinic.test"`, 1) + "," + sum),
			line + `sts clinic.test ["version: STSv1" "mode: enforce"] ["mx1.clinic.test" "mx2.clinic.test"] 5/0`, ""},
		{"mx-host-pattern, of a draft", withPolicy(strings.Replace(sts, "mx-host", "mx-host-pattern", 1) + "," + sum), stsLine("5/0"), ""},
		{"policy-string as one text", withPolicy(strings.Replace(sts, `["version: STSv1","mode: enforce"]`, `"version: STSv1\r\nmode: enforce\r\n"`, 1) + "," + sum), stsLine("5/0"), ""},
		{"policy-string as JSON in a text", withPolicy(strings.Replace(sts, `["version: STSv1","mode: enforce"]`, `"[\"version: STSv1\",\"mode: enforce\"]"`, 1) + "," + sum), stsLine("5/0"), ""},
		{"policy-string as one text in a list", withPolicy(strings.Replace(sts, `["version: STSv1","mode: enforce"]`, `["version: STSv1\nmode: enforce"]`, 1) + "," + sum), stsLine("5/0"), ""},
		{"a line end that nobody escaped", withPolicy(strings.Replace(sts, `"version: STSv1"`, "\"version:\nSTSv1\"", 1) + "," + sum), stsLine("5/0"), ""},
		{"policy-string null", withPolicy(strings.Replace(sts, `["version: STSv1","mode: enforce"]`, `null`, 1) + "," + sum), line + `sts clinic.test [] ["*.clinic.test"] 5/0`, ""},
		{"policy-string as an object", withPolicy(strings.Replace(sts, `["version: STSv1","mode: enforce"]`, `{"version":"STSv1","mx":["a"]}`, 1) + "," + sum),
			line + `sts clinic.test [] ["*.clinic.test"] 5/0`, "where a text should be"},
		{"policies as one object", "{" + head + `,"policies":{` + sts + "," + sum + `}}`, stsLine("5/0"), ""},
		{"failure-details as one object", withPolicy(sts + "," + `"summary":{"total-failure-session-count":1},"failure-details":{"result-type":"tlsa-invalid","failed-session-count":1}`),
			stsLine("0/1\n  tlsa-invalid 1 ->-  ()  "), ""},
		{"one policy in the report itself, of a draft", "{" + head + "," + sts + `,"summary":{"success-aggregate":5,"failure-aggregate":0}}`, stsLine("5/0"), "in the report itself"},
		{"the fields of the policy in the entry itself", withPolicy(strings.TrimSuffix(strings.TrimPrefix(sts, `"policy":{`), "}") + "," + sum), stsLine("5/0"), ""},
		{"numbers as texts", withPolicy(sts + `,"summary":{"total-successful-session-count":"5","total-failure-session-count":"0"}`), stsLine("5/0"), ""},
		{"numbers with a point", withPolicy(sts + `,"summary":{"total-successful-session-count":5.0,"total-failure-session-count":0e1}`), stsLine("5/0"), ""},
		{"a number below nothing", withPolicy(sts + `,"summary":{"total-successful-session-count":-5,"total-failure-session-count":0}`), stsLine("0/0"), `a count is "-5"`},
		{"a number that nobody believes", withPolicy(sts + `,"summary":{"total-successful-session-count":99999999999999999999999,"total-failure-session-count":1e999}`),
			stsLine("4000000000/4000000000"), "more than is believed"},
		{"no number", withPolicy(sts + `,"summary":{"total-successful-session-count":"many","total-failure-session-count":true}`), stsLine("0/0"), "no number"},
		{"no summary: the failures are added up", withPolicy(sts + `,"failure-details":[{"result-type":"certificate-expired","failed-session-count":2},{"result-type":"tlsa-invalid","failed-session-count":3}]`),
			stsLine("0/5\n  certificate-expired 2 ->-  ()  \n  tlsa-invalid 3 ->-  ()  "), ""},
		{"a summary without failures", withPolicy(sts + `,"summary":{"total-successful-session-count":1},"failure-details":[{"result-type":"starttls-not-supported","failed-session-count":7}]`),
			stsLine("1/7\n  starttls-not-supported 7 ->-  ()  "), ""},
		{"results in other letters", failure(`"result-type":"STARTTLS_NOT_SUPPORTED","failed-session-count":3`), stsLine("0/3\n  starttls-not-supported 3 ->-  ()  "), ""},
		{"a result that nobody knows", failure(`"result-type":"smtp-tls-required","failed-session-count":3`), stsLine("0/3\n  smtp-tls-required 3 ->-  ()  "), ""},
		{"types in other letters", withPolicy(strings.Replace(sts, `"sts"`, `"MTA-STS"`, 1) + "," + sum), stsLine("5/0"), ""},
		{"the type dane", withPolicy(`"policy":{"policy-type":"dane","policy-string":["3 1 1 ab"],"policy-domain":"mx.clinic.test"},` + sum), line + `tlsa mx.clinic.test ["3 1 1 ab"] [] 5/0`, ""},
		{"addresses in brackets, with port, zone, mask, and IPv4 in IPv6", withPolicy(sts + `,"failure-details":[` +
			`{"result-type":"tlsa-invalid","sending-mta-ip":"[2001:db8::1]:25","receiving-ip":"192.0.2.1:25","failed-session-count":1},` +
			`{"result-type":"tlsa-invalid","sending-mta-ip":"[IPv6:2001:db8::2]","receiving-ip":"[192.0.2.2]","failed-session-count":1},` +
			`{"result-type":"tlsa-invalid","sending-mta-ip":"fe80::1%eth0","receiving-ip":"::ffff:192.0.2.3","failed-session-count":1},` +
			`{"result-type":"tlsa-invalid","sending-mta-ip":"2001:db8::4/128","receiving-ip":"0.0.0.0","failed-session-count":1}]`),
			stsLine("0/4\n  tlsa-invalid 1 2001:db8::1>192.0.2.1  ()  \n  tlsa-invalid 1 2001:db8::2>192.0.2.2  ()  \n" +
				"  tlsa-invalid 1 fe80::1>192.0.2.3  ()  \n  tlsa-invalid 1 2001:db8::4>-  ()  "), ""},
		{"a name in place of an address", failure(`"result-type":"tlsa-invalid","receiving-ip":"mx.clinic.test","failed-session-count":3`), stsLine("0/3\n  tlsa-invalid 3 ->-  ()  "), "no IP address"},
		{"a policy that stands there twice", "{" + head + `,"policies":[{` + sts + "," + sum + "},{" + sts + "," + sum + `}]}`, stsLine("5/0"), "stands there twice"},
		{"a policy with other counts", "{" + head + `,"policies":[{` + sts + "," + sum + "},{" + sts + `,"summary":{"total-successful-session-count":6}}]}`,
			stsLine("5/0") + strings.TrimPrefix(stsLine("6/0"), strings.TrimSuffix(line, "\n")), ""},
		{"unknown fields anywhere", `{"version":"2","x":{"y":[1,{"z":null}]},` + head + `,"policies":[{"extra":[[]],` + sts + "," + sum + `}],"generator":"x"}`, stsLine("5/0"), ""},
		{"a byte order mark and blanks", "\ufeff \r\n" + withPolicy(sts+","+sum), stsLine("5/0"), ""},
		{"something behind it", withPolicy(sts+","+sum) + "\r\n-- \r\nA list", stsLine("5/0"), "more stands behind"},
		{"two reports", "[" + withPolicy(sts+","+sum) + "," + withPolicy(sum) + "]", stsLine("5/0"), "more than one report"},
		{"names in U-labels and upper case, with a final dot", withPolicy(`"policy":{"policy-type":"sts","policy-domain":"BÜCHER.test.","mx-host":["*.Bücher.test"]},` + sum),
			line + `sts xn--bcher-kva.test [] ["*.xn--bcher-kva.test"] 5/0`, ""},
		{"terminal escapes and bidi", withPolicy(sts + `,"failure-details":[{"result-type":"x\u001b[2J","failed-session-count":1,"failure-reason-code":"a\u202eb\u0000"}]`),
			stsLine(`0/1` + "\n" + `  x\x1b[2J 1 ->-  ()  a\u202eb\x00`), ""},
		{"policies null", "{" + head + `,"policies":null}`, strings.TrimSpace(line), "has no policies"},
		{"an empty policy", "{" + head + `,"policies":[{}]}`, line + "  [] [] 0/0", "does not say its type"},
		{"null and a text among the policies", "{" + head + `,"policies":[null,"x",{` + sts + "," + sum + `}]}`, stsLine("5/0"), "is no object"},
	}
}

const rfcExample = `{"organization-name":"Company-X","date-range":{"start-datetime":"2016-04-01T00:00:00Z","end-datetime":"2016-04-01T23:59:59Z"},
 "contact-info":"sts-reporting@company-x.test","report-id":"5065427c-23d3","policies":[{"policy":{"policy-type":"sts",
 "policy-string":["version: STSv1","mode: testing","mx: *.mail.company-y.test","max_age: 86400"],"policy-domain":"company-y.test",
 "mx-host":["*.mail.company-y.test"]},"summary":{"total-successful-session-count":5326,"total-failure-session-count":303},
 "failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"2001:db8:abcd:0012::1","receiving-mx-hostname":"mx1.mail.company-y.test",
 "failed-session-count":100},{"result-type":"starttls-not-supported","sending-mta-ip":"2001:db8:abcd:0013::1","receiving-mx-hostname":"mx2.mail.company-y.test",
 "receiving-ip":"203.0.113.56","failed-session-count":200,"additional-information":"https://reports.company-x.test/info?id=5"},
 {"result-type":"validation-failure","sending-mta-ip":"198.51.100.62","receiving-ip":"203.0.113.58","receiving-mx-hostname":"mx-backup.mail.company-y.test",
 "failed-session-count":3,"failure-reason-code":"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"}]}]}`

func TestReportsOfTheField(t *testing.T) {
	for _, c := range fieldCases() {
		t.Run(c.name, func(t *testing.T) {
			for what, data := range map[string][]byte{"plain": []byte(c.json), "gzip": zip([]byte(c.json)), "twice": zip(zip([]byte(c.json)))} {
				got, err := tlsrpt.Parse(data)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				odd := strings.Join(got.Oddities, "\n")
				if sketch(got.Report) != c.want || !strings.Contains(odd, c.odd) || c.odd == "" && odd != "" {
					t.Errorf("%s:\ngot\n%s\nwant\n%s\nodd %q, want %q", what, sketch(got.Report), c.want, odd, c.odd)
				}
			}
		})
	}
}

func zip(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func TestTimesOfTheField(t *testing.T) {
	for written, want := range map[string]string{
		`"2026-11-28T00:00:00Z"`: "2026-11-28T00:00:00Z", `"2026-11-28t00:00:00z"`: "2026-11-28T00:00:00Z",
		`"2026-11-28T02:00:00+02:00"`: "2026-11-28T00:00:00Z", `"2026-11-28T02:00:00+0200"`: "2026-11-28T00:00:00Z",
		`"2026-11-28T00:00:00.123456Z"`: "2026-11-28T00:00:00Z", `"2026-11-28T00:00:00.0000000"`: "2026-11-28T00:00:00Z",
		`"2026-11-28T00:00:00"`: "2026-11-28T00:00:00Z", `"2026-11-28T00:00Z"`: "2026-11-28T00:00:00Z", `"2026-11-28 00:00:00"`: "2026-11-28T00:00:00Z",
		`"2026-11-28 00:00:00 UTC"`: "2026-11-28T00:00:00Z", `"2026-11-28"`: "2026-11-28T00:00:00Z",
		`"Sat, 28 Nov 2026 00:00:00 GMT"`: "2026-11-28T00:00:00Z", `1795824000`: "2026-11-28T00:00:00Z", `"1795824000"`: "2026-11-28T00:00:00Z",
		`1795824000000`: "2026-11-28T00:00:00Z", `"yesterday"`: "0001-01-01T00:00:00Z", `null`: "0001-01-01T00:00:00Z", `""`: "0001-01-01T00:00:00Z",
		`{}`: "0001-01-01T00:00:00Z", `"0001-01-01T00:00:00Z"`: "0001-01-01T00:00:00Z", `-5`: "0001-01-01T00:00:00Z",
		`"0000-01-01T00:00:00+23:00"`: "0001-01-01T00:00:00Z", `"2026-11-28T24:00:00Z"`: "0001-01-01T00:00:00Z",
	} {
		got, err := tlsrpt.Parse([]byte(`{"report-id":"1","date-range":{"start-datetime":` + written + `}}`))
		if err != nil || got.Report.Start.Format("2006-01-02T15:04:05Z07:00") != want {
			t.Errorf("%s: %v, %v, want %s", written, got.Report.Start, err, want)
		}
	}
}

func TestWhatIsNoReport(t *testing.T) {
	big := bytes.Repeat([]byte(" "), tlsrpt.MaxSize+1)
	whole := []byte(withPolicy(sts + "," + sum))
	many := []byte(`{"report-id":"1","policies":[{"failure-details":[` + strings.TrimSuffix(strings.Repeat(`{},`, tlsrpt.MaxEntries), ",") + `]}]}`)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":                 {nil, "empty"},
		"blanks":                  {[]byte(" \r\n"), "empty"},
		"a DMARC report":          {[]byte(`<?xml version="1.0"?><feedback/>`), "DMARC"},
		"a ZIP file":              {[]byte("PK\x03\x04..."), "ZIP"},
		"UTF-16":                  {[]byte("\xff\xfe{\x00}\x00"), "UTF-16"},
		"a letter":                {[]byte("Hello,\x1b[2J"), `begins with "Hello,`},
		"JSON of something else":  {[]byte(`{"hello":"world"}`), "no TLS report"},
		"a list":                  {[]byte(`[]`), "no TLS report"},
		"cut off":                 {whole[:len(whole)-5], "cut off"},
		"cut off in a text":       {whole[:30], "cut off"},
		"cut off, compressed":     {zip(whole)[:len(zip(whole))-30], "cut off"},
		"a damaged file":          {append(zip(whole)[:len(zip(whole))-8], "damaged!"...), "damaged"},
		"broken":                  {[]byte(`{"report-id":"1",}`), "no JSON from octet"},
		"not closed as opened":    {[]byte(`{"report-id":"1","policies":[}]`), "no JSON from octet"},
		"too large":               {big, "larger than"},
		"too large, compressed":   {zip(big), "larger than"},
		"compressed three times":  {zip(zip(zip(whole))), "compressed more than"},
		"too many entries":        {many, "more than 100000 entries"},
		"nested":                  {[]byte(`{"report-id":"1","x":` + strings.Repeat("[", 1000)), "nested too deeply"},
		"nested where one counts": {[]byte(`{"report-id":"1","policies":` + strings.Repeat("[", 1<<20)), "nested too deeply"},
		"policy in a policy":      {[]byte(strings.Repeat(`{"policy":`, 1<<18)), ""},
	} {
		got, err := tlsrpt.Parse(c.data)
		var fault *tlsrpt.Fault
		if !errors.As(err, &fault) || !strings.Contains(fault.Text, c.want) || strings.ContainsAny(fault.Text, "\x1b\n") {
			t.Errorf("%s: %v, %v, want %q", name, got, err, c.want)
		}
	}
}

// What is missing from the end of a compressed file may be nothing but its checksum.
func TestACompressedFileWithoutItsEndIsReadWhereTheReportIsWhole(t *testing.T) {
	whole := zip([]byte(withPolicy(sts + "," + sum)))
	got, err := tlsrpt.Parse(whole[:len(whole)-8])
	if err != nil || sketch(got.Report) != stsLine("5/0") || !strings.Contains(strings.Join(got.Oddities, "\n"), "cut off") {
		t.Errorf("%v %v", got, err)
	}
	got, err = tlsrpt.Parse(append(bytes.Clone(whole), "something else"...))
	if err != nil || sketch(got.Report) != stsLine("5/0") {
		t.Errorf("%v %v", got, err)
	}
}

// A gzip file may have several members, and what they hold is one after the other (RFC 1952 §2.2).
func TestAllMembersOfACompressedFileAreRead(t *testing.T) {
	whole := withPolicy(sts + "," + sum)
	in := func(parts ...string) (out []byte) {
		for _, p := range parts {
			out = append(out, zip([]byte(p))...)
		}
		return out
	}
	big := strings.Repeat(" ", tlsrpt.MaxSize/2)
	second := in(whole, "more")
	for name, c := range map[string]struct {
		data    []byte
		want    string // the sketch, or words of the error
		odd     string
		reports int
	}{
		"a report in two":           {in(whole[:100], whole[100:]), stsLine("5/0"), "", 1},
		"an empty one between":      {in(whole[:100], "", whole[100:]), stsLine("5/0"), "", 1},
		"each an own report":        {in(whole, whole), stsLine("5/0"), "", 2},
		"within the bound":          {in(big, whole), stsLine("5/0"), "", 1},
		"beyond the bound together": {in(big, big, whole), "larger than", "", 0},
		"the second cut off":        {second[:len(second)-9], stsLine("5/0"), "cut off", 1},
		"the second damaged":        {append(second[:len(second)-8], "damaged!"...), stsLine("5/0"), "damaged behind", 1},
		"the first damaged":         {append(zip([]byte(whole))[:len(zip([]byte(whole)))-8], "damaged!"...), "damaged", "", 0},
		"something else behind":     {append(in(whole), "\x1f and no member"...), stsLine("5/0"), "", 1},
	} {
		got, err := tlsrpt.ParseAll(c.data)
		switch {
		case len(got) != c.reports:
			t.Errorf("%s: %d reports, %v, want %d", name, len(got), err, c.reports)
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %s", name, err, c.want)
		case err == nil && (sketch(got[0].Report) != c.want || !strings.Contains(strings.Join(got[0].Oddities, "\n"), c.odd)):
			t.Errorf("%s: %v, want %s and %q", name, got[0], c.want, c.odd)
		}
	}
}

func TestAllReportsOfADocumentAreFound(t *testing.T) {
	whole := withPolicy(sts + "," + sum)
	for text, want := range map[string]int{"[" + whole + "," + whole + "]": 2, whole + "\n" + whole: 2, "[" + whole + "]" + whole + "[" + whole + "]": 3,
		"[" + whole + `,{"x":1},null,"y"]`: 1, whole + "{": 1, whole + `{"x":1}`: 1, strings.Repeat(whole, 20): 20, strings.Repeat(whole, 21): 0,
		"[" + strings.Repeat(whole+",", 30) + "{}]": 0, "[[" + whole + "]]": 0} {
		got, err := tlsrpt.ParseAll([]byte(text))
		if len(got) != want || (err == nil) != (want > 0) {
			t.Errorf("%.60s...: %d reports, %v, want %d", text, len(got), err, want)
		}
	}
}

func TestTextsAndOdditiesAreBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	var failures []string
	for i := range 100 {
		failures = append(failures, fmt.Sprintf(`{"result-type":"%s","failed-session-count":"x%d"}`, long[:2000], i))
	}
	got, err := tlsrpt.Parse([]byte(`{"report-id":"` + long + `","organization-name":"` + long + `","policies":[{"failure-details":[` + strings.Join(failures, ",") + `]}]}`))
	if err != nil || len(got.Report.ID) != 1024 || len(got.Report.Organization) != 1024 || len(got.Oddities) != 10 {
		t.Fatalf("%d %d %d %v", len(got.Report.ID), len(got.Report.Organization), len(got.Oddities), err)
	}
	for _, o := range got.Oddities {
		if len(o) > 200 {
			t.Errorf("%d octets of oddity", len(o))
		}
	}
}
