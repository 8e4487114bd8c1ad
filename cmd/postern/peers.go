package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postern/internal/operator/admin"
	"postern/internal/smtp"
)

// peersCmd is the verb about the servers mail is sent to.
type peersCmd struct {
	List   peersListCmd   `cmd:"" help:"List the servers mail was sent to, and what they offer."`
	Show   peersShowCmd   `cmd:"" help:"Show everything remembered of servers, with what changed there."`
	Forget peersForgetCmd `cmd:"" help:"Forget what is remembered of servers: their missing TLS is no loss any more. Recorded in the audit trail."`

	Pins    peersPinsCmd    `cmd:"" help:"Show which names of mail hosts are known for which domain and rule, and since when."`
	Approve peersApproveCmd `cmd:"" help:"Make named mail hosts of a domain known to its rules, and try what waits; without a name, list them. Recorded in the audit trail."`
	Unpin   peersUnpinCmd   `cmd:"" help:"Forget which names of mail hosts are known for a domain. Recorded in the audit trail."`
}

// peersListCmd lists.
type peersListCmd struct {
	remote
	Name  []string `arg:"" optional:"" help:"A host, *.DOMAIN for all hosts below it, or an IP address."`
	Lost  bool     `help:"Only servers that had TLS and have none now."`
	Limit int      `placeholder:"N" help:"At most so many, those that answered last."`
}

// Run lists.
func (c *peersListCmd) Run(a *app) error {
	client, err := c.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	rows := a.newTable(col("HOST", 0), col("ADDRESS", 15), col("TLS", 8), col("SEEN", 11), col("CERT UNTIL", 10), col("COUNT", 6))
	shown := 0
	limit := c.Limit
	if c.Lost {
		limit = 0 // of those that are shown
	}
	for p, err := range client.Peers(a.ctx, c.Name, limit) {
		switch {
		case err != nil:
			return tell(err)
		case c.Lost && p.LostAt == nil, c.Limit > 0 && shown == c.Limit:
			continue
		}
		shown++
		if c.JSON {
			if err := a.object(p); err != nil {
				return err
			}
			continue
		}
		rows.row(peerName(&p), p.IP, peerTLS(&p), shortClock(p.LastSeenAt), dayText(p.CertNotAfter), strconv.FormatInt(p.TLSCount, 10))
	}
	switch {
	case shown == 0 && len(c.Name) > 0:
		return short("no such server is remembered")
	case shown == 0 && !c.JSON:
		fmt.Fprintln(a.stdout, "no such server is remembered")
	}
	return nil
}

func peerName(p *admin.Peer) string {
	if p.Host == "" {
		return p.IP
	}
	return p.Host
}

// peerTLS is how a server stands, in one word.
func peerTLS(p *admin.Peer) string {
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

func dayText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// peersShowCmd shows records in full.
type peersShowCmd struct {
	remote
	Name []string `arg:"" help:"A host, *.DOMAIN for all hosts below it, or an IP address."`
}

// Run shows.
func (c *peersShowCmd) Run(a *app) error {
	client, err := c.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	found := false
	for p, err := range client.Peers(a.ctx, c.Name, 0) {
		if err != nil {
			return tell(err)
		}
		if c.JSON {
			err = a.object(p)
		} else {
			if found {
				fmt.Fprintln(a.stdout)
			}
			a.showPeer(&p)
		}
		if err != nil {
			return err
		}
		found = true
	}
	if !found {
		return failure(errors.New("nothing is remembered of "+c.Name[0]), "`postern peers list` shows what is remembered", exitShort)
	}
	return nil
}

func (a *app) showPeer(p *admin.Peer) {
	fmt.Fprintf(a.stdout, "%s %s\n", smtp.Printable(peerName(p), 255), p.IP+" port "+strconv.Itoa(int(p.Port)))
	a.detail("  ", "TLS", peerTLS(p))
	if p.LostAt != nil {
		a.detail("  ", "Lost", clock(p.LostAt)+": "+p.LostReason)
	}
	a.detail("  ", "Seen", "first "+clock(p.FirstSeenAt)+", last "+clock(p.LastSeenAt))
	if p.TLSCount > 0 {
		a.detail("  ", "With TLS", plural(int(p.TLSCount), "time")+" on "+days(p.TLSDays)+", last "+clock(p.LastTLSAt))
		a.detail("  ", "Without gap", fmt.Sprintf("%s since %s", plural(int(p.Streak), "time"), clock(p.StreakSince)))
		a.detail("  ", "Reached", strings.Join(strings.Fields(p.Reached+" "+p.TLSVersion+" "+p.Cipher+" "+p.Group), ", "))
	}
	a.detail("  ", "Offers", strings.Join(p.Keywords, " "))
	if p.CertSHA256 != "" {
		a.detail("  ", "Certificate", p.CertSubject)
		a.detail("  ", "  issued by", p.CertIssuer)
		a.detail("  ", "  valid", dayText(p.CertNotBefore)+" to "+dayText(p.CertNotAfter)+", seen since "+clock(p.CertSince))
		a.detail("  ", "  SHA-256", p.CertSHA256)
		a.detail("  ", "  SPKI", "sha256:"+p.CertSPKI)
	}
	if p.UnderRuleAt != nil {
		a.detail("  ", "Under a rule", "last "+clock(p.UnderRuleAt))
	}
	for _, c := range p.Changes {
		a.detail("  ", c.Change, clock(&c.At)+": "+c.Before+" -> "+c.After)
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
	remote
	Name []string `arg:"" help:"A host, *.DOMAIN for all hosts below it, or an IP address."`
}

// Run forgets.
func (c *peersForgetCmd) Run(a *app) error {
	client, err := c.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	out, err := client.ForgetPeers(a.ctx, admin.ForgetRequest{By: a.asker(), Names: c.Name})
	if err != nil {
		return tell(err)
	}
	if c.JSON {
		err = a.object(out)
	} else {
		_, err = fmt.Fprintf(a.stdout, "%s forgotten\n", plural(out.Forgotten, "record"))
	}
	if err == nil && out.Forgotten == 0 {
		return failure(errors.New(""), "`postern peers list` shows what is remembered", exitShort)
	}
	return err
}
