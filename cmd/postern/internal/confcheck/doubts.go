package confcheck

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/process"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/config/danger"
	"postern/internal/dns/resolver"
	"postern/internal/gateway/identity"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/platform/certpem"
	"postern/internal/platform/sandbox"
	"postern/internal/policy"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/ownzone"
)

// Doubts lists what is wrong or dangerous though the gateway starts.
func Doubts(ctx context.Context, cfg *config.Config, now time.Time) []config.Finding {
	return slices.Concat(Dangers(ctx, cfg), ownCertificates(cfg, now), policyHosts(cfg), trustFiles(cfg),
		danger.Senders(cfg), Resolvers(cfg))
}

// Dangers lists what the gateway does as it is told and what is hardly meant.
func Dangers(ctx context.Context, cfg *config.Config) []config.Finding {
	return slices.Concat(danger.Of(cfg), publicClients(cfg), loops(ctx, cfg), secretFile(cfg), nextKeys(cfg))
}

// Resolvers says what the list of resolvers takes away: that DANE is to be kept to and cannot be, as nobody's word is
// believed that an answer of DNS is signed, and which of them are never asked.
func Resolvers(cfg *config.Config) []config.Finding {
	r, err := resolver.New(rooms.Resolving(cfg))
	if err != nil {
		return nil // a refusal says it
	}
	if idle := r.Idle(); len(idle) > 0 {
		return []config.Finding{{Key: "dns.servers", What: fmt.Sprintf("%s is never asked: where one resolver's "+
			"word about signatures is believed, another must not answer what that one is silent about", idle[0]),
			Hint: `name validating resolvers alone; where none validates, write trust_ad = "no" below [dns]`}}
	}
	if cfg.Policies.DANE == config.KeepingOff || r.Validates() {
		return nil
	}
	return []config.Finding{{Key: "policies.dane", What: "DANE cannot be used: no DNS resolver is one whose word " +
		"about signatures is believed",
		Hint: `ask a validating resolver on this machine (dns.servers = ["127.0.0.1"]), or write trust_ad = "yes" below [dns] where ` +
			`the way to the resolver is safe, or dane = "off" below [policies]`}}
}

// ownCertificates looks at the dates and names of our own certificates.
func ownCertificates(cfg *config.Config, now time.Time) (out []config.Finding) {
	covered := len(cfg.TLS.Certificates) == 0 || slices.Contains(cfg.TLS.ACME.Names, cfg.Hostname)
	look := func(key string, cert, private config.Path) {
		read, err := identity.Read(identity.File{Cert: string(cert), Key: string(private)})
		if err != nil {
			covered = true // a refusal says more
			return
		}
		leaf := read.Leaf
		covered = covered || leaf.VerifyHostname(cfg.Hostname.String()) == nil
		say := func(format string, at time.Time) {
			out = append(out, config.Finding{Key: key, What: fmt.Sprintf(format, cert, at.Format(time.DateOnly)),
				Hint: "renew it; the files are read again when they change"})
		}
		switch {
		case now.After(leaf.NotAfter):
			say("%s expired on %s", leaf.NotAfter)
		case now.Before(leaf.NotBefore):
			say("%s is valid from %s only", leaf.NotBefore)
		case now.AddDate(0, 0, 14).After(leaf.NotAfter):
			say("%s expires on %s", leaf.NotAfter)
		}
	}
	for i, c := range cfg.TLS.Certificates {
		look(fmt.Sprintf("tls.certificates[%d]", i), c.Cert, c.Key)
	}
	if !covered {
		out = append(out, config.Finding{Key: "tls.certificates",
			Hint: "have the first certificate made for the hostname",
			What: fmt.Sprintf("no certificate is for the hostname %s; servers that check the name will not trust "+
				"this gateway", cfg.Hostname)})
	}
	if cfg.Delivery.ClientCertificate != "" {
		covered = true
		look("delivery.client_certificate", cfg.Delivery.ClientCertificate, cfg.Delivery.ClientKey)
	}
	return out
}

// nextKeys reads the keys that are to come.
func nextKeys(cfg *config.Config) (out []config.Finding) {
	for i, file := range cfg.TLS.NextKeys {
		if _, err := rooms.NextKey(file); err != nil {
			err = process.Unreadable(err, string(file),
				"`openssl pkey -in KEY -pubout -out FILE` writes the public key, which is enough")
			out = append(out, config.Finding{Key: fmt.Sprintf("tls.next_keys[%d]", i), What: err.Error(),
				Hint: cli.HintOf(err), Fatal: true})
		}
	}
	return out
}

// policyHosts finds policies that we serve under a name for which no certificate of ours is: others do not take them.
func policyHosts(cfg *config.Config) (out []config.Finding) {
	own, err := rooms.OwnZone(cfg)
	if err != nil || !own.Web {
		return nil // told otherwise
	}
	for i, d := range own.Domains {
		host := ownzone.HostName(d.Name)
		if d.Policy.Mode != "" && !ordered(cfg, host) &&
			!slices.ContainsFunc(own.Certificates,
				func(c ownzone.Certificate) bool { return c.Chain[0].VerifyHostname(host) == nil }) {
			out = append(out, config.Finding{Key: fmt.Sprintf("domain[%d].sts", i),
				What: fmt.Sprintf("no certificate is for %s: nobody takes the policy from this gateway", host),
				Hint: "add one to tls.certificates, or the name to one that is there"})
		}
	}
	return out
}

