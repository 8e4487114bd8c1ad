package datafolder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/process"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/platform/ram"
	"postern/internal/queue"
	"postern/internal/queue/sqlstore"
)

// Cmd is the verbs that work on the data folder itself, without a gateway.
type Cmd struct {
	Waiting waitingCmd `cmd:"" help:"Say how much mail waits in the data folder; exit code 1 when some does."`
	Salvage salvageCmd `cmd:"" help:"Bring what can be read of a damaged data folder into a state that the gateway starts with."`
	Copy    copyCmd    `cmd:"" help:"Move everything that is kept from the data folder into a PostgreSQL database, or back."`
	Reopen  reopenCmd  `cmd:"" help:"Have gateways start again on a store that was moved away by store copy."`
}

// waitingCmd counts what would be lost with the data folder. The package asks it before it deletes anything.
type waitingCmd struct{}

// Run counts, as the user that the gateway would run as. Where no store is there nothing waits, and none is made.
func (*waitingCmd) Run(a *cli.App) error {
	cfg, err := a.Load()
	if err != nil {
		return err
	}
	dir := string(cfg.Data)
	if cfg.Store.Shared() {
		_, err = fmt.Fprintf(a.Stdout, "no mail waits in %s: it is in %s\n", dir, cfg.Store.Shown())
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "queue.db")); errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(a.Stdout, "no mail waits: %s has no queue\n", dir)
		return err
	}
	if err := process.BecomeServant(cfg); err != nil {
		return err
	}
	plan := rooms.MemoryPlan(cfg, ram.System())
	s, err := Open(a.Ctx, cfg, &plan, func(err error) { fmt.Fprintf(a.Stderr, "warning: %v\n", err) })
	if errors.Is(err, queue.ErrMoved) {
		_, err = fmt.Fprintf(a.Stdout, "no mail waits in %s: everything was moved\n", dir)
	}
	if s == nil {
		return err
	}
	stats, err := s.Stats(a.Ctx)
	if err = errors.Join(err, s.Close()); err != nil {
		return fmt.Errorf("cannot count the mail in %s: %w", dir, err)
	}
	n := 0
	for state, count := range stats.States {
		if state.Waiting() {
			n += int(count)
		}
	}
	if n > 0 {
		return cli.Short(fmt.Sprintf("%s waiting in %s", cli.Plural(n, "delivery"), dir))
	}
	_, err = fmt.Fprintf(a.Stdout, "no mail waits in %s\n", dir)
	return err
}

// salvageCmd mends a damaged data folder as far as it can be read.
type salvageCmd struct {
	JSON bool `name:"json" help:"Print what was found and done as JSON."`
}

// Run salvages. It runs as the user that the gateway would run as, so that what it makes is that user's.
func (c *salvageCmd) Run(a *cli.App) error {
	cfg, err := a.Load()
	if err != nil {
		return err
	}
	if cfg.Store.Shared() {
		return cli.WithHint(fmt.Errorf("the mail is in %s, not in a data folder", cfg.Store.Shown()),
			"a damaged database is restored from its backup, or its standby takes its place")
	}
	dir := string(cfg.Data)
	if err := servant(cfg); err != nil {
		return err
	}
	r, err := sqlstore.Salvage(a.Ctx, sqlstore.Config{Dir: dir})
	if err != nil {
		return salvageHint(err, dir)
	}
	if c.JSON {
		return json.NewEncoder(a.Stdout).Encode(salvagedForm(r))
	}
	showSalvaged(a, r, dir)
	return nil
}

// salvageHint says what can be done where nothing can be salvaged.
func salvageHint(err error, dir string) error {
	if errors.Is(err, queue.ErrDamaged) {
		return cli.WithHint(fmt.Errorf("cannot salvage %s: %w", dir, err),
			"put a good copy of queue.db in its place, or rebuild it with SQLite: sqlite3 queue.db .recover | "+
				"sqlite3 new.db; then `postern store salvage` again")
	}
	return openHint(err, dir)
}

func showSalvaged(a *cli.App, r *sqlstore.Salvaged, dir string) {
	if len(r.Damage) == 0 {
		fmt.Fprintf(a.Stdout, "Nothing is damaged in %s, and nothing was changed.\n", dir)
		return
	}
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintln(a.Stdout, title)
		for _, line := range lines {
			fmt.Fprintln(a.Stdout, "  "+line)
		}
	}
	list("Damaged in "+dir+":", r.Damage)
	fmt.Fprintf(a.Stdout, "Recovered: %s from the journal, of which %d wait. One whose delivery was recorded in "+
		"what is lost is sent again.\n",
		cli.Plural(r.Recovered, "message"), r.Waiting)
	fmt.Fprintf(a.Stdout, "Lost: %s.\n", r.Loss())
	if r.Unreadable > 0 {
		fmt.Fprintf(a.Stdout, "Not understood: %s, whole by their checksums.\n", cli.Plural(r.Unreadable, "record"))
	}
	list("Kept:", r.Aside)
	fmt.Fprintln(a.Stdout, "The gateway starts with this: postern serve")
}

// salvagedJSON is the outcome as it is printed with --json.
type salvagedJSON struct {
	Damage     []string `json:"damage"`
	Recovered  int      `json:"recovered"`
	Waiting    int      `json:"waiting"`
	Missing    int64    `json:"missing"`
	After      string   `json:"missing_after,omitempty"`
	Before     string   `json:"missing_before,omitempty"`
	Unreadable int      `json:"unreadable"`
	Kept       []string `json:"kept"`
}

func salvagedForm(r *sqlstore.Salvaged) salvagedJSON {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	return salvagedJSON{Damage: append([]string{}, r.Damage...), Recovered: r.Recovered, Waiting: r.Waiting,
		Missing: r.Missing,
		After:   at(r.After), Before: at(r.Before), Unreadable: r.Unreadable, Kept: append([]string{}, r.Aside...)}
}
