package mimewalk

import "strings"

// flow is a text of format=flowed as it is shown (RFC 3676 §4): without the blank that a line is stuffed with, and with
// lines joined that go on, those of one depth of quoting; tight drops the blank before their end (DelSp). differs says
// whether people read anything else than lines with blanks between.
func flow(text string, tight bool) (shown string, differs bool) {
	var out strings.Builder
	open, last := false, 0 // the line before goes on; its depth
	for len(text) > 0 {
		line, rest, _ := strings.Cut(text, "\n")
		line, text = strings.TrimSuffix(line, "\r"), rest
		body := strings.TrimLeft(line, ">")
		depth := len(line) - len(body)
		body = strings.TrimPrefix(body, " ")
		switch {
		case open && depth == last:
			differs = differs || tight || depth > 0
		case out.Len() > 0:
			out.WriteByte('\n')
			fallthrough
		default:
			out.WriteString(line[:depth])
			if depth > 0 {
				out.WriteByte(' ')
			}
		}
		last, open = depth, strings.HasSuffix(body, " ") && body != "-- "
		if open && tight {
			body = body[:len(body)-1]
		}
		out.WriteString(body)
	}
	return out.String(), differs
}

// unfold joins the lines of calendars and cards, which go on where the next one begins with a blank.
var unfold = strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\n ", "", "\n\t", "")
