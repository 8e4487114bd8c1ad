package main

import (
	"fmt"
	"io"
	"strings"

	"postern/bench/measure"
	"postern/bench/rig"
)

// each lists one figure of all rounds.
func (o Outcome) each(figure func(Round) float64) []float64 {
	var out []float64
	for _, r := range o.Rounds {
		out = append(out, figure(r))
	}
	return out
}

// median is the middle of one figure of all rounds.
func (o Outcome) median(figure func(Round) float64) float64 { return measure.Median(o.each(figure)) }

func rate(r Round) float64 { return r.Rate }
func cpu(r Round) float64  { return r.CPU }

// rate that processors alone would set, source and sink included
func allowed(r Round) float64     { return 1 / (r.CPU + r.Harness) }
func harness(r Round) float64     { return r.Harness }
func reply50(r Round) float64     { return r.Reply50 }
func reply99(r Round) float64     { return r.Reply99 }
func whole50(r Round) float64     { return r.Whole50 }
func whole99(r Round) float64     { return r.Whole99 }
func memory(r Round) float64      { return r.Memory }
func calibration(r Round) float64 { return r.Calibration }
func foreign(r Round) float64     { return r.Foreign }

// ratio is one figure of a contestant as a multiple of another's; false when one of them has none.
func (c Comparison) ratio(name, to string, figure func(Round) float64) (float64, bool) {
	a, okA := c.find(name)
	b, okB := c.find(to)
	if !okA || !okB || b.median(figure) == 0 {
		return 0, false
	}
	return a.median(figure) / b.median(figure), true
}

// base is what the others are held against: Postfix, or Postern without whatever the topic is about.
func (c Comparison) base() string {
	if c.Topic == "servers" {
		return rig.Postfix
	}
	return c.Outcomes[0].Name
}

// row is one line of a table, for the terminal and for the page.
func (c Comparison) row(o Outcome) []string {
	if len(o.Rounds) == 0 {
		return []string{o.Name, "not measured: " + o.reason()}
	}
	second := "-"
	if v, ok := c.ratio(o.Name, rig.Null, rate); ok {
		second = fmt.Sprintf("%.2f", v)
	}
	first := "-"
	if v, ok := c.ratio(o.Name, c.base(), rate); ok {
		first = fmt.Sprintf("%.2f", v)
	}
	return []string{o.Name, fmt.Sprintf("%.0f", o.median(rate)), fmt.Sprintf("%.0f", 50*measure.Spread(o.each(rate))),
		first, second,
		fmt.Sprintf("%.0f", o.median(cpu)), fmt.Sprintf("%.1f", o.median(reply50)),
		fmt.Sprintf("%.1f", o.median(reply99)), fmt.Sprintf("%.0f", o.median(memory))}
}

// reason shortens why there is no figure.
func (o Outcome) reason() string {
	if len(o.Failed) > 200 {
		return o.Failed[:200] + "..."
	}
	return o.Failed
}

func (c Comparison) header() []string {
	return []string{"", "msg/s", "±%", "x " + strings.TrimPrefix(c.base(), rig.Postern+", "), "x null", "CPU µs",
		"250 p50", "250 p99", "MiB"}
}

// noise says in one line how steady the machine was.
func (c *Comparison) noise() string {
	var calibrations, harnesses []float64
	for _, o := range c.Outcomes {
		calibrations = append(calibrations, o.each(calibration)...)
		harnesses = append(harnesses, o.each(harness)...)
	}
	return fmt.Sprintf("others %.0f %%; calibration %.0f ms ± %.0f %%; source and sink %.0f µs",
		100*c.crowd(), measure.Median(calibrations), 100*measure.Spread(calibrations), measure.Median(harnesses))
}

// print writes the comparison as a table of at most 80 columns.
func (c *Comparison) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", c.Work)
	widths := []int{-19, 6, 5, 13, 7, 7, 8, 8, 6}
	line := func(cells []string) {
		for i, cell := range cells {
			fmt.Fprintf(w, "%*s", widths[i], cell)
		}
		fmt.Fprintln(w)
	}
	line(c.header())
	for _, o := range c.Outcomes {
		if len(o.Rounds) == 0 {
			fmt.Fprintf(w, "%-20s%.58s\n", o.Name, c.row(o)[1])
			continue
		}
		line(c.row(o))
	}
	fmt.Fprintf(w, "(%s)\n", c.noise())
}