// ordered reports whether a certificate for a name is to be had from a CA.
func ordered(cfg *config.Config, host string) bool {
	return slices.ContainsFunc(cfg.TLS.ACME.Names, func(n mail.Domain) bool { return n.String() == host })
}

// trustFiles reads the files of CA certificates that the configuration names for single purposes.
func trustFiles(cfg *config.Config) (out []config.Finding) {
	look := func(key string, file config.Path) {
		if file == "" {
			return
		}
		if _, err := readTrusted(string(file)); err != nil {
			err = process.Unreadable(err, string(file), "put the CA's certificates in PEM form there")
			out = append(out, config.Finding{Key: key, What: fmt.Sprintf("%s: %v", file, err), Hint: cli.HintOf(err),
				Fatal: true})
		}
	}
	look("relay.client_certificates", cfg.Relay.ClientCertificates)
	look("tls.acme.trust", cfg.TLS.ACME.Trust)
	for i, d := range cfg.Domain {
		look(fmt.Sprintf("domain[%d].trust", i), d.Trust)
	}
	return out
}

func readTrusted(file string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, e.Err
	}
	if err != nil {
		return nil, err
	}
	return certpem.Trusted(text)
}

// publicClients finds public CAs among those whose clients may relay: anybody can have a certificate of theirs.
func publicClients(cfg *config.Config) []config.Finding {
	file := string(cfg.Relay.ClientCertificates)
	if file == "" {
		return nil
	}
	certs, err := readTrusted(file)
	if err != nil {
		return nil // trustFiles says it
	}
	var names []string
	for _, c := range roots.PublicCAs(certs) {
		names = append(names, c.Subject.String())
	}
	if len(names) == 0 {
		return nil
	}
	what := names[0]
	if len(names) > 1 {
		what += fmt.Sprintf(" and %d more", len(names)-1)
	}
	return []config.Finding{{Key: "relay.client_certificates", Fatal: true,
		Hint: "name a CA of your own, which gives certificates to your own clients alone",
		What: fmt.Sprintf("an open relay: %s is a public CA (%s), and anybody can have a certificate of it", file,
			what)}}
}

// loops finds hosts of domains and routes that are this gateway itself, by the judge that delivery asks.
func loops(ctx context.Context, cfg *config.Config) (out []config.Finding) {
	var keys []string
	var hosts []config.HostPort
	for i, d := range cfg.Domain {
		for j, h := range d.DeliverTo {
			keys, hosts = append(keys, fmt.Sprintf("domain[%d].deliver_to[%d]", i, j)), append(hosts, h)
		}
	}
	for i, r := range cfg.Route {
		for j, h := range r.To {
			keys, hosts = append(keys, fmt.Sprintf("route[%d].to[%d]", i, j)), append(hosts, h)
		}
	}
	rc := route.Config{Hostname: cfg.Hostname, Port: cfg.Delivery.Port,
		LocalAddrs: append(rooms.LocalAddrs(cfg), rooms.AddressesOf(cfg.Admin.Listen)...)}
	for i, h := range hosts {
		rc.Routes = append(rc.Routes, route.Route{Match: []string{hopName(i).String()},
			To: []route.HostPort{route.HostPort(h)}})
	}
	table, err := route.New(rc)
	if err != nil {
		return nil // a refusal says it
	}
	for i, h := range hosts {
		_, problem := table.Plan(ctx, hopName(i))
		what := ""
		switch {
		case problem != nil && problem.Reason == policy.MXLoop:
			what = problem.Text
		case !h.IP.IsValid() && (h.Host == cfg.Hostname || h.Host == cfg.Delivery.Helo) && listensAt(cfg, h.Port):
			what = fmt.Sprintf("%s is the gateway's own name, and it listens at port %d", h.Host, h.Port)
		default:
			continue
		}
		out = append(out, config.Finding{Key: keys[i], Fatal: true,
			What: "a loop: " + what + "; mail would come back to the gateway and is put off instead",
			Hint: "name the server that has the mailboxes, and a port of its own where it is on this machine"})
	}
	return out
}

func hopName(i int) mail.Domain { return mail.MustDomain(fmt.Sprintf("hop%d.invalid", i)) }

func listensAt(cfg *config.Config, port uint16) bool {
	return slices.ContainsFunc(cfg.Listen, func(l config.Listen) bool {
		_, p, err := net.SplitHostPort(l.Address)
		return err == nil && p == strconv.Itoa(int(port))
	})
}

// secretFile looks at the rights of the file with the client secret.
func secretFile(cfg *config.Config) (out []config.Finding) {
	look := func(used bool, key string, file config.Path) {
		info, err := os.Stat(string(file))
		if used && err == nil && sandbox.OthersMay(info) != 0 {
			out = append(out, config.Finding{Key: key, Fatal: true, Hint: fmt.Sprintf("`chmod o= %s`", file),
				What: fmt.Sprintf("%s can be read or written by everyone on this machine (mode %04o)", file,
					info.Mode().Perm())})
		}
	}
	look(cfg.OIDC.Issuer != "", "oidc.client_secret_file", cfg.OIDC.ClientSecretFile)
	look(cfg.TLSRPT.Sends(), "tlsrpt.dkim.key", cfg.TLSRPT.DKIM.Key)
	return out
}
