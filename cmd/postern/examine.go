package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/gateway/identity"
	"postern/internal/gateway/route"
	"postern/internal/operator/api"
	"postern/internal/policy/certcheck/roots"
)

// The law of checking. What serve refuses, `postern config check` refuses; what is dangerous it names.
//
//   - refusals is what keeps the gateway from starting, found by the very functions that make its rooms. serve and a reload
//     ask it first, so there is no other list.
//   - doubts is what lets the gateway start and is wrong or dangerous all the same. serve logs it.
//   - outlook (outlook.go) is about the machine at this moment: ports, sockets of systemd, memory. check alone looks there.
//
// `config check` prints all of it, as the user that the gateway will be, and fails when one is fatal.

// refusals lists why the gateway would not start with a configuration, or not take it at a reload.
func refusals(cfg *config.Config) (out []config.Finding) {
	refuse := func(key string, err error) {
		if err != nil {
			out = append(out, config.Finding{Key: key, What: err.Error(), Hint: hintOf(err), Fatal: true})
		}
	}
	_, err := resolver.New(resolver.Config{Servers: serverNames(cfg)})
	refuse("dns.servers", err)
	_, err = route.New(routing(cfg, nil))
	refuse("domain", err)
	_, err = roots.New(roots.Config{Public: string(cfg.Trust.Roots), Dir: configDir(cfg)})
	if e, ok := errors.AsType[*roots.Error](err); ok {
		err = unreadable(e, e.File, e.Hint)
	}
	refuse("trust.roots", err)
	for i, source := range recipientSources(cfg) {
		refuse(fmt.Sprintf("domain[%d].recipients", i), mailboxes(source))
	}
	for i, c := range cfg.TLS.Certificates {
		refuse(fmt.Sprintf("tls.certificates[%d]", i), readable(string(c.Cert), string(c.Key)))
	}
	if cfg.Delivery.ClientCertificate != "" {
		refuse("delivery.client_certificate", readable(string(cfg.Delivery.ClientCertificate), string(cfg.Delivery.ClientKey)))
	}
	_, err = clientSecret(cfg)
	refuse("oidc.client_secret_file", err)
	refuse("data", dataFolder(cfg))
	return out
}

// refused is refusals as an error, nil where there is none.
func refused(cfg *config.Config) error {
	list := refusals(cfg)
	if len(list) == 0 {
		return nil
	}
	var texts []string
	for _, f := range list {
		texts = append(texts, sayFinding(cfg, f))
	}
	return withHint(fmt.Errorf("%s cannot be used:\n%s", cfg.Path(), strings.Join(texts, "\n")), "`postern config check` shows this and what else is to be mended")
}

// readable says why a certificate with its key cannot be used.
func readable(cert, key string) error {
	_, err := identity.Read(identity.File{Cert: cert, Key: key})
	if err == nil {
		return nil
	}
	file := key
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		file = e.Path
	}
	return unreadable(err, file, "put the certificate with its intermediates there, PEM, the server's own first, and the key that belongs to it, which nobody else may read")
}

// unreadable adds what can be done about a file that the gateway's user may not read; otherwise is the hint for other faults.
func unreadable(err error, file, otherwise string) error {
	if !errors.Is(err, fs.ErrPermission) {
		return withHint(err, otherwise)
	}
	name, group := processUser()
	return withHint(fmt.Errorf("%w (as user %s)", err, name),
		fmt.Sprintf("`chgrp %s %s && chmod 640 %s`, and let that group enter its folders (chmod g+x, or a copy in a folder of its own); README.md has a deploy hook for certbot",
			group, file, file))
}

// processUser names the user and the group of this process.
func processUser() (name, group string) {
	name, group = strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return name, group
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
		return "", unreadable(fmt.Errorf("the client secret of [oidc] cannot be read: %w", err), file, hint)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", withHint(fmt.Errorf("the client secret of [oidc] cannot be used: %s is empty", file), hint+"; leave client_secret_file out where there is none")
	}
	return secret, nil
}

// dataFolder says why mail could not be kept where it should be.
func dataFolder(cfg *config.Config) error {
	dir := string(cfg.Data)
	if !api.Fits(cfg.Socket()) {
		return withHint(fmt.Errorf("%s is too long for the path of the control socket in it", dir), `write a shorter path, as data = "/var/lib/postern"`)
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return withHint(fmt.Errorf("%s is not a folder", dir), "name a folder of the gateway's own")
	case errors.Is(err, syscall.ENOTDIR):
		return withHint(fmt.Errorf("something above %s is not a folder", dir), "name a folder of the gateway's own")
	}
	return nil // what else keeps it from being written may pass, and is told by opening it
}
