package rooms

import (
	"fmt"
	"strings"

	"postern/internal/config"
	"postern/internal/operator/admin"
)

// SettingsOf is a configuration as the console shows it.
func SettingsOf(c *config.Config) admin.Settings {
	out := admin.Settings{Path: c.Path(), TOML: c.TOML(), Domains: []admin.DomainSetting{},
		Routes: []admin.RouteSetting{}, Listeners: []admin.ListenerSetting{}}
	for _, d := range c.Domain {
		out.Domains = append(out.Domains, admin.DomainSetting{Name: d.Name.String(), DeliverTo: texts(d.DeliverTo),
			Requires: d.Require.String(), Trust: string(d.Trust)})
	}
	for _, r := range c.Route {
		out.Routes = append(out.Routes, admin.RouteSetting{Match: r.Match, To: texts(r.To)})
	}
	for _, l := range c.Listen {
		out.Listeners = append(out.Listeners,
			admin.ListenerSetting{Name: l.Name, Address: l.Address, Mode: string(l.Mode),
				Demands: demands(&l) + balancers(&l)})
	}
	return out
}

// demands is what a listener asks of its clients.
func demands(l *config.Listen) string {
	switch {
	case l.Mode == config.ModeWeb:
		return "TLS; it serves the MTA-STS policies of our domains"
	case l.Mode == config.ModeACME:
		return "nothing; it answers the challenges of a CA"
	case l.Mode == config.ModeSubmission:
		return "TLS and a password"
	case l.RequireTLS && l.Auth:
		return "TLS; a password may be shown"
	case l.RequireTLS:
		return "TLS"
	case l.Auth:
		return "a password may be shown inside TLS"
	}
	return ""
}

// balancers is where a listener asks for a PROXY header.
func balancers(l *config.Listen) string {
	if len(l.Proxy) == 0 {
		return ""
	}
	text := "a PROXY header from " + strings.Join(texts(l.Proxy), ", ")
	if demands(l) != "" {
		return "; " + text
	}
	return text
}

func texts[T fmt.Stringer](list []T) []string {
	out := []string{}
	for _, one := range list {
		out = append(out, one.String())
	}
	return out
}
