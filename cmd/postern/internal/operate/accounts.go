package operate

import (
	"cmp"
	"fmt"
	"iter"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/api"
)

// AccountsCmd is about who may use the console. It works at the socket, so it is also the way back in for
// administrators who can no longer sign in.
type AccountsCmd struct {
	List    accountsListCmd    `cmd:"" default:"withargs" help:"List who may use the console."`
	First   accountsFirstCmd   `cmd:"" help:"Make the link by which the first administrator chooses a name and a password."`
	Invite  accountsInviteCmd  `cmd:"" help:"Make a link by which somebody sets a password: for one who lost it, or with --new for a new account. Its use ends the account's sessions, tokens and passkeys."`
	Disable accountsDisableCmd `cmd:"" help:"Keep somebody out, at once, without deleting the account."`
	Enable  accountsEnableCmd  `cmd:"" help:"Let somebody in again."`
	Delete  accountsDeleteCmd  `cmd:"" help:"Delete an account with its tokens."`
	Tokens  accountsTokensCmd  `cmd:"" help:"List the tokens of every account: whose they are, what they may, when they were used last. A token with accounts:write can become anybody: it sets everybody's password by a link, makes administrators and ends tokens."`
	Revoke  accountsRevokeCmd  `cmd:"" help:"End a token, at once."`
}

type accountsListCmd struct{ remote.Gateway }

// Run lists.
func (c *accountsListCmd) Run(a *cli.App) error {
	rows := a.NewTable(cli.Col("NAME", 24), cli.Col("ROLE", 14), cli.Col("STATE", 9), cli.Col("SCOPE", 0))
	list := func(client *api.Client) iter.Seq2[api.Account, error] { return client.Accounts(a.Ctx) }
	n, err := remote.List(a, &c.Gateway, list, func(account *api.Account) {
		scope, state := "everything", "enabled"
		if !account.Scope.All {
			scope = strings.Trim(fmt.Sprint(account.Scope.Domains), "[]")
		}
		if account.Disabled {
			state = "disabled"
		}
		rows.Row(account.Name, string(account.Role), state, scope)
	})
	if err == nil && n == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "there are no accounts; `postern accounts first` makes a link for the first "+
			"administrator")
	}
	return err
}

type accountsFirstCmd struct{ remote.Gateway }

// Run prints the link, here and nowhere else.
func (c *accountsFirstCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (api.InviteResult, error) {
		return client.FirstAccount(a.Ctx)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.Object(out)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s/setup#%s\n", console(a, &c.Gateway), out.Secret)
	fmt.Fprintln(a.Stderr, "This link makes the first administrator, once and within an hour. Whoever opens it "+
		"first is that; show it to nobody.")
	return err
}

type accountsInviteCmd struct {
	remote.Gateway
	Name   string   `arg:"" help:"What is typed to sign in."`
	New    bool     `help:"Make the account. Without it, a name that has none is an error."`
	Role   string   `default:"" enum:",auditor,operator,administrator" help:"Of a new account: auditor (looks; the default), operator (and acts on waiting mail) or administrator (and changes rules and accounts, and so can become anybody)."`
	Domain []string `placeholder:"DOMAIN" help:"Limits a new account to mail of a domain; may be repeated."`
}

// Run prints the link.
func (c *accountsInviteCmd) Run(a *cli.App) error {
	r := api.InviteRequest{Name: c.Name, New: c.New, Role: access.Role(c.Role)}
	for _, name := range c.Domain {
		d, err := mail.ParseDomain(name)
		if err != nil {
			return cli.Usage(err, "write --domain clinic.test")
		}
		r.Domains = append(r.Domains, d)
	}
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (api.InviteResult, error) {
		return client.Invite(a.Ctx, r)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.Object(out)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s/setup#%s\n", console(a, &c.Gateway), out.Secret)
	says := "This link sets the password of " + c.Name + ", once and within an hour."
	if out.New {
		says += " The account is new; its role is " + cmp.Or(c.Role, string(access.Roles()[0])) + "."
	} else {
		says += " When it is used, the sessions, tokens and passkeys of " + c.Name + " end."
	}
	fmt.Fprintln(a.Stderr, says)
	return err
}

// console is the address of the console: of the server that is asked, or as the configuration says, as far as it is
// known here.
func console(a *cli.App, r *remote.Gateway) string {
	if r.Server != "" {
		return strings.TrimSuffix(r.Server, "/")
	}
	cfg, err := a.Load()
	if err != nil {
		return "http://127.0.0.1:8025"
	}
	return rooms.ConsoleURL(cfg)
}

// accountsChange is what the verbs that change one account share.
type accountsChange struct {
	remote.Gateway
	Name string `arg:"" help:"The account."`
}

func (c *accountsChange) do(a *cli.App, what string, do func(*api.Client) error) error {
	err := remote.Do(a, &c.Gateway, do)
	if err == nil && !c.JSON {
		fmt.Fprintf(a.Stdout, "%s: %sd\n", c.Name, what)
	}
	return err
}

type accountsDisableCmd struct{ accountsChange }

// Run disables.
func (c *accountsDisableCmd) Run(a *cli.App) error {
	return c.do(a, "disable", func(client *api.Client) error { return client.DisableAccount(a.Ctx, c.Name, true) })
}

type accountsEnableCmd struct{ accountsChange }

// Run enables.
func (c *accountsEnableCmd) Run(a *cli.App) error {
	return c.do(a, "enable", func(client *api.Client) error { return client.DisableAccount(a.Ctx, c.Name, false) })
}

type accountsDeleteCmd struct{ accountsChange }

// Run deletes.
func (c *accountsDeleteCmd) Run(a *cli.App) error {
	return c.do(a, "delete", func(client *api.Client) error { return client.DeleteAccount(a.Ctx, c.Name) })
}
