package main

import (
	"postern/internal/config"
	"postern/internal/gateway/clientname"
)

// namesOfClients makes what finds the names of clients.
func namesOfClients(cfg *config.Config, r clientname.Resolver) *clientname.Names {
	d := &cfg.DNS
	return clientname.New(clientname.Config{Resolver: r, Wait: d.ClientNamesWait.Duration, Timeout: d.ClientNamesTimeout.Duration,
		LookUps: d.ClientNamesLookups, Remembered: d.ClientNamesRemembered, For: d.ClientNamesFor.Duration})
}

// clientNames is what finds them under a configuration, nil where it wants none.
func (g *gateway) clientNames(cfg *config.Config) *clientname.Names {
	if !cfg.DNS.ClientNames {
		return nil
	}
	return g.names
}
