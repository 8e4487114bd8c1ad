package operate

import (
	"fmt"
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
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	any := false
	for token, err := range client.Tokens(a.Ctx) {
		if err != nil {
			return remote.Tell(err)
		}
		if c.JSON {
			if err := a.Object(token); err != nil {
				return err
			}
			continue
		}
		any = true
		// Not a table: what a token may must not be cut.
		fmt.Fprintf(a.Stdout, "%s  of %s: %s\n  may %s\n  made %s, good until %s, used last %s\n", token.ID, token.Account, smtp.Printable(token.Name, 100),
			strings.Trim(fmt.Sprint(token.Scopes), "[]"), token.CreatedAt.UTC().Format(time.RFC3339), token.EndsAt.UTC().Format(time.RFC3339), tokenUsed(&token))
	}
	if !any && !c.JSON {
		fmt.Fprintln(a.Stdout, "there are no tokens; people make theirs in the console, below Your account")
	}
	return nil
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
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.DeleteToken(a.Ctx, a.Asker(), c.ID); err != nil {
		return remote.Tell(err)
	}
	if !c.JSON {
		fmt.Fprintln(a.Stdout, c.ID+": ended")
	}
	return nil
}
