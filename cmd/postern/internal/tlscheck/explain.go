package tlscheck

import (
	"cmp"
	"fmt"

	"postern/cmd/postern/internal/cli"
	"postern/internal/policy"
)

// ExplainCmd says what a reason code means.
type ExplainCmd struct {
	Reason string `arg:"" help:"A reason code, such as cert-expired, or all."`
	JSON   bool   `help:"Print newline-delimited JSON objects."`
}

// explanation is a row of the table of reasons.
type explanation struct {
	Reason policy.Reason `json:"reason"`
	Text   string        `json:"text"`
	Who    policy.Who    `json:"who"`
	Hint   string        `json:"hint"`
	// Waiting and Failed are the enhanced status codes while mail waits and when it is returned.
	Waiting string `json:"status_waiting"`
	Failed  string `json:"status_failed"`
	TLSRPT  string `json:"tlsrpt"` // "" where no TLS policy failed
}

// Run prints one row, or all.
func (c *ExplainCmd) Run(a *cli.App) error {
	found := false
	for _, i := range policy.Reasons() {
		if c.Reason != "all" && c.Reason != string(i.Reason) {
			continue
		}
		first := !found
		found = true
		e := explanation{i.Reason, i.Text, i.Who, i.Hint, "4." + i.Status, "5." + i.Status, i.TLSRPT}
		if c.JSON {
			if err := a.Object(e); err != nil {
				return err
			}
			continue
		}
		if !first {
			fmt.Fprintln(a.Stdout)
		}
		explain(a, &e)
	}
	if !found {
		return cli.Failure(fmt.Errorf("there is no reason %s", c.Reason), "`postern explain all` lists them",
			cli.ExitShort)
	}
	return nil
}

func explain(a *cli.App, e *explanation) {
	fmt.Fprintln(a.Stdout, e.Reason)
	a.Detail("  ", "What", e.Text)
	a.Detail("  ", "Who must act", actor(e.Who))
	a.Detail("  ", "What to do", e.Hint)
	a.Detail("  ", "Status", e.Waiting+" while mail waits, "+e.Failed+" when it is returned")
	a.Detail("  ", "TLS report", cmp.Or(e.TLSRPT, "none: no TLS policy failed"))
}

// actor is who must act, for people.
func actor(w policy.Who) string {
	switch w {
	case policy.Us:
		return "us: whoever runs this gateway"
	case policy.Them:
		return "them: whoever runs the other side"
	}
	return "the network between us: firewalls and lines on either side"
}
