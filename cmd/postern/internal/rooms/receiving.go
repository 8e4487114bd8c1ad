package rooms

import (
	"postern/internal/config"
	"postern/internal/gateway/clientname"
	"postern/internal/gateway/intake"
	"postern/internal/gateway/recipients"
	"postern/internal/mail"
	"postern/internal/smtp/smtpserver"
)

// NamesOfClients makes what finds the names of clients.
func NamesOfClients(cfg *config.Config, r clientname.Resolver) *clientname.Names {
	d := &cfg.DNS
	return clientname.New(clientname.Config{Resolver: r, Wait: d.ClientNamesWait.Duration,
		Timeout: d.ClientNamesTimeout.Duration,
		LookUps: d.ClientNamesLookups, Remembered: d.ClientNamesRemembered, For: d.ClientNamesFor.Duration})
}

// BareEnds says what is done with bare line ends of our own clients.
func BareEnds(cfg *config.Config) smtpserver.BareEnds {
	if cfg.Relay.BareNewline == config.BareNormalize {
		return smtpserver.ConvertBare
	}
	return smtpserver.RefuseBare
}

// Bindings says which clients may send from which addresses.
func Bindings(cfg *config.Config) (out []intake.Binding) {
	for _, r := range cfg.RelayClient {
		b := intake.Binding{Networks: r.Networks, Users: r.Users, Certificates: r.Certificates}
		for _, s := range r.Senders {
			b.Senders = append(b.Senders, intake.Sender(s))
		}
		out = append(out, b)
	}
	return out
}

// Clients is who may relay, and the bindings of those.
func Clients(cfg *config.Config) *intake.Bindings {
	return intake.NewBindings(Bindings(cfg), cfg.Relay.Networks, cfg.Relay.ClientCertificates != "")
}

// PostmasterFor is who gets the mail for this gateway's own postmaster: the configured mailbox, or where that would be
// at the gateway itself, which has no mailboxes, the postmaster of the first domain it serves.
func PostmasterFor(cfg *config.Config) mail.Address {
	if cfg.Postmaster.Domain == cfg.Hostname && len(cfg.Domain) > 0 {
		return mail.Address{Local: "postmaster", Domain: cfg.Domain[0].Name}
	}
	return cfg.Postmaster
}

// RecipientSources says who knows the mailboxes of each domain.
func RecipientSources(cfg *config.Config) (out []recipients.Source) {
	for _, d := range cfg.Domain {
		out = append(out, recipients.Source{Domain: d.Name, Any: d.Recipients == config.RecipientsAny,
			File: d.Recipients.File()})
	}
	return out
}
