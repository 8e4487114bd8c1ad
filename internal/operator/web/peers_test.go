package web

import (
	"context"
	"io"
	"net/netip"
	"time"

	"postern/internal/check"
	"postern/internal/history/peers"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/admin"
	"postern/internal/policy"
)

// backlogPeers remembers nobody.
type backlogPeers struct{}

func (backlogPeers) List() []peers.Record                       { return nil }
func (backlogPeers) Missing(string, netip.AddrPort) peers.Stand { return peers.Stand{} }
func (backlogPeers) Forget(context.Context, func(*peers.Record) bool) ([]peers.Record, error) {
	return nil, nil
}

// someSettings is a configuration in force.
func someSettings() admin.Settings {
	return admin.Settings{Path: "/etc/postern/postern.toml", TOML: "hostname = \"gw.example.com\"\n",
		Domains:   []admin.DomainSetting{{Name: "example.com", DeliverTo: []string{"mail.internal:25"}, Requires: "encrypted"}},
		Routes:    []admin.RouteSetting{{Match: []string{"*.partner.test"}, To: []string{"mx.partner.test"}}},
		Listeners: []admin.ListenerSetting{{Name: "world", Address: ":25", Mode: "smtp"}},
		Records: &admin.RecordsLook{At: backlog.Noon, Findings: []admin.RecordFinding{{Domain: "example.com", Name: "_mta-sts.example.com", Code: "sts-record-malformed",
			Severity: "error", Message: "the record counts as none", There: "<b>v=STSv1</b>", Want: "v=STSv1; id=1;", Hint: "publish it"}}}}
}

// someCertificates is a chain of our own, soon at its end.
func someCertificates() ([]check.Own, error) {
	leaf := policy.Certificate{Subject: "CN=gw.example.com", Issuer: "CN=Example CA", NotBefore: backlog.Noon, NotAfter: backlog.Noon.AddDate(0, 3, 0), SHA256: "0a",
		SPKI: "0b", Key: "ECDSA P-256", Signature: "ECDSA-SHA256", DNSNames: []string{"gw.example.com"}}
	return []check.Own{{Kind: check.OwnServer, File: "gw.pem", Chain: []policy.Certificate{leaf}, Root: &leaf, EndsAt: leaf.NotAfter, Step: 30,
		Warnings: []policy.Shortfall{{Reason: policy.CertExpired, Text: "ends soon"}}}, {Kind: check.OwnClient, File: "client.pem", Chain: []policy.Certificate{leaf}}}, nil
}

// pretender is a checker that finds a server whose words are the target's first label.
type pretender struct{}

// Watch tells two steps and reports.
func (pretender) Watch(_ context.Context, t check.Target, more []check.Question, tell func(check.Progress)) *check.Report {
	tell(check.Progress{Step: "dns", Good: true, Text: "mail goes to mx." + t.Text})
	tell(check.Progress{Step: "tls", Host: "mx." + t.Text, Reason: policy.CertExpired, Text: "<b>expired</b>"})
	own, _ := someCertificates()
	v := check.Verdict{Question: check.ForceTLS, Requires: policy.Authenticated, Outcome: check.Deferred, Host: "mx." + t.Text, Reason: policy.CertExpired, Text: "<b>expired</b>",
		Who: "them", Hint: "renew it", Shortfalls: []policy.Shortfall{{Reason: policy.CertExpired, Text: "x"}, {Reason: policy.CertNameMismatch, Text: "<i>other</i>"}}}
	r := &check.Report{Kind: "target", Target: t.Text, Domain: t.Domain.String(), At: time.Now(), Verdicts: []check.Verdict{{Question: check.Opportunistic, Outcome: check.Delivered, Reached: "encrypted"}, v},
		Findings: []check.Finding{{Severity: check.Warning, Code: check.ExpirySoon, Text: "<u>soon</u>"}},
		Hosts: []check.Host{{Name: "mx." + t.Text, Port: 25, Addresses: []check.Address{{Verdicts: []check.Verdict{v},
			Look: &check.Look{Greeting: "<b>hello</b>", StartTLS: true, Chain: own[0].Chain, Expected: []string{"mx"}, Steps: []check.Step{{Name: "connect", TookMS: 1}}, Reason: policy.CertExpired, Text: "x", Remote: "<b>"}}}}}}
	for _, q := range more {
		r.Verdicts = append(r.Verdicts, check.Verdict{Question: q.Name, Outcome: check.Failed, Reason: policy.CertExpired, Text: "x"})
	}
	return r
}

func copyAll(w io.Writer, r io.Reader) (int64, error) { return io.Copy(w, r) }
