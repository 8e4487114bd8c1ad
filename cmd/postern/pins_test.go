package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
	"postern/internal/operator/mailhosts"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
)

// TestOperatorsPins plays a change of mail hosts as an administrator sees it: what was known, what is approved, what is
// written in the audit trail.
func TestOperatorsPins(t *testing.T) {
	store := backlog.New(t)
	since := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	for _, p := range []mxpins.Pin{
		{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test", Since: since, By: policy.MXByFirstUse},
		{Domain: "clinic.test", Rule: "everyone", Name: "clinic.test", Since: since, By: policy.MXByFirstUse},
		{Domain: "bank.test", Rule: "everyone", Name: "bank.test", Since: since, By: policy.MXBySignedDNS},
	} {
		seen := mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: "seen.test", Since: since, By: mxpins.Seen}
		if _, err := mxpins.NewBook(store).Remember(t.Context(), true, []mxpins.Pin{p, seen}); err != nil {
			t.Fatal(err)
		}
	}
	service := admin.New(admin.Config{Store: store, Ledger: store, Rules: backlog.Keeper(t, store), Pins: mxpins.NewBook(store),
		MailHosts: func(_ context.Context, d mail.Domain) (mailhosts.MailHosts, error) {
			switch d.String() {
			case "clinic.test":
				return mailhosts.MailHosts{Hosts: []mail.Domain{mail.MustDomain("mx1.provider.test"), mail.MustDomain("mx2.provider.test"), mail.MustDomain("mx.clinic.test")}}, nil
			case "routed.test":
				return mailhosts.MailHosts{ByAdmin: true}, nil
			}
			return mailhosts.MailHosts{}, errors.New("the domain " + d.String() + " does not exist")
		}})
	path := filepath.Join(t.TempDir(), "s")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- api.New(service, accounts.New(accounts.Config{Book: accounts.NewBook(store), Ledger: store}), slog.New(slog.DiscardHandler)).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	var said strings.Builder
	for _, c := range []struct {
		args string
		code int
	}{
		{"peers pins", cli.ExitOK},
		{"peers pins clinic.test --json", cli.ExitOK},
		{"peers pins nobody.test", cli.ExitOK},
		{"peers approve clinic.test", cli.ExitShort},
		{"peers approve clinic.test --json", cli.ExitShort},
		{"peers approve clinic.test provider.test --rule everyone", cli.ExitOK},
		{"peers approve clinic.test", cli.ExitShort},
		{"peers approve clinic.test evil.test", cli.ExitUsage},
		{"peers approve clinic.test provider.test evil.test", cli.ExitUsage},
		{"peers approve clinic.test seen.test", cli.ExitUsage},
		{"peers approve clinic.test mx2.provider.test", cli.ExitOK},
		{"peers approve clinic.test provider.test", cli.ExitShort},
		{"peers approve clinic.test", cli.ExitShort},
		{"peers approve nobody.test nobody.test", cli.ExitUsage},
		{"peers approve clinic.test provider.test --rule nosuch", cli.ExitShort},
		{"peers approve bank.test", cli.ExitFail},
		{"peers approve bank.test bank.test", cli.ExitFail},
		{"peers approve x..y", cli.ExitUsage},
		{"peers approve clinic.test x..y", cli.ExitUsage},
		{"peers pins clinic.test", cli.ExitOK},
		{"peers unpin clinic.test --rule clinic", cli.ExitOK},
		{"peers unpin clinic.test --json", cli.ExitOK},
		{"peers unpin clinic.test", cli.ExitShort},
		{"audit", cli.ExitOK},
	} {
		code, out, errs := shell(t, "", append(strings.Fields(c.args), "--socket="+path)...)
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
		said.WriteString("$ postern " + c.args + "\n" + out + errs + "\n")
	}
	text := strings.ReplaceAll(said.String(), path, "SOCKET")
	for _, hide := range []struct{ pattern, with string }{ // who runs the test, where and when
		{`administrator [^"\n]*`, "administrator WHO"},
		{`(?m)^(  By +).*$`, "${1}WHO"},
		{`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+`, "NOW"},
		{`"since":"20[^"]*"`, `"since":"NOW"`},
		{`20\d\d-\d\d-\d\d administrator`, "20YY-MM-DD administrator"},
	} {
		text = regexp.MustCompile(hide.pattern).ReplaceAllString(text, hide.with)
	}
	golden(t, "pins.txt", text)
}
