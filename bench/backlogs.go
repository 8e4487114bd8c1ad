package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"postern/bench/backlog"
	"postern/bench/measure"
	"postern/bench/rig"
	"postern/internal/lab/postgres"
)

// Search is how long a question about history takes.
type Search struct {
	By string `json:"by"`
	// MS is milliseconds of `postern trace` as a process, its start and its output included; the median of several.
	MS float64 `json:"ms"`
	// Finished deliveries there were.
	Finished int `json:"finished"`
}

// String is a line for people.
func (s Search) String() string {
	return fmt.Sprintf("trace by %s in %d finished deliveries: %.0f ms", s.By, s.Finished, s.MS)
}

// backlogs measures beside an empty queue one with much waiting, at one site and spread, and one with much behind it.
func (b *bench) backlogs(ctx context.Context, s suite, report *Report) error {
	empty := Contestant{Name: "empty queue", Kind: rig.Postern}
	if s.shared && s.waiting+s.finished > 0 {
		clean, err := b.fill(ctx, &empty, backlog.Config{}, true)
		if err != nil {
			return err
		}
		defer clean()
	}
	if s.waiting > 0 {
		who := []Contestant{empty}
		for _, sites := range []int{1, s.sites} {
			c := Contestant{Name: fmt.Sprintf("%s at %d", short(s.waiting), sites), Kind: rig.Postern}
			clean, err := b.fill(ctx, &c, backlog.Config{Waiting: s.waiting, Sites: sites}, s.shared)
			if err != nil {
				return err
			}
			defer clean()
			who = append(who, c)
		}
		c, err := b.compare(ctx, "waiting", ordinary(), who, s.pace)
		report.Comparisons = append(report.Comparisons, c)
		if err != nil {
			return err
		}
	}
	if s.finished == 0 {
		return nil
	}
	old := Contestant{Name: short(s.finished) + " finished", Kind: rig.Postern}
	clean, err := b.fill(ctx, &old, backlog.Config{Finished: s.finished}, s.shared)
	if err != nil {
		return err
	}
	defer clean()
	c, err := b.compare(ctx, "history", ordinary(), []Contestant{empty, old}, s.pace)
	report.Comparisons = append(report.Comparisons, c)
	if err == nil {
		report.Searches, err = b.searches(ctx, old, s.finished)
	}
	return err
}

// short writes a large number: "10M", "20k".
func short(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

// fill makes a contestant's folder, and moves what is in it to a PostgreSQL of its own where the queue is shared. What
// it returns removes them.
func (b *bench) fill(ctx context.Context, c *Contestant, what backlog.Config, shared bool) (clean func(), err error) {
	dir, err := os.MkdirTemp("", "postern-bench-backlog-")
	if err != nil {
		return nil, err
	}
	clean = func() { os.RemoveAll(dir) }
	start := time.Now()
	what.Now = start
	data := filepath.Join(dir, "data")
	if err = os.Mkdir(data, 0o700); err == nil {
		err = backlog.Fill(ctx, data, what)
	}
	if err != nil {
		clean()
		return nil, err
	}
	c.Folder = dir
	if shared {
		stop, err := b.move(ctx, c)
		if err != nil {
			clean()
			return nil, err
		}
		removes := clean
		clean = func() { stop(); removes() }
	}
	b.progress("== %s, made in %v\n", c.Name, time.Since(start).Round(time.Second))
	return clean, nil
}

// move has a contestant's mail in a new PostgreSQL.
func (b *bench) move(ctx context.Context, c *Contestant) (stop func(), err error) {
	db, err := postgres.Start(rig.PostgresTuning()...)
	if err != nil {
		return nil, err
	}
	stop = func() { _ = db.Stop() } // it goes with its folder
	conf := filepath.Join(c.Folder, "postern.toml")
	err = os.WriteFile(conf, []byte("hostname = \"gw.test\"\ndata = \"data\"\n"), 0o600)
	if err == nil {
		copied := exec.CommandContext(ctx, b.postern, "store", "copy", "--config", conf, "--to", db.Local())
		if out, failed := copied.CombinedOutput(); failed != nil {
			err = fmt.Errorf("postern store copy: %w: %.1000s", failed, out)
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	c.Store = db.Local()
	return stop, nil
}

// searches asks a gateway with a history.
func (b *bench) searches(ctx context.Context, c Contestant, finished int) ([]Search, error) {
	s, err := b.start(ctx, c, ordinary())
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	day := time.Now().UTC().Add(-24 * time.Hour).Format(time.DateOnly)
	var out []Search
	for _, q := range []struct {
		by   string
		args []string
	}{
		{"recipient", []string{"--recipient", "user7919@partner10.test"}}, // message 1, its first recipient
		{"message-id", []string{"--message-id",
			backlog.MessageID(fmt.Sprintf("finished%d", finished/backlog.Recipients/2))}},
		{"day", []string{"--since", day, "--limit", "100"}}, // a page of it
	} {
		var took []float64
		for range 7 {
			start := time.Now()
			args := append([]string{"trace", "--json", "--config", filepath.Join(c.Folder, "postern.toml")}, q.args...)
			text, err := exec.CommandContext(ctx, b.postern, args...).Output()
			if err != nil {
				return nil, fmt.Errorf("postern trace by %s: %w", q.by, err)
			}
			if len(text) == 0 {
				return nil, fmt.Errorf("postern trace by %s found nothing", q.by)
			}
			took = append(took, ms(time.Since(start)))
		}
		out = append(out, Search{q.by, measure.Median(took), finished})
	}
	return out, nil
}
