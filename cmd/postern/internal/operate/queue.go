// Package operate has the verbs by which operators look at a running gateway and change it: queue, trace, rules, peers,
// audit, accounts, reload.
//
// Each asks the gateway through its API and prints the answer, for people or as JSON. None opens the gateway's data,
// and none decides anything: who may what, and what is written in the audit trail, is the gateway's business.
package operate

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// QueueCmd is the verb about waiting mail.
type QueueCmd struct {
	List    queueListCmd    `cmd:"" help:"List the mail that waits and why."`
	Show    queueShowCmd    `cmd:"" help:"Show everything known about messages."`
	Retry   queueRetryCmd   `cmd:"" help:"Try waiting mail now; without a name, everything that waits."`
	Hold    queueHoldCmd    `cmd:"" help:"Keep waiting mail until it is released."`
	Release queueReleaseCmd `cmd:"" help:"Let held mail go; with --lower, also with less protection than its rule demands."`
	Return  queueReturnCmd  `cmd:"" help:"Give mail in quarantine back to its sender, with a report."`
	Read    queueReadCmd    `cmd:"" help:"Print what a message in quarantine says. Recorded in the audit trail."`
	Cancel  queueCancelCmd  `cmd:"" help:"End waiting mail without telling the sender."`
}

// names are the mail a verb is about: recipient domains and queue ids.
type names struct {
	Names []string `arg:"" optional:"" name:"name" help:"A recipient domain or the id of a message."`
}

// split tells ids from domains by their form.
func (n *names) split() (domains, messages []string) {
	for _, name := range n.Names {
		if trace.LooksLikeID(name) {
			messages = append(messages, name)
		} else {
			domains = append(domains, name)
		}
	}
	return domains, messages
}

// queueListCmd lists what waits.
type queueListCmd struct {
	remote.Gateway
	names
	State      []string `help:"Only these states: queued, sending, held."`
	Reason     string   `help:"Only mail that waits for this reason."`
	Rule       string   `help:"Only mail under this rule."`
	Quarantine string   `placeholder:"RULE" help:"Only mail that this rule holds, a name with * and ?."`
	Summary    bool     `help:"Count by domain and reason instead of listing."`
	Limit      int      `placeholder:"N" help:"At most so many, the newest first."`
}

// Run lists.
func (q *queueListCmd) Run(a *cli.App) error {
	client, err := q.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	states := q.State
	if len(states) == 0 {
		states = trace.WaitingStates()
	}
	print, finish := waitingRows(a, q.JSON)
	if q.Summary {
		print, finish = summaryRows(a, q.JSON)
	}
	domains, messages := q.split()
	base := trace.Query{States: states, Reason: q.Reason, Rule: q.Rule, Quarantine: q.Quarantine,
		Limit: q.Limit}
	var queries []trace.Query
	if len(messages) > 0 || len(domains) == 0 {
		one := base
		one.Messages = messages
		queries = append(queries, one)
	}
	for _, d := range domains {
		one := base
		one.Domain = d
		queries = append(queries, one)
	}
	unknown := error(nil) // messages
	for _, one := range queries {
		n := 0
		for t, err := range client.Traces(a.Ctx, one) {
			if isUnknown(err) {
				unknown = err
				continue
			}
			if err != nil {
				return remote.Tell(err)
			}
			n++
			if err := print(&t); err != nil {
				return err
			}
		}
		if n == 0 && one.Domain != "" && len(q.Names) > 1 { // of one alone the list says it
			fmt.Fprintln(a.Stderr, "postern: nothing like that waits of "+one.Domain)
		}
	}
	if err := finish(); err != nil || unknown == nil {
		return err
	}
	return remote.Tell(unknown)
}

// isUnknown reports whether an error says that something named is not there.
func isUnknown(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Kind == api.NotFound
}

// waitingRows prints one row for each delivery.
func waitingRows(a *cli.App, asJSON bool) (print func(*trace.Delivery) error, finish func() error) {
	if asJSON {
		return func(t *trace.Delivery) error { return a.Object(t) }, func() error { return nil }
	}
	rows := a.NewTable(cli.Col("MESSAGE", 16), cli.Col("STATE", 7), cli.Col("TO", 0), cli.Col("WHY", 22),
		cli.Col("NEXT TRY", 11))
	return func(t *trace.Delivery) error {
			rows.Row(t.Message, t.State, t.To, why(t), cli.ShortClock(t.NextAttemptAt))
			return nil
		}, func() error {
			if rows.Empty() {
				fmt.Fprintln(a.Stdout, "nothing waits")
			}
			return nil
		}
}

