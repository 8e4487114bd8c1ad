// Package confcheck finds what is wrong with a configuration and the files it names, and has the verbs about it.
//
// The law of checking. What serve refuses, `postern config check` refuses; what is dangerous it names.
//
//   - refusals is what keeps the gateway from starting, found by the very functions that make its rooms. serve and a
//     reload ask it first, so there is no other list.
//   - doubts is what lets the gateway start and is wrong or dangerous all the same. serve logs it.
//   - outlook (outlook.go) is about the machine at this moment: ports, sockets of systemd, memory. check alone looks
//     there.
//
// `config check` prints all of it, as the user that the gateway will be, and fails when one is fatal.
package confcheck

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/process"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/gateway/identity"
	"postern/internal/gateway/recipients"
	"postern/internal/gateway/route"
	"postern/internal/gateway/tlsreport"
	"postern/internal/operator/api"
	"postern/internal/policy/certcheck/roots"
)

// Files is what the files of a configuration hold that was examined: they are read once, and the gateway works with
// what was found good.
type Files struct {
	Mailboxes *recipients.Sources
	Client    *tls.Certificate // shown to servers that ask; nil shows none
	Secret    string           // of [oidc]; "" where there is none
	DKIM      crypto.Signer    // of [tlsrpt]; nil where no reports are sent
}

// refusals lists why the gateway would not start with a configuration, or not take it at a reload.
func refusals(cfg *config.Config) (files Files, out []config.Finding) {
	refuse := func(key string, err error) {
		if err != nil {
			out = append(out, config.Finding{Key: key, What: err.Error(), Hint: cli.HintOf(err), Fatal: true})
		}
	}
	_, err := resolver.New(rooms.Resolving(cfg))
	refuse("dns.servers", err)
	_, err = route.New(rooms.Routing(cfg, nil))
	refuse("domain", err)
	_, err = roots.New(roots.Config{Public: string(cfg.Trust.Roots), Dir: rooms.ConfigDir(cfg)})
	if e, ok := errors.AsType[*roots.Error](err); ok {
		err = process.Unreadable(e, e.File, e.Hint)
	}
	refuse("trust.roots", err)
	sources := rooms.RecipientSources(cfg)
	if files.Mailboxes, err = recipients.Read(sources); err != nil {
		for i, s := range sources {
			refuse(fmt.Sprintf("domain[%d].recipients", i), mailboxes(s))
		}
	}
	for i, c := range cfg.TLS.Certificates {
		_, err = readable(c.Cert, c.Key)
		refuse(fmt.Sprintf("tls.certificates[%d]", i), err)
	}
	if cfg.Delivery.ClientCertificate != "" {
		files.Client, err = readable(cfg.Delivery.ClientCertificate, cfg.Delivery.ClientKey)
		refuse("delivery.client_certificate", err)
	}
	if _, err = rooms.ACMEKey(cfg); err != nil {
		refuse("tls.acme.key", process.Unreadable(err, string(cfg.TLS.ACME.Key),
			"`openssl ecparam -name prime256v1 -genkey -noout -out FILE` makes one"))
	}
	if _, err = rooms.ACMEBinding(cfg); err != nil {
		refuse("tls.acme.eab", process.Unreadable(err, string(cfg.TLS.ACME.EAB.Key),
			"write the secret that the CA gave into that file, which nobody else may read"))
	}
	for _, s := range rooms.Sources(cfg) {
		refuse(s.Key, sourceOf(s.Addr))
	}
	files.Secret, err = clientSecret(cfg)
	refuse("oidc.client_secret_file", err)
	files.DKIM, err = reportKey(cfg)
	refuse("tlsrpt.dkim.key", err)
	refuse("data", dataFolder(cfg))
	return files, out
}

// Examine reads the files of a configuration, and says with an error why the gateway refuses it.
func Examine(cfg *config.Config) (Files, error) {
	files, list := refusals(cfg)
	if len(list) == 0 {
		return files, nil
	}
	var texts []string
	for _, f := range list {
		texts = append(texts, cli.FindingText(cfg, f))
	}
	return files, cli.WithHint(fmt.Errorf("%s cannot be used:\n%s", cfg.Path(), strings.Join(texts, "\n")),
		"`postern config check` shows this and what else is to be mended")
}

// readable reads a certificate with its key, or says why it cannot be used.
func readable(cert, key config.Path) (*tls.Certificate, error) {
	read, err := identity.Read(identity.File{Cert: string(cert), Key: string(key)})
	if err == nil {
		return &read, nil
	}
	file := string(key)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		file = e.Path
	}
	return nil, process.Unreadable(err, file, "put the certificate with its intermediates there, PEM, the server's "+
		"own first, and the key that belongs to it, which nobody else may read")
}

// sourceOf says why connections cannot come from an address.
func sourceOf(source netip.Addr) error {
	err := rooms.HasSource(source)
	if err == nil {
		return nil
	}
	return cli.WithHint(fmt.Errorf("connections cannot come from %s: %w", source, bareCause(err)),
		"name an address that this machine has (`ip address` lists them); for one that comes and goes, set "+
			"net.ipv4.ip_nonlocal_bind or net.ipv6.ip_nonlocal_bind to 1")
}

// clientSecret reads the secret of [oidc]; "" where there is none.
func clientSecret(cfg *config.Config) (string, error) {
	file := string(cfg.OIDC.ClientSecretFile)
	if cfg.OIDC.Issuer == "" || file == "" {
		return "", nil
	}
	const hint = "write what the provider gave for the client into that file, readable by the gateway's user alone"
	text, err := os.ReadFile(file)
	if err != nil {
		return "", process.Unreadable(fmt.Errorf("the client secret of [oidc] cannot be read: %w", err), file, hint)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", cli.WithHint(fmt.Errorf("the client secret of [oidc] cannot be used: %s is empty", file),
			hint+"; leave client_secret_file out where there is none")
	}
	return secret, nil
}

// reportKey reads the key that signs reports; nil where none are sent.
func reportKey(cfg *config.Config) (crypto.Signer, error) {
	if !cfg.TLSRPT.Sends() {
		return nil, nil
	}
	file := string(cfg.TLSRPT.DKIM.Key)
	text, err := os.ReadFile(file)
	if err == nil {
		var key crypto.Signer
		if key, err = tlsreport.Key(text); err == nil {
			return key, nil
		}
	}
	return nil, process.Unreadable(fmt.Errorf("the key of reports cannot be used: %w", err), file,
		"`openssl genrsa -out "+file+" 2048` makes one; its public key belongs in DNS, below the selector")
}

// dataFolder says why mail could not be kept where it should be.
func dataFolder(cfg *config.Config) error {
	dir := string(cfg.Data)
	if !api.Fits(cfg.Socket()) {
		return cli.WithHint(fmt.Errorf("%s is too long for the path of the control socket in it", dir),
			`write a shorter path, as data = "/var/lib/postern"`)
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return cli.WithHint(fmt.Errorf("%s is not a folder", dir), "name a folder of the gateway's own")
	case errors.Is(err, syscall.ENOTDIR):
		return cli.WithHint(fmt.Errorf("something above %s is not a folder", dir), "name a folder of the gateway's own")
	}
	return nil // what else keeps it from being written may pass, and is told by opening it
}

// mailboxes says why the source of a domain cannot be used.
func mailboxes(s recipients.Source) error {
	_, err := recipients.Read([]recipients.Source{s})
	if err == nil {
		return nil
	}
	return process.Unreadable(err, s.File, "write one address a line, and @"+s.Domain.String()+
		" where every name of the domain exists")
}
