// Package remote finds the running gateway that a verb asks: at its socket, or with a token at --server.
package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/internal/operator/api"
	"postern/internal/platform/certpem"
	"postern/internal/policy/rules"
)

// Gateway is what every verb takes that asks the running gateway.
type Gateway struct {
	Socket    string `placeholder:"PATH" help:"The gateway's admin socket. Otherwise the one of the configuration."`
	Server    string `placeholder:"URL" help:"Another machine's gateway, by the address of its console: https://gateway.example:8025."`
	TokenFile string `placeholder:"FILE" help:"What holds the token for --server; otherwise the variable POSTERN_TOKEN does."`
	CA        string `placeholder:"FILE" help:"PEM file of the CA that issued the --server's certificate, where that is none of the system's."`
	JSON      bool   `help:"Print newline-delimited JSON objects."`
}

// Dial finds the gateway: a server, a socket that is named, or the one of the configuration.
func (r *Gateway) Dial(a *cli.App) (*api.Client, error) {
	if r.Server != "" {
		return r.server(a)
	}
	path := r.Socket
	if path == "" {
		c, err := a.Load()
		if err != nil {
			return nil, err
		}
		path = c.Socket()
	}
	client := api.Dial(path)
	client.By = a.Asker()
	return client, nil
}

// server is the client of a gateway elsewhere.
func (r *Gateway) server(a *cli.App) (*api.Client, error) {
	if r.Socket != "" {
		return nil, cli.Usage(errors.New("--socket and --server exclude each other"), "name one of them")
	}
	token := a.Getenv("POSTERN_TOKEN")
	if r.TokenFile != "" {
		text, err := a.ReadFile(r.TokenFile)
		if err != nil {
			return nil, err
		}
		token = strings.TrimSpace(string(text))
	}
	var trust *tls.Config
	if r.CA != "" {
		text, err := a.ReadFile(r.CA)
		if err != nil {
			return nil, err
		}
		certs, err := certpem.Trusted(text)
		if err != nil {
			return nil, cli.Usage(fmt.Errorf("%s: %w", r.CA, err), "give the CA's certificate in PEM")
		}
		trust = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		for _, c := range certs {
			trust.RootCAs.AddCert(c)
		}
	}
	client, err := api.Remote(r.Server, token, trust)
	if err != nil {
		return nil, cli.Usage(err, "the console of that gateway makes tokens, below Your account; put one into a "+
			"file for --token-file, or into POSTERN_TOKEN")
	}
	return client, nil
}

// Tell dresses an error of the gateway for a person.
func Tell(err error) error {
	if u, ok := errors.AsType[*api.Unreachable](err); ok {
		if u.Remote {
			return cli.WithHint(err, "is the address the one of [admin] listen, does a firewall let you through, "+
				"and is the certificate right (--ca names a private CA)?")
		}
		if errors.Is(err, fs.ErrPermission) {
			return cli.WithHint(err, "only the gateway's own user and root may ask; try it with `sudo`")
		}
		return cli.WithHint(err, "start it with `postern serve`, or name another socket than "+u.Where+
			" with --socket or --config")
	}
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	switch {
	case p.Kind == api.NotFound:
		return cli.Failure(p, p.Hint, cli.ExitShort)
	case p.Code == http.StatusBadRequest, p.Code == http.StatusUnprocessableEntity && len(p.Problems) == 0:
		return cli.Usage(p, p.Hint)
	case p.Code == http.StatusUnprocessableEntity:
		told := &rules.ParseError{File: "line", Problems: p.Problems}
		return cli.Failure(fmt.Errorf("%w\n%w", p, told), p.Hint, cli.ExitShort)
	}
	return cli.WithHint(p, p.Hint)
}