// waitingGroup is a line of the summary.
type waitingGroup struct {
	Domain   string     `json:"domain"`
	Reason   string     `json:"reason"`
	Requires string     `json:"requires"`
	Count    int        `json:"count"`
	OldestAt *time.Time `json:"oldest_accepted_at"`
	NextAt   *time.Time `json:"next_attempt_at"`
}

// summaryRows counts by domain, reason and requirement, the largest groups first.
func summaryRows(a *cli.App, asJSON bool) (print func(*trace.Delivery) error, finish func() error) {
	groups := map[waitingGroup]*waitingGroup{}
	print = func(t *trace.Delivery) error {
		key := waitingGroup{Domain: domainOf(t.To), Reason: t.Reason, Requires: t.Requires}
		g := groups[key]
		if g == nil {
			g = &key
			groups[waitingGroup{Domain: key.Domain, Reason: key.Reason, Requires: key.Requires}] = g
		}
		g.Count++
		if t.AcceptedAt != nil && (g.OldestAt == nil || t.AcceptedAt.Before(*g.OldestAt)) {
			g.OldestAt = t.AcceptedAt
		}
		if t.NextAttemptAt != nil && (g.NextAt == nil || t.NextAttemptAt.Before(*g.NextAt)) {
			g.NextAt = t.NextAttemptAt
		}
		return nil
	}
	return print, func() error {
		sorted := make([]*waitingGroup, 0, len(groups))
		for _, g := range groups {
			sorted = append(sorted, g)
		}
		sort.Slice(sorted, func(i, j int) bool {
			x, y := sorted[i], sorted[j]
			if x.Count != y.Count {
				return x.Count > y.Count
			}
			return x.Domain+" "+x.Reason+" "+x.Requires < y.Domain+" "+y.Reason+" "+y.Requires
		})
		return printGroups(a, sorted, asJSON)
	}
}

func printGroups(a *cli.App, groups []*waitingGroup, asJSON bool) error {
	rows := a.NewTable(cli.Col("COUNT", 7), cli.Col("DOMAIN", 0), cli.Col("WHY", 22), cli.Col("OLDEST", 11),
		cli.Col("NEXT TRY", 11))
	for _, g := range groups {
		if asJSON {
			if err := a.Object(g); err != nil {
				return err
			}
			continue
		}
		reason := g.Reason
		if reason == "" {
			reason = "-"
		}
		rows.Row(strconv.Itoa(g.Count), g.Domain, reason, cli.ShortClock(g.OldestAt), cli.ShortClock(g.NextAt))
	}
	if len(groups) == 0 && !asJSON {
		fmt.Fprintln(a.Stdout, "nothing waits")
	}
	return nil
}

// queueShowCmd shows messages in full.
type queueShowCmd struct {
	remote.Gateway
	Message []string `arg:"" help:"The id of a message."`
}

// Run shows.
func (q *queueShowCmd) Run(a *cli.App) error {
	return showTraces(a, &q.Gateway, trace.Query{Messages: q.Message}, "there is no message "+q.Message[0])
}

type queueRetryCmd struct {
	remote.Gateway
	names
}

// Run retries.
func (q *queueRetryCmd) Run(a *cli.App) error {
	r := waiting.ActRequest{Kind: queue.Retry, All: len(q.Names) == 0}
	return act(a, &q.Gateway, &q.names, r)
}

// patience is how long an action waits for what is being sent.
type patience struct {
	Wait int `placeholder:"SECONDS" help:"Wait so long for mail that is being sent, and tell how it ended; at most 60."`
}

type queueHoldCmd struct {
	remote.Gateway
	names
	patience
	All bool `help:"Everything that waits."`
}

// Run holds.
func (q *queueHoldCmd) Run(a *cli.App) error {
	return act(a, &q.Gateway, &q.names, waiting.ActRequest{Kind: queue.Hold, All: q.All, Wait: q.Wait})
}

type queueReleaseCmd struct {
	remote.Gateway
	names
	All     bool `help:"Everything that is held."`
	Rejudge bool `help:"Give waiting mail exactly what is in force now, never less: all of it, or what is named. For mail that keeps what a rule demanded and no longer does. What is held stays held. Recorded in the audit trail."`
	Lower   bool `help:"Lower the mail to what the configuration demands without any rule. It may then go in plaintext. Recorded in the audit trail."`
}

