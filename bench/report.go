package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"postern/bench/measure"
)

// Report is everything a suite found out.
type Report struct {
	Date       time.Time `json:"date"`
	Processor  string    `json:"processor"`
	Processors int       `json:"processors"`
	Kernel     string    `json:"kernel"`
	Go         string    `json:"go"`
	Revision   string    `json:"revision"`
	Rounds     int       `json:"rounds"`
	RoundTime  float64   `json:"round_s"`

	Comparisons []Comparison `json:"comparisons"`
	Idle        []Idle       `json:"idle,omitempty"`
	Large       []Large      `json:"large,omitempty"`
	Searches    []Search     `json:"searches,omitempty"`
}

func newReport(p pace) *Report {
	r := &Report{Date: time.Now().UTC().Truncate(time.Second), Processor: measure.Model(), Processors: runtime.NumCPU(),
		Go: runtime.Version(), Rounds: p.rounds, RoundTime: p.duration.Seconds()}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		r.Kernel = strings.TrimSpace(string(text))
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		r.Revision = strings.TrimSpace(string(out))
	}
	return r
}

// comparison finds one by its topic and work; nil when it was not made.
func (r *Report) comparison(topic string, w Work) *Comparison {
	i := slices.IndexFunc(r.Comparisons, func(c Comparison) bool { return c.Topic == topic && c.Work == w })
	if i < 0 {
		return nil
	}
	return &r.Comparisons[i]
}

// print writes all tables for a terminal.
func (r *Report) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d processors, Linux %s, %s, revision %s\n", r.Processor, r.Processors, r.Kernel, r.Go,
		r.Revision)
	for _, c := range r.Comparisons {
		c.print(w)
	}
	for _, i := range r.Idle {
		fmt.Fprintf(w, "\n%s\n", i)
	}
	for _, l := range r.Large {
		fmt.Fprintf(w, "%s\n", l)
	}
	for _, s := range r.Searches {
		fmt.Fprintf(w, "%s\n", s)
	}
	fmt.Fprintf(w, "\n%-32s%-17s%-17s\n", "goal", "wanted", "measured")
	for _, g := range r.goals() {
		if g.measured {
			fmt.Fprintf(w, "%-32.31s%-17.16s%-17s%s\n", g.what, g.want, g.got, g.verdict())
		}
	}
}
