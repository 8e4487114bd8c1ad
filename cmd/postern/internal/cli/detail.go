package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"postern/internal/smtp"
)

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
	line, first := indent+label+strings.Repeat(" ", max(1, wide-len(label))), true
	width := utf8.RuneCountInString(line)
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if !first && width+1+n > 80 {
			fmt.Fprintln(a.Stdout, line)
			line, first = indent+strings.Repeat(" ", wide), true
			width = len(line)
		}
		if !first {
			line, width = line+" ", width+1
		}
		line, width, first = line+word, width+n, false
	}
	fmt.Fprintln(a.Stdout, line)
}
