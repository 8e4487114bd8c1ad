package main

import (
	"postern/internal/config"
	"postern/internal/gateway/recipients"
)

// knowRecipients makes what knows the mailboxes of our own domains, or asks.
func (g *gateway) knowRecipients(cfg *config.Config) error {
	a := &cfg.Asking
	var err error
	g.recipients, err = recipients.New(recipients.Config{
		Opener: g.deliverer, InForce: g.rules.Now, Sink: g.sink, Sender: cfg.Postmaster,
		Wait: a.Wait.Duration, Pause: a.Pause.Duration, Known: a.Known.Duration, Unknown: a.Unknown.Duration,
		Remembered: a.Remembered, PerServer: a.ConnectionsPerServer, Total: a.Connections,
	})
	if err != nil {
		return err
	}
	sources, err := recipients.Read(recipientSources(cfg))
	if err != nil {
		return err
	}
	g.recipients.Use(sources)
	return nil
}

// recipientSources says who knows the mailboxes of each domain.
func recipientSources(cfg *config.Config) (out []recipients.Source) {
	for _, d := range cfg.Domain {
		out = append(out, recipients.Source{Domain: d.Name, Any: d.Recipients == config.RecipientsAny, File: d.Recipients.File()})
	}
	return out
}

// mailboxes says why the source of a domain cannot be used.
func mailboxes(s recipients.Source) error {
	_, err := recipients.Read([]recipients.Source{s})
	if err == nil {
		return nil
	}
	return unreadable(err, s.File, "write one address a line, and @"+s.Domain.String()+" where every name of the domain exists")
}
