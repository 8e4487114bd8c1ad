package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"postern/internal/smtp"
)

// column is one column of a table. Width 0 takes what is left of the line.
type column struct {
	head  string
	width int
}

// col is a column.
func col(head string, width int) column { return column{head, width} }

// table prints rows as they come, in columns of fixed widths, so that a long list needs no memory.
type table struct {
	a       *app
	columns []column
	colour  bool
	begun   bool
}

// newTable fits columns into the terminal's width, at least 80; output that is no terminal has 80.
func (a *app) newTable(columns ...column) *table {
	width := 80
	if f, ok := beneath(a.stdout).(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > width {
			width = w
		}
	}
	left := width - len(columns) + 1
	for _, c := range columns {
		left -= c.width
	}
	for i := range columns {
		if columns[i].width == 0 {
			columns[i].width = max(left, 8)
		}
	}
	return &table{a: a, columns: columns, colour: a.colour()}
}

// colour reports whether output may be coloured: on a terminal that did not ask for none.
func (a *app) colour() bool { return onTerminal(a.stdout) && a.getenv("NO_COLOR") == "" }

// row prints cells; hostile text in them is made harmless, long text is cut. paint colours the cell of the state.
func (t *table) row(cells ...string) {
	if !t.begun {
		t.begun = true
		heads := make([]string, len(t.columns))
		for i, c := range t.columns {
			heads[i] = c.head
		}
		t.row(heads...)
	}
	var b strings.Builder
	for i, c := range t.columns {
		text := fit(smtp.Printable(cells[i], 500), c.width)
		pad := c.width - utf8.RuneCountInString(text)
		if t.colour {
			text = paint(text)
		}
		b.WriteString(text + strings.Repeat(" ", pad+1))
	}
	fmt.Fprintln(t.a.stdout, strings.TrimRight(b.String(), " "))
}

// empty reports whether there was no row.
func (t *table) empty() bool { return !t.begun }

// fit cuts text to width; of an address the end says more, so the beginning goes.
func fit(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	if strings.Contains(s, "@") {
		return "…" + string(r[len(r)-width+1:])
	}
	return string(r[:width-1]) + "…"
}

// paint colours the words that stand for an outcome.
func paint(text string) string {
	code := map[string]string{"delivered": "32", "failed": "31", "cancelled": "31", "held": "33", "queued": "33", "weaker": "31",
		"encrypted": "32", "claimed": "33", "not said": "33", "PLAIN": "31"}[text]
	if code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// labelWidth is where the text of a detail begins.
const labelWidth = 16

// detail prints "label text", wrapped at 80 columns; nothing when text is empty.
func (a *app) detail(indent, label, text string) { a.detailAt(indent, label, labelWidth, text) }

// detailAt is detail with the text beginning wide columns after the indent.
func (a *app) detailAt(indent, label string, wide int, text string) {
	text = smtp.Printable(text, 2000)
	if text == "" {
		return
	}
	line, first := indent+label+strings.Repeat(" ", max(1, wide-len(label))), true
	width := utf8.RuneCountInString(line)
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if !first && width+1+n > 80 {
			fmt.Fprintln(a.stdout, line)
			line, first = indent+strings.Repeat(" ", wide), true
			width = len(line)
		}
		if !first {
			line, width = line+" ", width+1
		}
		line, width, first = line+word, width+n, false
	}
	fmt.Fprintln(a.stdout, line)
}

// clock is a moment for people: local time, "" when there is none.
func clock(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}

// shortClock is a moment in a table.
func shortClock(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format("01-02 15:04")
}

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n < 10_000:
		return plural(int(n), "byte")
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}
