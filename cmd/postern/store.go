package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"postern/internal/config"
	"postern/internal/operator/api"
	"postern/internal/platform/ram"
	"postern/internal/queue"
	"postern/internal/queue/sqlstore"
)

// openStore opens the data folder. It is asked first whether a gateway answers there: whoever holds the folder without a
// lock that we can see still answers.
func openStore(ctx context.Context, cfg *config.Config, plan *ram.Plan, warn func(error)) (*sqlstore.Store, error) {
	dir := string(cfg.Data)
	if err := api.Asked(cfg.Socket()); err != nil {
		return nil, openHint(fmt.Errorf("%w: %w", queue.ErrInUse, err), dir)
	}
	s, err := sqlstore.Open(ctx, sqlstore.Config{Dir: dir, Young: plan.Young, DraftMemory: plan.Content / 2, Cache: plan.Cache, Warn: warn})
	if err != nil {
		return nil, openHint(err, dir)
	}
	return s, nil
}

// openHint says what can be done about a data folder that does not open.
func openHint(err error, dir string) error {
	switch {
	case errors.Is(err, queue.ErrInUse):
		return withHint(fmt.Errorf("another gateway uses the data folder %s", dir), "stop it first, or set another `data` in the configuration")
	case errors.Is(err, queue.ErrNewerForm):
		return withHint(err, "install the release that wrote it, or a newer one; this one changes nothing")
	case errors.Is(err, queue.ErrDamaged):
		return withHint(fmt.Errorf("the mail in %s is damaged, and the gateway does not start: %w", dir, err),
			"put a good copy of the whole folder in its place, or `postern store salvage` to go on with what can be read; it keeps the damaged files")
	}
	return fmt.Errorf("cannot open the queue in %s: %w", dir, err)
}

// storeCmd is the verbs that work on the data folder itself, without a gateway.
type storeCmd struct {
	Waiting waitingCmd `cmd:"" help:"Say how much mail waits in the data folder; exit code 1 when some does."`
	Salvage salvageCmd `cmd:"" help:"Bring what can be read of a damaged data folder into a state that the gateway starts with."`
}

// waitingCmd counts what would be lost with the data folder. The package asks it before it deletes anything.
type waitingCmd struct{}

// Run counts, as the user that the gateway would run as. Where no store is there nothing waits, and none is made.
func (*waitingCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	dir := string(cfg.Data)
	if _, err := os.Stat(filepath.Join(dir, "queue.db")); errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(a.stdout, "no mail waits: %s has no queue\n", dir)
		return err
	}
	if err := becomeServant(cfg); err != nil {
		return err
	}
	plan := memoryPlan(cfg, ram.System())
	s, err := openStore(a.ctx, cfg, &plan, func(err error) { fmt.Fprintf(a.stderr, "warning: %v\n", err) })
	if err != nil {
		return err
	}
	stats, err := s.Stats(a.ctx)
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
		return short(fmt.Sprintf("%s waiting in %s", plural(n, "delivery"), dir))
	}
	_, err = fmt.Fprintf(a.stdout, "no mail waits in %s\n", dir)
	return err
}

// salvageCmd mends a damaged data folder as far as it can be read.
type salvageCmd struct {
	JSON bool `name:"json" help:"Print what was found and done as JSON."`
}

// Run salvages. It runs as the user that the gateway would run as, so that what it makes is that user's.
func (c *salvageCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	dir := string(cfg.Data)
	if err := api.Asked(cfg.Socket()); err != nil {
		return salvageHint(fmt.Errorf("%w: %w", queue.ErrInUse, err), dir)
	}
	if err := becomeServant(cfg); err != nil {
		return err
	}
	r, err := sqlstore.Salvage(a.ctx, sqlstore.Config{Dir: dir})
	if err != nil {
		return salvageHint(err, dir)
	}
	if c.JSON {
		return json.NewEncoder(a.stdout).Encode(salvagedForm(r))
	}
	a.showSalvaged(r, dir)
	return nil
}

// salvageHint says what can be done where nothing can be salvaged.
func salvageHint(err error, dir string) error {
	if errors.Is(err, queue.ErrDamaged) {
		return withHint(fmt.Errorf("cannot salvage %s: %w", dir, err),
			"put a good copy of queue.db in its place, or rebuild it with SQLite: sqlite3 queue.db .recover | sqlite3 new.db; then `postern store salvage` again")
	}
	return openHint(err, dir)
}

func (a *app) showSalvaged(r *sqlstore.Salvaged, dir string) {
	if len(r.Damage) == 0 {
		fmt.Fprintf(a.stdout, "Nothing is damaged in %s, and nothing was changed.\n", dir)
		return
	}
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintln(a.stdout, title)
		for _, line := range lines {
			fmt.Fprintln(a.stdout, "  "+line)
		}
	}
	list("Damaged in "+dir+":", r.Damage)
	fmt.Fprintf(a.stdout, "Recovered: %s from the journal, of which %d wait. One whose delivery was recorded in what is lost is sent again.\n",
		plural(r.Recovered, "message"), r.Waiting)
	fmt.Fprintf(a.stdout, "Lost: %s.\n", r.Loss())
	if r.Unreadable > 0 {
		fmt.Fprintf(a.stdout, "Not understood: %s, whole by their checksums.\n", plural(r.Unreadable, "record"))
	}
	list("Kept:", r.Aside)
	fmt.Fprintln(a.stdout, "The gateway starts with this: postern serve")
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
	return salvagedJSON{Damage: append([]string{}, r.Damage...), Recovered: r.Recovered, Waiting: r.Waiting, Missing: r.Missing,
		After: at(r.After), Before: at(r.Before), Unreadable: r.Unreadable, Kept: append([]string{}, r.Aside...)}
}
