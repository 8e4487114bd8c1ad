package operate

import (
	"cmp"
	"fmt"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/operator/reports"
)

// peersSendersCmd lists who sends to us, and how.
type peersSendersCmd struct {
	remote.Gateway
	Domain     string `arg:"" optional:"" help:"Only domains of senders that this is a part of."`
	Days       int    `default:"7" placeholder:"N" help:"So many days back, 14 at most."`
	WithoutTLS bool   `name:"without-tls" help:"Only who sent without TLS."`
	Below      string `enum:",1.2,1.3" default:"" placeholder:"VERSION" help:"Only who sent with TLS older than 1.2 or 1.3, or without."`
	Cipher     string `placeholder:"TEXT" help:"Only who sent with a cipher or key exchange of which this is a part."`
	Refused    bool   `help:"Only whom a rule refused, or would have if it were not on trial."`
}

// Run lists. With --json it is one object a line.
func (c *peersSendersCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (reports.Incoming, error) {
		return client.Incoming(a.Ctx, reports.IncomingRequest{Domain: c.Domain, Days: c.Days, Without: c.WithoutTLS,
			Below: c.Below, Cipher: c.Cipher, Refused: c.Refused})
	})
	if err != nil {
		return err
	}
	rows := a.NewTable(cli.Col("SENDER", 24), cli.Col("MAILS", 6), cli.Col("REFUSED", 7), cli.Col("SINCE", 11),
		cli.Col("LAST", 11), cli.Col("HOW", 0))
	for i := range out.Senders {
		s := &out.Senders[i]
		if c.JSON {
			if err := a.Object(s); err != nil {
				return err
			}
			continue
		}
		rows.Row(s.Domain, fmt.Sprint(s.Matching), fmt.Sprint(s.Refused), cli.ShortClock(s.Since),
			cli.ShortClock(s.Last), waysText(s.Ways))
	}
	if len(out.Senders) == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "no mail came so")
	}
	if out.More > 0 {
		fmt.Fprintf(a.Stderr, "postern: and %d more; name a part of the domain\n", out.More)
	}
	if !out.Complete {
		fmt.Fprintln(a.Stderr, "postern: not all of it could be counted: there were too many senders or ways")
	}
	return nil
}

// waysText says the ways that were asked for.
func waysText(ways []reports.IncomingWay) string {
	var out []string
	for _, w := range ways {
		if !w.Matches {
			continue
		}
		text := cmp.Or(w.Version, "no TLS")
		for _, more := range []string{w.Cipher, w.Group, w.Reason} {
			if more != "" {
				text += " " + more
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}
