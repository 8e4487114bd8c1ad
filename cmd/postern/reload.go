package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"postern/internal/operator/api"
)

// reloadCmd is the verb that has the files read again.
type reloadCmd struct{ remote }

// Run asks the gateway and waits for its answer. What was not taken is a failure, and says why; what was taken and is wrong
// is told, and exit code 1.
func (c *reloadCmd) Run(a *app) error {
	client, err := c.client(a)
	if told, ok := errors.AsType[*sayError](err); ok { // who cannot read it need not ask
		told.err = fmt.Errorf("nothing was read again; what was read before stays in force: %w", told.err)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	out, err := client.Reload(a.ctx)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == http.StatusConflict {
		return withHint(p, p.Hint)
	}
	if err != nil {
		return tell(err)
	}
	if c.JSON {
		if err := a.object(out); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(a.stdout, "the configuration and its files were read again and are in force")
		if len(out.NeedRestart) > 0 {
			fmt.Fprintf(a.stdout, "changed, and in force after a restart: %s\n", strings.Join(out.NeedRestart, ", "))
		}
		a.sayWaiting(out.Waiting, "is demanded now", "postern queue release --rejudge [DOMAIN | MESSAGE ...]")
	}
	for _, f := range out.Faults {
		fmt.Fprintf(a.stderr, "problem: %s: %s\n", f.Key, f.Text)
		if f.Hint != "" {
			fmt.Fprintf(a.stderr, "      hint: %s\n", f.Hint)
		}
	}
	if len(out.Faults) > 0 {
		return short("")
	}
	return nil
}

// reloaded remembers how the last reload, or the start, ended. Safe for concurrent use.
type reloaded struct {
	mu   sync.Mutex
	good bool
	at   time.Time
}

func (r *reloaded) note(good bool, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.good, r.at = good, at
}

// last is how the last reload ended, and when.
func (r *reloaded) last() (good bool, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.good, r.at
}
