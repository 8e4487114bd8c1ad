package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"postern/bench/rig"
)

// Contestant is a server in the form in which it takes part.
type Contestant struct {
	// Name in tables; the kind where there is only one of it.
	Name string `json:"name"`
	// Kind is one of rig.Kinds.
	Kind string `json:"kind"`
	// Rules in force, none of which matches; Postern only.
	Rules int `json:"rules,omitempty"`
	// Folder of data that is there already; Postern only.
	Folder string `json:"-"`
	// Store is the address of a PostgreSQL with its mail, whose processes are not counted as its own; Postern only.
	Store string `json:"-"`
	// Settings of the configuration, by which mail goes where DNS says; nil: it goes by a route. Postern only.
	Settings map[string]string `json:"-"`
}

// plainContestants are servers under their own names.
func plainContestants(kinds ...string) []Contestant {
	var out []Contestant
	for _, kind := range kinds {
		out = append(out, Contestant{Name: kind, Kind: kind})
	}
	return out
}

// Comparison is what all contestants did with one kind of work, in turn.
type Comparison struct {
	// Topic says what differs: "servers", "rules", "waiting", "history" or "published".
	Topic    string    `json:"topic"`
	Work     Work      `json:"work"`
	Outcomes []Outcome `json:"outcomes"`
}

// Outcome is what one contestant did. Failed says why there is no figure.
type Outcome struct {
	Contestant
	Rounds []Round `json:"rounds,omitempty"`
	Failed string  `json:"failed,omitempty"`
	// Started is how many seconds it took until it answered.
	Started float64 `json:"started_s"`
}

// pace says how long to measure.
type pace struct {
	rounds   int
	duration time.Duration // of a round
	messages int           // of a round; 0: as many as take about duration
}

func (p *pace) register(f *flag.FlagSet) {
	f.IntVar(&p.rounds, "rounds", p.rounds, "rounds of each contestant, in turn")
	f.DurationVar(&p.duration, "time", p.duration, "how long a round should take")
}

// warmUp is how many messages each contestant gets before anything is measured.
const warmUp = 96

// size is how many messages a round should have.
func (p pace) size(rate float64) int {
	if p.messages > 0 {
		return p.messages
	}
	return min(max(int(rate*p.duration.Seconds()), warmUp/3), 200_000)
}

// compare starts all contestants and puts them through the work in turn, round by round; each round begins with another
// one. Who is not at work is idle meanwhile.
func (b *bench) compare(ctx context.Context, topic string, w Work, who []Contestant, p pace) (Comparison, error) {
	c := Comparison{Topic: topic, Work: w}
	servers := make([]*rig.Server, len(who))
	sizes := make([]int, len(who))
	for i, contestant := range who {
		c.Outcomes = append(c.Outcomes, Outcome{Contestant: contestant})
		s, err := b.start(ctx, contestant, w)
		if err == nil {
			defer s.Stop()
			var r Round
			if r, err = b.round(ctx, s, w, max(warmUp/w.Recipients, w.Connections)); err == nil {
				servers[i], sizes[i], c.Outcomes[i].Started = s, p.size(r.Rate), s.Started.Seconds()
			}
		}
		if err != nil {
			c.Outcomes[i].Failed = err.Error()
		}
	}
	for k := range p.rounds {
		for j := range who {
			i := (j + k) % len(who)
			if servers[i] == nil {
				continue
			}
			r, err := b.round(ctx, servers[i], w, sizes[i])
			if ctx.Err() != nil {
				return c, ctx.Err()
			}
			if err != nil {
				c.Outcomes[i].Failed, servers[i] = err.Error(), nil
				continue
			}
			c.Outcomes[i].Rounds, sizes[i] = append(c.Outcomes[i].Rounds, r), p.size(r.Rate)
			b.progress("%-24s %7.0f/s %7.0f us CPU, %d messages\n", who[i].Name, r.Rate, r.CPU, r.Messages)
		}
	}
	return c, ctx.Err()
}

// progress tells somebody who watches; the results go to standard output.
func (b *bench) progress(format string, args ...any) {
	if !b.silent {
		fmt.Fprintf(os.Stderr, format, args...)
	}
}

// find returns the outcome of a name; false when it has no figures.
func (c Comparison) find(name string) (Outcome, bool) {
	i := slices.IndexFunc(c.Outcomes, func(o Outcome) bool { return o.Name == name })
	if i < 0 {
		return Outcome{}, false
	}
	return c.Outcomes[i], len(c.Outcomes[i].Rounds) > 0
}
