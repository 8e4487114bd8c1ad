package tenants

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"postern/internal/history/inbound"
	"postern/internal/history/tlsreports"
	"postern/internal/operator/reports"
	"postern/internal/policy/tlsrpt"
)

// What others sent about TLS: about apple.test, about both tenants in one document, and about zebra.test.
const (
	OwnReport    = "e485d7b6f0c11792-d32ad69e6ed8ae5c"
	SharedReport = "9e341ef09a8b0fbc-d32ad69e6ed8ae5c"
	TheirReport  = "ba361d152776a00f-7a857cfbdbd352ed"
)

// reports stores them.
func (w *world) reports() *reports.ReceivedReports {
	w.t.Helper()
	out := &reports.ReceivedReports{Book: tlsreports.NewBook(w.s, tlsreports.Room{}), Sessions: inbound.NewBook(w.s)}
	now := time.Now()
	for i, domains := range [][]string{{Domain}, {Domain, "zebra.test"}, {"zebra.test"}} {
		who := "reporter"
		if len(domains) == 1 && domains[0] != Domain {
			who = "zebra-reporter"
		}
		report := tlsrpt.Report{Organization: who, ID: who + "-" + strings.Join(domains, "+"),
			Start: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}
		report.End = report.Start.Add(24*time.Hour - time.Second)
		for _, domain := range domains {
			name, _, _ := strings.Cut(domain, ".")
			report.Policies = append(report.Policies, tlsrpt.Policy{Type: tlsrpt.TypeSTS, Domain: "mail." + domain,
				MXHosts: []string{"mx." + domain}, Succeeded: 5, Failed: 2,
				Failures: []tlsrpt.Failure{{Result: tlsrpt.CertificateExpired, Code: name + " is late",
					MXHost: "mx." + domain, Sessions: 2, SendingIP: netip.MustParseAddr("192.0.2.77")}}})
		}
		r := tlsreports.Received{At: now.Add(-time.Duration(i) * time.Minute), Way: tlsreports.ByMail,
			Client: "192.0.2.77", Signer: who + ".test"}
		if i > 0 {
			r.From, r.Oddities = "zebra <r@zebra.test>", []string{"zebra is odd"}
		}
		r.Sum(&report, func(name string) string { return strings.TrimPrefix(name, "mail.") })
		added, err := out.Book.Add(context.Background(), r, report.Packed(), "x", 10)
		if want := []string{OwnReport, SharedReport, TheirReport}[i]; err != nil || added.ID != want {
			w.t.Fatalf("%v: the report is called %s, want %s", err, added.ID, want)
		}
	}
	return out
}