// Run releases.
func (q *queueReleaseCmd) Run(a *cli.App) error {
	return act(a, &q.Gateway, &q.names, waiting.ActRequest{Kind: queue.Release, All: q.All ||
		q.Rejudge && len(q.Names) == 0, Lower: q.Lower, Rejudge: q.Rejudge})
}

type queueReturnCmd struct {
	remote.Gateway
	names
	All bool `help:"Everything that is in quarantine."`
}

// Run returns.
func (q *queueReturnCmd) Run(a *cli.App) error {
	return act(a, &q.Gateway, &q.names, waiting.ActRequest{Kind: waiting.Return, All: q.All})
}

type queueReadCmd struct {
	remote.Gateway
	Message string `arg:"" help:"The id of a message."`
	Raw     bool   `help:"As it is stored, octet by octet; else what a terminal may take for orders is escaped."`
}

// Run reads.
func (q *queueReadCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &q.Gateway,
		func(client *api.Client) (waiting.Content, error) { return client.Content(a.Ctx, q.Message) })
	if err != nil {
		return err
	}
	switch {
	case q.JSON:
		return a.Object(out)
	case q.Raw:
		_, err = a.Stdout.Write(out.Text)
	default:
		for line := range strings.SplitSeq(strings.TrimSuffix(string(out.Text), "\r\n"), "\r\n") {
			fmt.Fprintln(a.Stdout, smtp.Printable(line, len(line)*4))
		}
	}
	if rest := out.Size - int64(len(out.Text)); rest > 0 {
		fmt.Fprintf(a.Stderr, "postern: %d bytes more are not shown\n", rest)
	}
	return err
}

type queueCancelCmd struct {
	remote.Gateway
	names
	patience
	All bool `help:"Everything that waits."`
}

// Run cancels.
func (q *queueCancelCmd) Run(a *cli.App) error {
	return act(a, &q.Gateway, &q.names, waiting.ActRequest{Kind: queue.Cancel, All: q.All, Wait: q.Wait})
}

// act sends an action and tells what it did. An action on named mail that changed nothing is exit code 1, and so is one
// that did what it could and did not know every name.
func act(a *cli.App, to *remote.Gateway, names *names, r waiting.ActRequest) error {
	r.Domains, r.Messages = names.split()
	if !r.All && len(names.Names) == 0 {
		return cli.Usage(errors.New("name the domains or messages to "+string(r.Kind)),
			"`postern queue list` shows them; --all means everything")
	}
	out, err := remote.Ask(a, to, func(client *api.Client) (waiting.ActResult, error) {
		return client.Act(a.Ctx, r)
	})
	if isUnknown(err) {
		return cli.Failure(err, nothingHint(&r, out), cli.ExitShort)
	}
	if err != nil {
		return err
	}
	if to.JSON {
		err = a.Object(out)
		if len(out.Unknown) > 0 {
			fmt.Fprintln(a.Stderr, "postern: "+waiting.SayUnknown(r.Kind, out.Unknown))
		}
	} else {
		err = sayActed(a, &r, out)
	}
	if err == nil && !r.All && (out.Changed+out.Pending == 0 || len(out.Unknown) > 0) {
		return cli.Failure(errors.New(""), nothingHint(&r, out), cli.ExitShort)
	}
	return err
}

// nothingHint says which action would have changed something, when one on named mail did not, or not for each name.
func nothingHint(r *waiting.ActRequest, out waiting.ActResult) string {
	hint := "`postern queue list` shows what waits"
	switch {
	case out.TooLate > 0:
		hint = "`postern trace` shows how it ended"
	case r.Kind == waiting.Return:
		hint = "`postern queue list --state held` shows what is in quarantine"
	case r.Kind == queue.Retry:
		hint += "; held mail goes with `postern queue release`"
	case r.Rejudge:
		hint = "nothing of it holds more than is in force; `postern queue show MESSAGE` says what each demands"
	case r.Kind == queue.Release && !r.Lower:
		hint += "; mail that is not held goes with `postern queue retry`"
	}
	return hint
}

// sayActed tells what an action did, and where to look how the rest ends.
func sayActed(a *cli.App, r *waiting.ActRequest, out waiting.ActResult) error {
	said := out.Say(r)
	_, err := fmt.Fprintln(a.Stdout, said[0])
	for _, line := range said[1:] {
		fmt.Fprintln(a.Stderr, "postern: "+line)
	}
	if len(out.PendingMessages) > 0 {
		fmt.Fprintln(a.Stderr, "postern: `postern queue show "+strings.Join(out.PendingMessages, " ")+
			"` tells how it ended")
	}
	return err
}
