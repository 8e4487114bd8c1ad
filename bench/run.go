package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/bench/rig"
)

// options are the flags of run.
type options struct {
	only     string
	postern  string
	rounds   int
	messages int
	duration time.Duration
	work     Work
	json     string
}

func runCommand(ctx context.Context, args []string) error {
	var o options
	f := newFlags("run")
	f.StringVar(&o.only, "only", strings.Join(rig.Kinds(), ","), "which servers")
	f.StringVar(&o.postern, "postern", "", "path of Postern's binary; empty: built from this tree")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of each server, in turn")
	f.IntVar(&o.messages, "messages", 0, "messages of a round; 0: as many as take about -time")
	f.DurationVar(&o.duration, "time", 4*time.Second, "how long a round should take")
	f.IntVar(&o.work.Size, "size", 4096, "bytes of a message")
	f.BoolVar(&o.work.TLS, "tls", false, "TLS on both hops")
	f.IntVar(&o.work.PerConnection, "per-connection", 10, "messages a connection")
	f.IntVar(&o.work.Connections, "connections", 32, "connections at a time")
	f.IntVar(&o.work.Recipients, "recipients", 1, "recipients of a message")
	f.IntVar(&o.work.Domains, "domains", 1, "domains of the recipients")
	f.IntVar(&o.work.Rules, "rules", 0, "rules in force; Postern only")
	f.StringVar(&o.json, "json", "", "file to write everything to")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	binary, clean, err := posternBinary(ctx, o.postern)
	if err != nil {
		return err
	}
	defer clean()
	b, err := newBench(binary)
	if err != nil {
		return err
	}
	defer b.close()
	result, err := b.compare(ctx, o.work, strings.Split(o.only, ","), o)
	if err != nil {
		return err
	}
	result.print(os.Stdout)
	return nil
}

// posternBinary is the binary to test: the one given, or one built now.
func posternBinary(ctx context.Context, given string) (path string, clean func(), err error) {
	if given != "" {
		path, err = filepath.Abs(given)
		return path, func() {}, err
	}
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return "", nil, err
	}
	clean = func() { os.RemoveAll(dir) }
	path = filepath.Join(dir, "postern")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "postern/cmd/postern")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		clean()
		return "", nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, clean, nil
}

// Comparison is what all servers did with one kind of work.
type Comparison struct {
	Work    Work
	Servers []Outcome
}

// Outcome is what one server did. Failed says why there is no figure.
type Outcome struct {
	Kind   string  `json:"kind"`
	Rounds []Round `json:"rounds,omitempty"`
	Failed string  `json:"failed,omitempty"`
}

// warmUp is how many messages each server gets before anything is measured.
const warmUp = 96

// compare starts all servers and puts them through the work in turn, round by round.
func (b *bench) compare(ctx context.Context, w Work, kinds []string, o options) (Comparison, error) {
	c := Comparison{Work: w}
	servers := make([]*rig.Server, len(kinds))
	sizes := make([]int, len(kinds))
	for i, kind := range kinds {
		c.Servers = append(c.Servers, Outcome{Kind: kind})
		s, err := b.start(ctx, kind, w)
		if err != nil {
			c.Servers[i].Failed = err.Error()
			c.Servers[i].Failed = err.Error()
			continue
		}
		defer s.Stop()
		r, err := b.round(ctx, s, w, warmUp)
		if err != nil {
			c.Servers[i].Failed = err.Error()
			c.Servers[i].Failed = err.Error()
			continue
		}
		servers[i], sizes[i] = s, roundSize(r.Rate, o)
	}
	for range o.rounds {
		for i, s := range servers {
			if s == nil {
				continue
			}
			r, err := b.round(ctx, s, w, sizes[i])
			if ctx.Err() != nil {
				return c, ctx.Err()
			}
			if err != nil {
				c.Servers[i].Failed, servers[i] = err.Error(), nil
				continue
			}
			c.Servers[i].Rounds = append(c.Servers[i].Rounds, r)
			sizes[i] = roundSize(r.Rate, o)
			fmt.Fprintf(os.Stderr, "%-10s %7.0f/s  %6.0f us CPU  reply p50 %6.2f p99 %7.2f ms  %d messages\n", c.Servers[i].Kind, r.Rate, r.CPU, r.Reply50, r.Reply99, r.Messages)
		}
	}
	return c, ctx.Err()
}

// roundSize is how many messages a round should have.
func roundSize(rate float64, o options) int {
	if o.messages > 0 {
		return o.messages
	}
	return min(max(int(rate*o.duration.Seconds()), warmUp), 200_000)
}

// find returns a server's outcome.
func (c Comparison) find(kind string) (Outcome, bool) {
	i := slices.IndexFunc(c.Servers, func(o Outcome) bool { return o.Kind == kind })
	if i < 0 {
		return Outcome{}, false
	}
	return c.Servers[i], len(c.Servers[i].Rounds) > 0
}
