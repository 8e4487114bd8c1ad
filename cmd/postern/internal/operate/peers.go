package operate

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/operator/servers"
	"postern/internal/smtp"
)

// PeersCmd is the verb about the servers mail is sent to.
type PeersCmd struct {
	List   peersListCmd   `cmd:"" help:"List the servers mail was sent to, and what they offer."`
	Show   peersShowCmd   `cmd:"" help:"Show everything remembered of servers, with what changed there."`
	Forget peersForgetCmd `cmd:"" help:"Forget what is remembered of servers: their missing TLS is no loss any more. Recorded in the audit trail."`

	Senders peersSendersCmd `cmd:"" help:"List the domains that sent mail to us: over which TLS, since when, and what rules refused."`

	Pins    peersPinsCmd    `cmd:"" help:"Show which names of mail hosts are known for which domain and rule, and since when."`
	Approve peersApproveCmd `cmd:"" help:"Make named mail hosts of a domain known to its rules, and try what waits; without a name, list them. Recorded in the audit trail."`
	Unpin   peersUnpinCmd   `cmd:"" help:"Forget which names of mail hosts are known for a domain. Recorded in the audit trail."`
}

// peersListCmd lists.
type peersListCmd struct {
	remote.Gateway
	Name  []string `arg:"" optional:"" help:"A host, *.DOMAIN for all hosts below it, or an IP address."`
	Lost  bool     `help:"Only servers that had TLS and have none now."`
	Limit int      `placeholder:"N" help:"At most so many, those that answered last."`
}

// Run lists.
func (c *peersListCmd) Run(a *cli.App) error {
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	rows := a.NewTable(cli.Col("HOST", 0), cli.Col("ADDRESS", 15), cli.Col("TLS", 8), cli.Col("SEEN", 11),
		cli.Col("CERT UNTIL", 10), cli.Col("COUNT", 6))
	shown := 0
	limit := c.Limit
	if c.Lost {
		limit = 0 // of those that are shown
	}
	for p, err := range client.Peers(a.Ctx, c.Name, limit) {
		switch {
		case err != nil:
			return remote.Tell(err)
		case c.Lost && p.LostAt == nil, c.Limit > 0 && shown == c.Limit:
			continue
		}
		shown++
		if c.JSON {
			if err := a.Object(p); err != nil {
				return err
			}
			continue
		}
		rows.Row(peerName(&p), p.IP, peerTLS(&p), cli.ShortClock(p.LastSeenAt), dayText(p.CertNotAfter),
			strconv.FormatInt(p.TLSCount, 10))
	}
	switch {
	case shown == 0 && len(c.Name) > 0:
		return cli.Short("no such server is remembered")
	case shown == 0 && !c.JSON:
		fmt.Fprintln(a.Stdout, "no such server is remembered")
	}
	return strangers(a, client, c.Name)
}

// strangers says of which of several names nothing is remembered: exit code 1.
func strangers(a *cli.App, client *api.Client, names []string) error {
	var unknown []string
	for _, name := range names {
		known := len(names) == 1 // or whoever asks has said so
		for _, err := range client.Peers(a.Ctx, []string{name}, 1) {
			if err != nil {
				return remote.Tell(err)
			}
			known = true
		}
		if !known {
			unknown = append(unknown, name)
		}
	}
	return forgotten(unknown)
}

// forgotten is the answer about names of which nothing is remembered, nil where there are none.
func forgotten(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return cli.Failure(errors.New("nothing is remembered of "+strings.Join(names, ", ")),
		"`postern peers list` shows what is remembered", cli.ExitShort)
}

func peerName(p *servers.Peer) string {
	if p.Host == "" {
		return p.IP
	}
	return p.Host
}

// peerTLS is how a server stands, in one word.
func peerTLS(p *servers.Peer) string {
	switch {
	case p.LostAt != nil:
		return "LOST"
	case p.TLSNow:
		return p.TLSVersion
	case p.StartTLS:
		return "failing"
	}
	return "none"
}

// peersShowCmd shows records in full.
type peersShowCmd struct {
	remote.Gateway
	Name []string `arg:"" help:"A host, *.DOMAIN for all hosts below it, or an IP address."`
}

// Run shows.
func (c *peersShowCmd) Run(a *cli.App) error {
	list := func(client *api.Client) iter.Seq2[servers.Peer, error] { return client.Peers(a.Ctx, c.Name, 0) }
	gap := ""
	n, err := remote.List(a, &c.Gateway, list, func(p *servers.Peer) {
		fmt.Fprint(a.Stdout, gap)
		showPeer(a, p)
		gap = "\n"
	})
	switch {
	case err != nil:
		return err
	case n == 0:
		return forgotten(c.Name)
	}
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	return strangers(a, client, c.Name)
}

func showPeer(a *cli.App, p *servers.Peer) {
	fmt.Fprintf(a.Stdout, "%s %s\n", smtp.Printable(peerName(p), 255), p.IP+" port "+strconv.Itoa(int(p.Port)))
	a.Detail("  ", "TLS", peerTLS(p))
	if p.LostAt != nil {
		a.Detail("  ", "Lost", cli.Clock(p.LostAt)+": "+p.LostReason)
	}
	a.Detail("  ", "Seen", "first "+cli.Clock(p.FirstSeenAt)+", last "+cli.Clock(p.LastSeenAt))
	if p.TLSCount > 0 {
		a.Detail("  ", "With TLS", cli.Plural(int(p.TLSCount), "time")+" on "+days(p.TLSDays)+", last "+
			cli.Clock(p.LastTLSAt))
		a.Detail("  ", "Without gap", fmt.Sprintf("%s since %s", cli.Plural(int(p.Streak), "time"),
			cli.Clock(p.StreakSince)))
		a.Detail("  ", "Reached", strings.Join(strings.Fields(p.Reached+" "+p.TLSVersion+" "+p.Cipher+" "+p.Group),
			", "))
	}
	a.Detail("  ", "Offers", strings.Join(p.Keywords, " "))
	if p.CertSHA256 != "" {
		a.Detail("  ", "Certificate", p.CertSubject)
		a.Detail("  ", "  issued by", p.CertIssuer)
		a.Detail("  ", "  valid", dayText(p.CertNotBefore)+" to "+dayText(p.CertNotAfter)+", seen since "+
			cli.Clock(p.CertSince))
		a.Detail("  ", "  SHA-256", p.CertSHA256)
		a.Detail("  ", "  SPKI", "sha256:"+p.CertSPKI)
	}
	if p.UnderRuleAt != nil {
		a.Detail("  ", "Under a rule", "last "+cli.Clock(p.UnderRuleAt))
	}
	for _, c := range p.Changes {
		a.Detail("  ", c.Change, cli.Clock(&c.At)+": "+c.Before+" -> "+c.After)
	}
}

func days(n int64) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.FormatInt(n, 10) + " days"
}

// peersForgetCmd forgets.
type peersForgetCmd struct {
	remote.Gateway
	Name []string `arg:"" help:"A host, *.DOMAIN for all hosts below it, or an IP address."`
}

// Run forgets.
func (c *peersForgetCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (servers.ForgetResult, error) {
		return client.ForgetPeers(a.Ctx, servers.ForgetRequest{Names: c.Name})
	})
	if isUnknown(err) {
		return forgotten(c.Name)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = a.Object(out)
	} else {
		_, err = fmt.Fprintf(a.Stdout, "%s forgotten\n", cli.Plural(out.Forgotten, "record"))
	}
	if err != nil {
		return err
	}
	return forgotten(out.Unknown)
}
