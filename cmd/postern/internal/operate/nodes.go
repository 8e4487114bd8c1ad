package operate

import (
	"fmt"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/gateway/nodes"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
)

// NodesCmd shows the gateways that share the store.
type NodesCmd struct{ remote.Gateway }

// Run lists. Where one of them is neither live nor gone, exit code 1 says that somebody should look.
func (c *NodesCmd) Run(a *cli.App) error {
	list, err := remote.Ask(a, &c.Gateway,
		func(client *api.Client) ([]admin.GatewayNode, error) { return client.Nodes(a.Ctx) })
	if err != nil {
		return err
	}
	rows := a.NewTable(cli.Col("NODE", 20), cli.Col("STATE", 8), cli.Col("SINCE", 20), cli.Col("RELEASE", 10),
		cli.Col("RULES", 6), cli.Col("STORE", 8), cli.Col("CLAIMED", 7), cli.Col("RENEWED", 0))
	doubtful := false
	for i := range list {
		n := &list[i]
		doubtful = doubtful || n.State != nodes.Live && n.State != nodes.Gone
		if c.JSON {
			if err := a.Object(n); err != nil {
				return err
			}
			continue
		}
		rows.Row(self(n), string(n.State), cli.Clock(n.JoinedAt), n.Release, fmt.Sprint(n.RulesRevision),
			span(n.StoreMS, time.Millisecond), fmt.Sprint(n.Claimed), ago(n.RenewedMS))
	}
	if !c.JSON && len(list) == 1 && list[0].RenewedMS == nil {
		fmt.Fprintln(a.Stdout, "this gateway has its store for itself")
	}
	if doubtful {
		return cli.Short("")
	}
	return nil
}

// self marks the gateway that answers.
func self(n *admin.GatewayNode) string {
	if n.Self {
		return n.Name + " *"
	}
	return n.Name
}

// span is a number of milliseconds for people, "-" where there is none.
func span(ms *int64, round time.Duration) string {
	if ms == nil {
		return "-"
	}
	return (time.Duration(*ms) * time.Millisecond).Round(round).String()
}

func ago(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return span(ms, time.Second) + " ago"
}

// The pauses of tellLacking.
const (
	firstTold = 1500 * time.Millisecond
	nextTold  = 2 * time.Second
)

// tellLacking says, while a change takes long, at which gateways it does not hold yet, each time that these are others.
// It ends when end is called.
func tellLacking(a *cli.App, client *api.Client) (end func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		told := ""
		for pause := firstTold; ; pause = nextTold {
			select {
			case <-over:
				return
			case <-time.After(pause):
			}
			list, err := client.Nodes(a.Ctx)
			if line := lacking(list); err == nil && line != told {
				told = line
				fmt.Fprint(a.Stderr, line)
			}
		}
	}()
	return func() { close(over); <-ended }
}

// lacking is a line for each gateway that is alive and judges by older rules than another.
func lacking(list []admin.GatewayNode) (out string) {
	newest := int64(0)
	for i := range list {
		newest = max(newest, list[i].RulesRevision)
	}
	for i := range list {
		if n := &list[i]; n.State != nodes.Gone && n.RulesRevision < newest {
			out += fmt.Sprintf("waiting for %s: it is %s, judges by revision %d, and was heard of %s\n", n.Name,
				n.State, n.RulesRevision, ago(n.RenewedMS))
		}
	}
	return out
}

// sayNotYet tells where what was applied is not in force yet, and reports whether that is so.
func sayNotYet(a *cli.App, out *admin.ApplyResult) bool {
	for _, n := range out.NotYet {
		fmt.Fprintf(a.Stderr, "postern: not in force yet at %s, which judges by revision %d and is %s\n", n.Name,
			n.RulesRevision, n.State)
	}
	if out.NotYetProblem != "" {
		fmt.Fprintf(a.Stderr, "postern: %s\n", out.NotYetProblem)
	}
	if len(out.NotYet) == 0 && out.NotYetProblem == "" {
		return false
	}
	fmt.Fprintln(a.Stderr, "   hint: postern nodes; each such gateway reads the rules as soon as it can, or ends "+
		"with its lease")
	return true
}
