package operate

import (
	"fmt"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/internal/operator/admin"
)

// sayArrival prints what rules about incoming mail make of it where others bring it.
func sayArrival(a *cli.App, e *admin.ExplainedArrival) {
	if e == nil {
		return
	}
	if e.Relays {
		fmt.Fprintln(a.Stdout, "the client may relay: rules about incoming mail are not about it")
		return
	}
	fmt.Fprintf(a.Stdout, "brought by others, it must come in with %s\n", e.Requires.Demand())
	for _, p := range e.Demands {
		label := "Demand"
		if p.Test {
			label = "Would demand"
		}
		a.Detail("  ", label, p.Demand+" ("+strings.Join(p.Rules, ", ")+")")
	}
	switch {
	case e.Refused:
		a.Detail("  ", "Refused", e.Reply)
	case e.Judged:
		a.Detail("  ", "Taken", "it meets what is demanded")
	default:
		a.Detail("  ", "Not judged", "--tls says what it comes with")
	}
	a.Detail("  ", "Would refuse", strings.Join(e.Trials, ", "))
	sayRules(a, e.Rules)
}
