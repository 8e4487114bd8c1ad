package tlsrpt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/policy/tlsrpt"
)

// anyReport is a report that may be sent: texts bounded and printable, no two policies alike, whole seconds.
func anyReport(rng *rand.Rand) tlsrpt.Report {
	text := func() string {
		return []string{"", "a", "Klinik Süd", `quote " and \ and <b>`, "= ?=", "https://org.test/r?a=b&c", strings.Repeat("x", 1024), "смтп"}[rng.IntN(8)]
	}
	ip := func() netip.Addr {
		return []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fe80::1")}[rng.IntN(4)]
	}
	count := func() int64 { return []int64{0, 1, 7, rng.Int64N(1_000_000), tlsrpt.MaxSessions}[rng.IntN(5)] }
	r := tlsrpt.Report{Organization: text(), Contact: text(), ID: text()}
	if rng.IntN(4) > 0 {
		r.Start = time.Date(2026, 11, 1+rng.IntN(28), 0, 0, 0, 0, time.UTC)
		r.End = r.Start.Add(24*time.Hour - time.Second)
	}
	for i := range rng.IntN(4) {
		p := tlsrpt.Policy{Type: []string{tlsrpt.TypeSTS, tlsrpt.TypeTLSA, tlsrpt.TypeNone, "other type"}[rng.IntN(4)],
			Domain: fmt.Sprintf("d%d.clinic.test", i), Succeeded: count(), Failed: count()}
		for range rng.IntN(3) {
			p.Strings = append(p.Strings, []string{"version: STSv1", "mx: *.clinic.test", "3 1 1 0abc", "ö"}[rng.IntN(4)])
			p.MXHosts = append(p.MXHosts, []string{"*.clinic.test", "mx.clinic.test", "xn--bcher-kva.test"}[rng.IntN(3)])
		}
		for range rng.IntN(3) {
			p.Failures = append(p.Failures, tlsrpt.Failure{Result: append(tlsrpt.Results(), "other", "")[rng.IntN(13)], SendingIP: ip(), ReceiverIP: ip(),
				MXHost: []string{"", "mx.clinic.test"}[rng.IntN(2)], MXHelo: text(), Sessions: count(), Info: text(), Code: text()})
		}
		r.Policies = append(r.Policies, p)
	}
	return r
}

func TestAReportIsReadAsItWasWritten(t *testing.T) {
	rng := rand.New(rand.NewPCG(8460, 1))
	for i := range 300 {
		r := anyReport(rng)
		for _, data := range [][]byte{r.JSON(), r.Packed()} {
			got, err := tlsrpt.Parse(data)
			if err != nil || !reflect.DeepEqual(got.Report, r) {
				t.Fatalf("%d: %v\n%s\ngot  %#v\nwant %#v", i, err, r.JSON(), got.Report, r)
			}
		}
		if !bytes.Equal(r.Packed(), r.Packed()) {
			t.Fatal("the same report gives other bytes")
		}
		if problems := schema(r.JSON()); len(problems) > 0 {
			t.Fatalf("%s\n%v", r.JSON(), problems)
		}
	}
}

// Whatever is in a report, what is written fits the schema and can be read.
func TestAReportOutOfBoundsIsWrittenWithinThem(t *testing.T) {
	r := tlsrpt.Report{Organization: " a\x00\u202e" + strings.Repeat("ü", 2000), ID: "\xff", Start: time.Date(2026, 1, 1, 3, 0, 0, 9, time.FixedZone("", 10800)),
		Policies: []tlsrpt.Policy{{Succeeded: -1, Failed: 1 << 62, Strings: []string{"a\nb"}, Failures: []tlsrpt.Failure{
			{SendingIP: netip.MustParseAddr("fe80::1%eth0"), ReceiverIP: netip.MustParseAddr("::ffff:192.0.2.1"), Sessions: -5}}}}}
	if problems := schema(r.JSON()); len(problems) > 0 {
		t.Error(problems)
	}
	got, err := tlsrpt.Parse(r.JSON())
	p := got.Report.Policies[0]
	if err != nil || p.Succeeded != 0 || p.Failed != tlsrpt.MaxSessions || !slices.Equal(p.Strings, []string{`a\x0ab`}) ||
		p.Failures[0].SendingIP.String() != "fe80::1" || p.Failures[0].ReceiverIP.String() != "192.0.2.1" || got.Report.ID != `\xff` ||
		got.Report.Start != time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("%+v %v", got, err)
	}
	if ok, failed := got.Report.Sums(); ok != 0 || failed != tlsrpt.MaxSessions {
		t.Error(ok, failed)
	}
}

