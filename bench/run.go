package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"postern/bench/rig"
)

// common are the flags that several commands have.
type common struct {
	postern string
	json    string
	quiet   bool
}

func (c *common) register(f *flag.FlagSet) {
	f.StringVar(&c.postern, "postern", "", "path of Postern's binary; empty: built from this tree")
	f.StringVar(&c.json, "json", "", "file to write every figure to")
	f.BoolVar(&c.quiet, "quiet", false, "say nothing until the end")
}

// parse reads the flags of a command, which takes no other arguments.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	return nil
}

// with calls do with everything that runs need, and clears it away afterwards.
func (c common) with(ctx context.Context, do func(*bench) error) error {
	binary, clean, err := posternBinary(ctx, c.postern)
	if err != nil {
		return err
	}
	defer clean()
	b, err := newBench(binary)
	if err != nil {
		return err
	}
	defer b.close()
	b.silent = c.quiet
	return do(b)
}

func runCommand(ctx context.Context, args []string) error {
	var c common
	var w Work
	p := pace{rounds: 3, duration: 4 * time.Second}
	f := newFlags("run")
	c.register(f)
	only := f.String("only", strings.Join(rig.Kinds(), ","), "which servers")
	rules := f.Int("rules", 0, "rules in force, none of which matches; Postern only")
	p.register(f)
	f.IntVar(&p.messages, "messages", 0, "messages of a round; 0: as many as take about -time")
	f.IntVar(&w.Size, "size", 4096, "bytes of a message")
	f.BoolVar(&w.TLS, "tls", false, "TLS on both hops")
	f.IntVar(&w.PerConnection, "per-connection", 10, "messages a connection")
	f.IntVar(&w.Connections, "connections", 32, "connections at a time")
	f.IntVar(&w.Recipients, "recipients", 1, "recipients of a message")
	f.IntVar(&w.Domains, "domains", 1, "domains of the recipients")
	f.IntVar(&w.Hops, "hops", 0, "next hops, one for each of as many domains; 0: one for all")
	if err := parse(f, args); err != nil {
		return err
	}
	w.Domains = max(w.Domains, w.Hops)
	if err := w.check(); err != nil {
		return err
	}
	who := plainContestants(strings.Split(*only, ",")...)
	for i := range who {
		if who[i].Kind == rig.Postern || who[i].Kind == rig.Shared {
			who[i].Rules = *rules
		}
	}
	return c.with(ctx, func(b *bench) error {
		comparison, err := b.compare(ctx, "servers", w, who, p)
		if err != nil {
			return err
		}
		comparison.print(os.Stdout)
		return writeJSON(c.json, comparison)
	})
}

// writeJSON writes a value to a file; "" is nowhere.
func writeJSON(path string, value any) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(value, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
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
