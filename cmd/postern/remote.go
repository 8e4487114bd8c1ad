package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"postern/internal/operator/api"
	"postern/internal/platform/certpem"
	"postern/internal/policy/rules"
)

// remote is what every verb takes that asks the running gateway.
type remote struct {
	Socket    string `placeholder:"PATH" help:"The gateway's admin socket. Otherwise the one of the configuration."`
	Server    string `placeholder:"URL" help:"Another machine's gateway, by the address of its console: https://gateway.example:8025."`
	TokenFile string `placeholder:"FILE" help:"What holds the token for --server; otherwise the variable POSTERN_TOKEN does."`
	CA        string `placeholder:"FILE" help:"PEM file of the CA that issued the --server's certificate, where that is none of the system's."`
	JSON      bool   `help:"Print newline-delimited JSON objects."`
}

// client finds the gateway: a server, a socket that is named, or the one of the configuration.
func (r *remote) client(a *app) (*api.Client, error) {
	if r.Server != "" {
		return r.server(a)
	}
	path := r.Socket
	if path == "" {
		c, err := a.load()
		if err != nil {
			return nil, err
		}
		path = c.Socket()
	}
	client := api.Dial(path)
	client.By = a.asker()
	return client, nil
}

// server is the client of a gateway elsewhere.
func (r *remote) server(a *app) (*api.Client, error) {
	if r.Socket != "" {
		return nil, usage(errors.New("--socket and --server exclude each other"), "name one of them")
	}
	token := a.getenv("POSTERN_TOKEN")
	if r.TokenFile != "" {
		text, err := a.readFile(r.TokenFile)
		if err != nil {
			return nil, err
		}
		token = strings.TrimSpace(string(text))
	}
	var trust *tls.Config
	if r.CA != "" {
		text, err := a.readFile(r.CA)
		if err != nil {
			return nil, err
		}
		certs, err := certpem.Trusted(text)
		if err != nil {
			return nil, usage(fmt.Errorf("%s: %w", r.CA, err), "give the CA's certificate in PEM")
		}
		trust = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		for _, c := range certs {
			trust.RootCAs.AddCert(c)
		}
	}
	client, err := api.Remote(r.Server, token, trust)
	if err != nil {
		return nil, usage(err, "the console of that gateway makes tokens, below Your account; put one into a file for --token-file, or into POSTERN_TOKEN")
	}
	return client, nil
}

// tell dresses an error of the gateway for a person.
func tell(err error) error {
	if u, ok := errors.AsType[*api.Unreachable](err); ok {
		if u.Remote {
			return withHint(err, "is the address the one of [admin] listen, does a firewall let you through, and is the certificate right (--ca names a private CA)?")
		}
		if errors.Is(err, fs.ErrPermission) {
			return withHint(err, "only the gateway's own user and root may ask; try it with `sudo`")
		}
		return withHint(err, "start it with `postern serve`, or name another socket than "+u.Where+" with --socket or --config")
	}
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	switch {
	case p.Code == http.StatusBadRequest, p.Code == http.StatusUnprocessableEntity && len(p.Problems) == 0:
		return usage(p, p.Hint)
	case p.Code == http.StatusUnprocessableEntity:
		told := &rules.ParseError{File: "line", Problems: p.Problems}
		return failure(fmt.Errorf("%w\n%w", p, told), p.Hint, exitShort)
	}
	return withHint(p, p.Hint)
}

// asker names the person at the keyboard for the audit trail; the gateway adds the user id the kernel tells it.
func (a *app) asker() string {
	if name := a.getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// object prints v as one line of JSON.
func (a *app) object(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// moment reads a time argument: RFC 3339, a date (local midnight), or how long ago: "90m", "2h", "7d".
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usage(fmt.Errorf("%q is no time", s), "write 2026-11-23, 2026-11-23T12:00:00Z, or how long ago: 90m, 2h, 7d")
}

// readFile reads a file named on the command line; "-" is standard input.
func (a *app) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(a.stdin)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	return b, nil
}