// schema says where a document is not as RFC 8460 §4.4 and its erratum 6241 have it. It knows nothing of the types of
// the room: names and shapes are written here a second time.
func schema(data []byte) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	object := func(where string, v any, must, may string) map[string]any {
		m, ok := v.(map[string]any)
		if !ok {
			bad("%s: no object", where)
			return nil
		}
		for _, name := range strings.Fields(must) {
			if _, there := m[name]; !there {
				bad("%s: no %s", where, name)
			}
		}
		for name := range m {
			if !slices.Contains(strings.Fields(must+" "+may), name) {
				bad("%s: %s is unknown", where, name)
			}
		}
		return m
	}
	text := func(where string, v any) string {
		s, ok := v.(string)
		if !ok {
			bad("%s: no text", where)
		}
		return s
	}
	list := func(where string, v any) []any {
		l, ok := v.([]any)
		if !ok {
			bad("%s: no list", where)
		}
		return l
	}
	count := func(where string, v any) {
		if n, ok := v.(float64); !ok || n < 0 || n != float64(int64(n)) {
			bad("%s: no count", where)
		}
	}
	address := func(where string, v any) {
		if v != nil {
			if ip, err := netip.ParseAddr(text(where, v)); err != nil || ip.Zone() != "" {
				bad("%s: %v is no address", where, v)
			}
		}
	}
	var top any
	if err := json.Unmarshal(data, &top); err != nil {
		return []string{err.Error()}
	}
	r := object("report", top, "organization-name date-range contact-info report-id policies", "")
	for _, name := range []string{"organization-name", "contact-info", "report-id"} {
		text(name, r[name])
	}
	dates := object("date-range", r["date-range"], "start-datetime end-datetime", "")
	for name, v := range dates {
		if at, err := time.Parse(time.RFC3339, text(name, v)); err != nil || !strings.HasSuffix(v.(string), "Z") || at.Nanosecond() != 0 {
			bad("%s: %v", name, v)
		}
	}
	for _, v := range list("policies", r["policies"]) {
		e := object("entry", v, "policy summary failure-details", "")
		p := object("policy", e["policy"], "policy-type policy-string policy-domain mx-host", "")
		text("policy-type", p["policy-type"])
		text("policy-domain", p["policy-domain"])
		for _, name := range []string{"policy-string", "mx-host"} {
			for _, s := range list(name, p[name]) {
				text(name, s)
			}
		}
		sums := object("summary", e["summary"], "total-successful-session-count total-failure-session-count", "")
		for name, n := range sums {
			count(name, n)
		}
		for _, v := range list("failure-details", e["failure-details"]) {
			f := object("failure", v, "result-type failed-session-count",
				"sending-mta-ip receiving-mx-hostname receiving-mx-helo receiving-ip additional-information failure-reason-code")
			count("failed-session-count", f["failed-session-count"])
			address("sending-mta-ip", f["sending-mta-ip"])
			address("receiving-ip", f["receiving-ip"])
			for name, v := range f {
				if name != "failed-session-count" {
					text(name, v)
				}
			}
		}
	}
	return problems
}

// The schema of the test is no weaker than the example of the RFC needs, and finds what is wrong.
func TestTheSchemaFindsWhatIsWrong(t *testing.T) {
	if problems := schema([]byte(rfcExample)); len(problems) > 0 {
		t.Error(problems)
	}
	for from, to := range map[string]string{
		`["*.mail.company-y.test"]`: `"*.mail.company-y.test"`, `"policy-domain"`: `"policydomain"`, `5326`: `"5326"`, `303`: `-303`,
		`2016-04-01T00:00:00Z`: `2016-04-01T00:00:00`, `"203.0.113.56"`: `""`, `"sts-reporting@company-x.test"`: `null`,
	} {
		if len(schema([]byte(strings.Replace(rfcExample, from, to, 1)))) == 0 {
			t.Errorf("%s for %s is not found", to, from)
		}
	}
}

// FuzzParse holds that what was read is within bounds and stays the same when it is written and read again.
func FuzzParse(f *testing.F) {
	for _, c := range fieldCases() {
		f.Add([]byte(c.json))
	}
	f.Add(zip([]byte(rfcExample)))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := tlsrpt.Parse(data)
		if err != nil {
			if _, ours := err.(*tlsrpt.Fault); !ours || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%T %q", err, err)
			}
			return
		}
		if problems := schema(got.Report.JSON()); len(problems) > 0 {
			t.Errorf("%s: %v", got.Report.JSON(), problems)
		}
		again, err := tlsrpt.Parse(got.Report.JSON())
		if err != nil || sketch(again.Report) != sketch(got.Report) {
			t.Errorf("%v\n%s\n%s", err, sketch(got.Report), sketch(again.Report))
		}
		if ok, failed := got.Report.Sums(); ok < 0 || failed < 0 || len(got.Oddities) > 10 {
			t.Error(ok, failed, got.Oddities)
		}
	})
}
