package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"postern/bench/rig"
)

// bar is one bar of a plot, with how far its rounds lie apart.
type bar struct {
	name             string
	value, low, high float64
}

// group is the bars of one kind of work.
type group struct {
	label string
	bars  []bar
}

// ratePlot shows the relay rates of all servers, cpuPlot the processor time of a message.
func (r *Report) ratePlot() string {
	return plot("Messages relayed a second, end to end (more is better; logarithmic)", r.groups(rate))
}

func (r *Report) cpuPlot() string {
	return plot("Processor time of a relayed message, µs (less is better; logarithmic)", r.groups(cpu))
}

func (r *Report) groups(figure func(Round) float64) []group {
	var out []group
	for _, c := range r.Comparisons {
		if c.Topic != "servers" {
			continue
		}
		g := group{label: c.Work.String()}
		for _, o := range c.Outcomes {
			if values := o.each(figure); len(values) > 0 {
				g.bars = append(g.bars, bar{o.Name, o.median(figure), slices.Min(values), slices.Max(values)})
			}
		}
		out = append(out, g)
	}
	return out
}

// color of a server's bars. The same order of lightness for people who see no colours.
func color(name string) string {
	switch name {
	case rig.Postern:
		return "#0b5394"
	case rig.Shared:
		return "#3d85c6"
	case rig.Postfix:
		return "#e69138"
	case rig.Exim:
		return "#8fa89a"
	case rig.OpenSMTPD:
		return "#c9b458"
	}
	return "#b7b7b7"
}

// Measures of a plot, in pixels.
const (
	plotWidth  = 800
	plotLeft   = 270 // labels stand left of it
	plotRight  = 60  // figures stand right of a bar
	barHeight  = 13
	groupSpace = 14
	plotTop    = 62
)

// plot draws groups of horizontal bars over a logarithmic axis, with a whisker from the lowest round to the highest.
func plot(title string, groups []group) string {
	low, high := math.Inf(1), 0.0
	rows := 0
	for _, g := range groups {
		for _, b := range g.bars {
			if b.low > 0 {
				low = min(low, b.low)
			}
			high = max(high, b.high)
		}
		rows += len(g.bars)
	}
	if high == 0 {
		low, high = 1, 10
	}
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	x := func(v float64) float64 {
		return plotLeft + (math.Log10(max(v, math.Pow(10, from)))-from)/max(to-from, 1)*(plotWidth-plotLeft-plotRight)
	}
	bottom := plotTop + rows*barHeight + len(groups)*groupSpace
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, bottom+24)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="#fff"/><text x="10" y="20" font-size="14">%s</text>`+
		"\n", html.EscapeString(title))
	legend(&out, groups)
	for e := from; e <= to; e++ {
		at := x(math.Pow(10, e))
		fmt.Fprintf(&out, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n",
			at, plotTop-8, at, bottom, at, bottom+14, math.Pow(10, e))
	}
	y := plotTop
	for _, g := range groups {
		fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotLeft-8, y+10,
			html.EscapeString(g.label))
		for _, b := range g.bars {
			middle := float64(y) + barHeight/2.0
			fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, plotLeft, y,
				x(b.value)-plotLeft, barHeight-2, color(b.name))
			fmt.Fprintf(&out, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#000"/>`, x(b.low), middle,
				x(b.high), middle)
			fmt.Fprintf(&out, `<text x="%.1f" y="%.1f">%s</text>`+"\n", x(b.high)+4, middle+4, figure(b.value))
			y += barHeight
		}
		y += groupSpace
	}
	out.WriteString("</svg>\n")
	return out.String()
}

// figure prints a value without more digits than help.
func figure(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// legend names the colours.
func legend(out *strings.Builder, groups []group) {
	var names []string
	for _, g := range groups {
		for _, b := range g.bars {
			if !slices.Contains(names, b.name) {
				names = append(names, b.name)
			}
		}
	}
	for i, name := range names {
		fmt.Fprintf(out, `<rect x="%d" y="30" width="11" height="11" fill="%s"/><text x="%d" y="40">%s</text>`+"\n",
			plotLeft+i*100, color(name), plotLeft+i*100+16, html.EscapeString(name))
	}
}
