package operate

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
)

// ReloadCmd is the verb that has the files read again.
type ReloadCmd struct{ remote.Gateway }

// Run asks the gateway and waits for its answer. What was not taken is a failure, and says why; what was taken and is
// wrong is told, and exit code 1.
func (c *ReloadCmd) Run(a *cli.App) error {
	client, err := c.Dial(a)
	if told, ok := errors.AsType[*cli.Error](err); ok { // who cannot read it need not ask
		told.Err = fmt.Errorf("nothing was read again; what was read before stays in force: %w", told.Err)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	out, err := client.Reload(a.Ctx)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == http.StatusConflict {
		return cli.WithHint(p, p.Hint)
	}
	if err != nil {
		return remote.Tell(err)
	}
	if c.JSON {
		if err := a.Object(out); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(a.Stdout, "the configuration and its files were read again and are in force")
		if len(out.NeedRestart) > 0 {
			fmt.Fprintf(a.Stdout, "changed, and in force after a restart: %s\n", strings.Join(out.NeedRestart, ", "))
		}
		sayWaiting(a, out.Waiting, "is demanded now", "postern queue release --rejudge [DOMAIN | MESSAGE ...]")
	}
	for _, f := range out.Faults {
		fmt.Fprintf(a.Stderr, "problem: %s: %s\n", f.Key, f.Text)
		if f.Hint != "" {
			fmt.Fprintf(a.Stderr, "      hint: %s\n", f.Hint)
		}
	}
	if len(out.Faults) > 0 {
		return cli.Short("")
	}
	return nil
}
