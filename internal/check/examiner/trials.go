package examiner

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"

	"postern/internal/attempt"
	"postern/internal/check"
	"postern/internal/policy"
)

// trial is one way to narrow an offer down.
type trial struct {
	name  string
	rung  attempt.Rung
	alter func(*tls.Config)
}

// trialList is every trial, in the order they are shown. Kinds of certificates are told apart by the cipher suites of
// TLS 1.2; a client cannot choose them in TLS 1.3.
func trialList() []trial {
	version := func(v uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MinVersion, c.MaxVersion = v, v }
	}
	groups := func(g ...tls.CurveID) func(*tls.Config) {
		return func(c *tls.Config) { c.CurvePreferences = g }
	}
	suites := func(kind string) func(*tls.Config) {
		return func(c *tls.Config) {
			version(tls.VersionTLS12)(c)
			c.CipherSuites = signedWith(kind)
		}
	}
	return []trial{
		{"TLSv1.3", attempt.Modern, version(tls.VersionTLS13)},
		{"TLSv1.2", attempt.Modern, version(tls.VersionTLS12)},
		{"TLSv1.1", attempt.Legacy, version(tls.VersionTLS11)},
		{"TLSv1", attempt.Legacy, version(tls.VersionTLS10)},
		{"post-quantum groups", attempt.Modern,
			groups(tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024)},
		{"classical groups", attempt.Classical, func(*tls.Config) {}},
		{"ECDSA certificate", attempt.Modern, suites("_ECDSA_")},
		{"RSA certificate", attempt.Modern, suites("_RSA_")},
	}
}

// signedWith lists the suites of TLS 1.2 whose server proves itself with a kind of key.
func signedWith(kind string) (out []uint16) {
	for _, s := range tls.CipherSuites() {
		if strings.Contains(s.Name, "ECDHE"+kind) && slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			out = append(out, s.ID)
		}
	}
	return out
}

// trials makes one connection for each trial, with a pause between them.
func (v *viewer) trials(ctx context.Context) (out []check.Trial) {
	for i, t := range trialList() {
		if i > 0 {
			v.c.manners.breathe(ctx, v.ip)
		}
		seen := v.open(ctx, t.rung, t.alter)
		r := check.Trial{Name: t.name, Works: seen.Evidence != nil, TLS: facts(seen), Reason: seen.Reason,
			Text: seen.Text, Alert: seen.Alert}
		if e := seen.Evidence; e != nil {
			if len(e.Chain) > 0 {
				r.SHA256 = e.Chain[0].SHA256
			}
			asked := policy.Requirement{Channel: policy.Authenticated, Peer: v.require.Peer, MinTLS: tls.VersionTLS10}
			if short := policy.Verdict(asked, *e); len(short) > 0 && r.Reason == "" {
				r.Reason, r.Text = short[0].Reason, short[0].Text
			}
		}
		out = append(out, r)
	}
	return out
}
