package main

import (
	"fmt"
	"io"

	"postern/bench/measure"
	"postern/bench/rig"
)

// median is the middle of one figure of all rounds.
func (o Outcome) median(figure func(Round) float64) float64 { return measure.Median(o.each(figure)) }

// spread is how far apart the rounds lie.
func (o Outcome) spread(figure func(Round) float64) float64 { return measure.Spread(o.each(figure)) }

func (o Outcome) each(figure func(Round) float64) []float64 {
	var out []float64
	for _, r := range o.Rounds {
		out = append(out, figure(r))
	}
	return out
}

func rate(r Round) float64        { return r.Rate }
func cpu(r Round) float64         { return r.CPU }
func harness(r Round) float64     { return r.Harness }
func reply50(r Round) float64     { return r.Reply50 }
func reply99(r Round) float64     { return r.Reply99 }
func memory(r Round) float64      { return r.Memory }
func calibration(r Round) float64 { return r.Calibration }
func foreign(r Round) float64     { return r.Foreign }

// print writes the comparison as a table of at most 80 columns.
func (c Comparison) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", c.Work)
	fmt.Fprintf(w, "%-10s%8s%6s%9s%8s%10s%9s%9s%8s\n", "", "msg/s", "+-%", "xPostfix", "xNull", "CPU us", "250 p50", "250 p99", "MiB")
	postfix, hasPostfix := c.find(rig.Postfix)
	null, hasNull := c.find(rig.Null)
	var calibrations, foreigns []float64
	for _, o := range c.Servers {
		if len(o.Rounds) == 0 {
			fmt.Fprintf(w, "%-10snot measured: %s\n", o.Kind, o.Failed)
			continue
		}
		fmt.Fprintf(w, "%-10s%8.0f%6.0f%9s%8s%10.0f%9.2f%9.2f%8.0f\n", o.Kind, o.median(rate), 50*o.spread(rate),
			ratio(o.median(rate), postfix.median(rate), hasPostfix), ratio(o.median(rate), null.median(rate), hasNull),
			o.median(cpu), o.median(reply50), o.median(reply99), o.median(memory))
		calibrations, foreigns = append(calibrations, o.each(calibration)...), append(foreigns, o.each(foreign)...)
	}
	fmt.Fprintf(w, "noise: calibration %.0f ms, spread %.0f %%; others took %.1f %% of the machine\n", measure.Median(calibrations),
		100*measure.Spread(calibrations), 100*measure.Median(foreigns))
}

func ratio(a, b float64, known bool) string {
	if !known || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}
