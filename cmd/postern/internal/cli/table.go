package cli

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// Column is one column of a table. Width 0 takes what is left of the line.
type Column struct {
	head  string
	width int
}

// Col makes a column.
func Col(head string, width int) Column { return Column{head, width} }

// Table prints rows as they come, in columns of fixed widths, so that a long list needs no memory.
type Table struct {
	a       *App
	columns []Column
	colour  bool
	begun   bool
}

// NewTable fits columns into the terminal's width, at least 80; output that is no terminal has 80.
func (a *App) NewTable(columns ...Column) *Table {
	width := 80
	if f, ok := Beneath(a.Stdout).(*os.File); ok {
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
	return &Table{a: a, columns: columns, colour: a.Colour()}
}

// Colour reports whether output may be coloured: on a terminal that did not ask for none.
func (a *App) Colour() bool { return OnTerminal(a.Stdout) && a.Getenv("NO_COLOR") == "" }

// Row prints cells; hostile text in them is made harmless, long text is cut. paint colours the cell of the state.
func (t *Table) Row(cells ...string) {
	if !t.begun {
		t.begun = true
		heads := make([]string, len(t.columns))
		for i, c := range t.columns {
			heads[i] = c.head
		}
		t.Row(heads...)
	}
	var b strings.Builder
	for i, c := range t.columns {
		text := Fit(smtp.Printable(cells[i], 500), c.width)
		pad := c.width - utf8.RuneCountInString(text)
		if t.colour {
			text = paint(text)
		}
		b.WriteString(text + strings.Repeat(" ", pad+1))
	}
	fmt.Fprintln(t.a.Stdout, strings.TrimRight(b.String(), " "))
}

// Empty reports whether there was no row.
func (t *Table) Empty() bool { return !t.begun }

// Fit cuts text to width; of an address the end says more, so the beginning goes.
func Fit(s string, width int) string {
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
	code := map[string]string{"delivered": "32", "failed": "31", "cancelled": "31", "held": "33", "queued": "33",
		"weaker": "31", "encrypted": "32", "claimed": "33", "not said": "33", "PLAIN": "31"}[text]
	if code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// labelWidth is where the text of a detail begins.
const labelWidth = 16

// Detail prints "label text", wrapped at 80 columns; nothing when text is empty.
func (a *App) Detail(indent, label, text string) { a.DetailAt(indent, label, labelWidth, text) }

// DetailAt is detail with the text beginning wide columns after the indent.
func (a *App) DetailAt(indent, label string, wide int, text string) {
	text = smtp.Printable(text, 2000)
	if text == "" {
		return
	}
	first := indent + label + strings.Repeat(" ", max(1, wide-len(label)))
	for _, line := range mail.Wrap(first, indent+strings.Repeat(" ", wide), text, 80) {
		fmt.Fprintln(a.Stdout, line)
	}
}
