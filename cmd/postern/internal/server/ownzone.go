package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"

	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/gateway/publicweb"
	"postern/internal/gateway/zonewatch"
	"postern/internal/mail"
	"postern/internal/operator/admin"
	"postern/internal/policy"
	"postern/internal/policy/ownzone"
)

// web makes the engine of a listener for strangers, who get the policies of the configuration in force.
func (g *Gateway) web(lc config.Listen) *publicweb.Server {
	out := publicweb.Config{Listener: lc.Name, Plain: lc.Mode == config.ModeACME, Policy: g.ownPolicy, Report: g.posted,
		Partners: g.showPartners, Sink: g.sink}
	if g.certs != nil {
		out.Certificate = g.certs.Get
	}
	if g.acme != nil {
		out.Answer = func(token string) string { return g.acme.HTTPAnswer(context.Background(), token) }
		out.TLSAnswer = func(name string) *tls.Certificate { return g.acme.TLSAnswer(context.Background(), name) }
	}
	return publicweb.New(out)
}

// ownPolicy is the policy of a domain of ours as others get it, "" where it has none.
func (g *Gateway) ownPolicy(name mail.Domain) string {
	cfg := g.inForce.Load()
	for i := range cfg.Domain {
		if d := &cfg.Domain[i]; d.Name == name && d.STS.Published() {
			if p, err := d.STS.Policy(); err == nil {
				return p.Text()
			}
		}
	}
	return ""
}

// watchesZones makes what looks now and then at the records of our own domains.
func (g *Gateway) watchesZones() *zonewatch.Watcher {
	return zonewatch.NewWatcher(zonewatch.WatcherConfig{
		Asker: rooms.AskingOthers(g.resolver, g.dialer, rooms.PublicRoots(g.roots), 0),
		Own: func() (*ownzone.Own, *x509.CertPool, error) {
			now := *g.inForce.Load()
			// these need a restart
			now.Hostname, now.Listen, now.TLS.Certificates = g.cfg.Hostname, g.cfg.Listen, g.cfg.TLS.Certificates
			now.TLS.ACME = g.cfg.TLS.ACME
			roots, err := g.publicRoots()
			if err != nil {
				return nil, nil, err
			}
			own, err := rooms.OwnZone(&now)
			return own, roots, err
		},
		Sink: g.sink,
	})
}

// settings are the configuration in force, with what was last found of the records of our own domains.
func (g *Gateway) settings() admin.Settings {
	out := rooms.SettingsOf(g.inForce.Load())
	if last := g.zones.Last(); last != nil {
		out.Records = &admin.RecordsLook{At: last.At.UTC(), Findings: []admin.RecordFinding{}}
		for _, f := range last.Findings {
			out.Records.Findings = append(out.Records.Findings,
				admin.RecordFinding{Domain: f.Domain.String(), Name: f.Name, Code: string(f.Code),
					Severity: string(f.Level), Message: f.Text, There: f.There, Want: f.Want, Hint: f.Hint})
		}
	}
	return out
}

func (g *Gateway) publicRoots() (*x509.CertPool, error) {
	pools, err := g.roots.Pools(policy.PublicTrust)
	return pools[policy.PublicTrust], err
}
