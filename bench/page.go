package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The page's part that is made from a report stands between these lines; everything else is written by hand.
const (
	pageBegin = "<!-- begin of what bench writes -->\n"
	pageEnd   = "<!-- end of what bench writes -->\n"
)

// pageCommand makes the tables and plots of docs/performance.md anew from a report.
func pageCommand(args []string) error {
	f := newFlags("page")
	docs, from := f.String("docs", "docs", "folder of performance.md"),
		f.String("json", "docs/performance.json", "the report")
	if err := parse(f, args); err != nil {
		return err
	}
	text, err := os.ReadFile(*from)
	if err != nil {
		return err
	}
	var report Report
	if err := json.Unmarshal(text, &report); err != nil {
		return err
	}
	return writePage(*docs, &report)
}

// writePage replaces what stands between the marks of performance.md, and the plots beside it.
func writePage(docs string, r *Report) error {
	for name, svg := range map[string]string{"performance-rate.svg": r.ratePlot(), "performance-cpu.svg": r.cpuPlot()} {
		if err := os.WriteFile(filepath.Join(docs, name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	path := filepath.Join(docs, "performance.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, err := replacePart(string(text), r.markdown())
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

// replacePart puts another text between the marks.
func replacePart(page, part string) (string, error) {
	before, rest, ok := strings.Cut(page, pageBegin)
	_, after, found := strings.Cut(rest, pageEnd)
	if !ok || !found {
		return "", errors.New("performance.md does not have the two lines that bench writes between")
	}
	return before + pageBegin + part + pageEnd + after, nil
}

// markdown is the report as the page shows it.
func (r *Report) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\nTaken on %s at revision %s: %s, %d processors, Linux %s, %s."+
		" %d rounds of about %.0f s each.\n\n",
		r.Date.Format("2006-01-02"), r.Revision, r.Processor, r.Processors, r.Kernel, r.Go, r.Rounds, r.RoundTime)
	out.WriteString("![messages a second](performance-rate.svg)\n\n" +
		"![processor time of a message](performance-cpu.svg)\n\n### Goals\n\n")
	writeRow(&out, []string{"goal", "wanted", "measured", ""})
	writeRow(&out, []string{"---", "---", "---", "---"})
	for _, g := range r.goals() {
		if g.measured {
			writeRow(&out, []string{g.what, g.want, g.got, g.verdict()})
		}
	}
	for _, c := range r.Comparisons {
		if c.Topic != "servers" {
			continue // what a comparison with ourselves came to stands among the goals
		}
		fmt.Fprintf(&out, "\n### %s\n\n", c.Work.String())
		header := c.header()
		writeRow(&out, header)
		writeRow(&out, append([]string{"---"}, strings.Fields(strings.Repeat("--: ", len(header)-1))...))
		for _, o := range c.Outcomes {
			writeRow(&out, c.row(o))
		}
		fmt.Fprintf(&out, "\nNoise: %s.\n", c.noise())
	}
	r.writeExtras(&out)
	out.WriteString("\n")
	return out.String()
}

// writeExtras writes what is no goal: those have searches already.
func (r *Report) writeExtras(out *strings.Builder) {
	if len(r.Idle)+len(r.Large) > 0 {
		out.WriteString("\n### Memory\n\n")
	}
	for _, i := range r.Idle {
		fmt.Fprintf(out, "* %s\n", i)
	}
	for _, l := range r.Large {
		fmt.Fprintf(out, "* %s\n", l)
	}
}

func writeRow(out *strings.Builder, cells []string) {
	fmt.Fprintf(out, "| %s |\n", strings.ReplaceAll(strings.Join(cells, " | "), "\n", " "))
}
