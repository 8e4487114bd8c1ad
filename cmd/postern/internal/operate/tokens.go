package operate

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/smtp"
)

type accountsTokensCmd struct{ remote.Gateway }

// Run lists.
func (c *accountsTokensCmd) Run(a *cli.App) error {
	list := func(client *api.Client) iter.Seq2[api.Token, error] { return client.Tokens(a.Ctx) }
	n, err := remote.List(a, &c.Gateway, list, func(token *api.Token) {
		// Not a table: what a token may must not be cut.
		fmt.Fprintf(a.Stdout, "%s  of %s: %s\n  may %s\n  made %s, good until %s, used last %s\n", token.ID,
			token.Account, smtp.Printable(token.Name, 100),
			strings.Trim(fmt.Sprint(token.Scopes), "[]"), token.CreatedAt.UTC().Format(time.RFC3339),
			token.EndsAt.UTC().Format(time.RFC3339), tokenUsed(token))
	})
	if err == nil && n == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "there are no tokens; people make theirs in the console, below Your account")
	}
	return err
}

func tokenUsed(t *api.Token) string {
	if t.LastUsed.IsZero() {
		return "never"
	}
	return t.LastUsed.UTC().Format(time.RFC3339)
}

type accountsRevokeCmd struct {
	remote.Gateway
	ID string `arg:"" help:"The token, as postern accounts tokens names it."`
}

// Run revokes.
func (c *accountsRevokeCmd) Run(a *cli.App) error {
	err := remote.Do(a, &c.Gateway, func(client *api.Client) error {
		return client.DeleteToken(a.Ctx, c.ID)
	})
	if err == nil && !c.JSON {
		fmt.Fprintln(a.Stdout, c.ID+": ended")
	}
	return err
}
