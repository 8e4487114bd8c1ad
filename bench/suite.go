package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"postern/bench/rig"
)

// entry is one comparison of a suite.
type entry struct {
	topic string
	work  Work
	who   []Contestant
}

// suite is a list of comparisons and how much of everything.
type suite struct {
	pace    pace
	entries []entry
	// sessions are idle TLS sessions; waiting and finished are deliveries in a store beforehand. 0: left out.
	sessions, waiting, sites, finished int
	shared                             bool // they are in PostgreSQL
	large                              bool
}

// shortSuite takes a few minutes; it needs no root but for Postfix.
func shortSuite() suite {
	all := plainContestants(rig.Postern, rig.Shared, rig.Postfix, rig.Null)
	s := suite{pace: pace{rounds: 3, duration: 2 * time.Second}, sessions: 1000, waiting: 20_000, sites: 1000,
		finished: 50_000, large: true}
	for _, change := range []func(*Work){
		func(*Work) {},
		func(w *Work) { w.TLS = false },
		func(w *Work) { w.PerConnection = 1 },
		func(w *Work) { w.Size = 64 << 10 },
		func(w *Work) { w.Size = 1 << 20 },
	} {
		w := ordinary()
		change(&w)
		s.entries = append(s.entries, entry{"servers", w, all})
	}
	s.entries = append(s.entries, entry{"rules", ordinary(), rulesContestants(10_000)})
	return s
}

// fullSuite is the whole matrix; it takes hours and needs root, and some ten gigabytes.
func fullSuite() suite {
	s := suite{pace: pace{rounds: 5, duration: 4 * time.Second}, sessions: 10_000, waiting: 1_000_000, sites: 10_000,
		finished: 10_000_000, large: true}
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		for _, tls := range []bool{true, false} {
			for _, perConnection := range []int{10, 1} {
				if perConnection == 1 && size > 4<<10 {
					continue // the handshake is the smaller part, and that is seen at 4 KiB
				}
				w := ordinary()
				w.Size, w.TLS, w.PerConnection = size, tls, perConnection
				s.entries = append(s.entries, entry{"servers", w, everybody(w)})
			}
		}
	}
	for _, change := range []func(*Work){
		func(w *Work) { w.Domains = 1000 },
		func(w *Work) { w.Recipients = 50 },
		func(w *Work) { w.Domains, w.Hops = 1000, 1000 },
	} {
		w := ordinary()
		change(&w)
		s.entries = append(s.entries, entry{"servers", w, everybody(w)})
	}
	s.entries = append(s.entries, entry{"rules", ordinary(), rulesContestants(100, 10_000)})
	return s
}

// everybody are all servers that can do a kind of work. OpenSMTPD of Debian 12 breaks every TLS handshake as a server
// (test/peers), and as a client it waits 40 ms for each message, so that it takes part where it can show most: once.
func everybody(w Work) []Contestant {
	plain := ordinary()
	plain.TLS = false
	if w == plain {
		return plainContestants(rig.Kinds()...)
	}
	return plainContestants(rig.Postern, rig.Shared, rig.Postfix, rig.Exim, rig.Null)
}

func rulesContestants(numbers ...int) []Contestant {
	out := []Contestant{{Name: "no rules", Kind: rig.Postern}}
	for _, n := range numbers {
		out = append(out, Contestant{Name: fmt.Sprintf("%d rules", n), Kind: rig.Postern, Rules: n})
	}
	return out
}

// suiteCommand runs a suite, prints its tables and writes them down.
func suiteCommand(ctx context.Context, name string, args []string) error {
	s := shortSuite()
	if name == "full" {
		s = fullSuite()
	}
	var c common
	f := newFlags(name)
	c.register(f)
	s.pace.register(f)
	docs := f.String("docs", "", "folder of performance.md, whose tables and plots are made anew; empty: leave it")
	f.IntVar(&s.sessions, "sessions", s.sessions, "idle TLS sessions; 0: leave out")
	f.IntVar(&s.waiting, "waiting", s.waiting, "deferred deliveries; 0: leave out")
	f.IntVar(&s.sites, "sites", s.sites, "sites they are spread over")
	f.IntVar(&s.finished, "finished", s.finished, "finished deliveries; 0: leave out")
	if err := parse(f, args); err != nil {
		return err
	}
	return c.with(ctx, func(b *bench) error {
		report, err := b.suite(ctx, s)
		report.print(os.Stdout)
		if failed := writeJSON(c.json, report); failed != nil {
			return failed
		}
		if err == nil && *docs != "" {
			err = writePage(*docs, report)
		}
		return err
	})
}

// partCommand runs one of the parts of a suite that are no comparison of servers.
func partCommand(ctx context.Context, name string, args []string) error {
	full, s := fullSuite(), suite{pace: shortSuite().pace}
	var c common
	f := newFlags(name)
	c.register(f)
	s.pace.register(f)
	switch name {
	case "idle":
		f.IntVar(&s.sessions, "sessions", full.sessions, "idle TLS sessions")
	case "large":
		s.large = true
	case "waiting":
		f.IntVar(&s.waiting, "n", full.waiting, "deferred deliveries")
		f.IntVar(&s.sites, "sites", full.sites, "sites they are spread over")
	case "history":
		f.IntVar(&s.finished, "n", full.finished, "finished deliveries")
	}
	if name != "idle" {
		f.BoolVar(&s.shared, "postgres", false, "the queue is in PostgreSQL, whose processes are not counted")
	}
	if err := parse(f, args); err != nil {
		return err
	}
	return c.with(ctx, func(b *bench) error {
		report := newReport(s.pace)
		if err := b.extras(ctx, s, report); err != nil {
			return err
		}
		report.print(os.Stdout)
		return writeJSON(c.json, report)
	})
}

// suite runs everything. What was measured before an error is in the report.
func (b *bench) suite(ctx context.Context, s suite) (*Report, error) {
	report := newReport(s.pace)
	for _, e := range s.entries {
		b.progress("== %s\n", e.work)
		c, err := b.compare(ctx, e.topic, e.work, e.who, s.pace)
		report.Comparisons = append(report.Comparisons, c)
		if err != nil {
			return report, err
		}
	}
	return report, b.extras(ctx, s, report)
}
