package mimewalk

import (
	"bytes"
	"strings"
)

// What is looked at of a message.
const (
	MaxText  = 256 << 10 // octets of text in all parts, their encoding undone
	MaxNames = 64 << 10  // octets of the names of attachments
	MaxParts = 1000
	MaxDepth = 20 // multiparts and messages within each other

	maxHeader = 64 << 10 // octets of the fields Content-* of one part
	maxLine   = 16 << 10 // of a longer line only the beginning may be a delimiter
)

// Held is the most that a Walker holds, in octets.
const Held = MaxText + 2*MaxNames + maxHeader + 4*maxLine + 32<<10

// Content is what a message has. The zero Content has neither attachments nor text.
type Content struct {
	Attachments []Attachment `json:"attachments,omitempty"`
	// Texts are the texts of its parts, in their order, valid UTF-8.
	Texts []string `json:"texts,omitempty"`
	// AttachmentDoubt and TextDoubt say why there may be others, as the end of a sentence about the message; "" that
	// there are none.
	AttachmentDoubt string `json:"attachment_doubt,omitempty"`
	TextDoubt       string `json:"text_doubt,omitempty"`
}

// Attachment is one part that is no text of the message.
type Attachment struct {
	Type string `json:"type"` // "application/pdf", lower case, without parameters
	// Names are the names that programs may show for it, none where it has no name.
	Names []string `json:"names,omitempty"`
}

// Walker reads a message that is written to it. The zero Walker is ready.
type Walker struct {
	out   Content
	line  []byte
	broke bool // line goes on one that was too long
	begun bool // the header of the message has begun

	inHeader bool
	header   []byte // fields Content-* of the part
	keeping  bool   // the field whose lines come is one of them
	strange  bool   // the header has a line that is none, or too much
	message  bool   // the header is that of a message within a part

	levels []level
	leaf   *leaf // nil: what comes is not looked at
	parts  int
	text   int // octets of text kept
	names  int // octets of names kept
}

// level is a multipart that is open.
type level struct {
	boundary string
	opened   bool // its first delimiter was seen
	digest   bool
}

// Write takes the next octets. It never fails.
func (w *Walker) Write(p []byte) (int, error) {
	n := len(p)
	if !w.begun {
		w.begun, w.inHeader = true, true
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		whole := end >= 0
		if !whole {
			end = len(p) - 1
		}
		piece := p[:end+1]
		p = p[end+1:]
		for len(piece) > 0 {
			room := maxLine - len(w.line)
			k := min(room, len(piece))
			w.line = append(w.line, piece[:k]...)
			piece = piece[k:]
			if done := whole && len(piece) == 0; done || len(w.line) == maxLine {
				w.take(w.line, !w.broke)
				w.line, w.broke = w.line[:0], !done
			}
		}
	}
	return n, nil
}

// Size is about how many octets the Walker holds, at most Held.
func (w *Walker) Size() int {
	size := cap(w.line) + cap(w.header) + min(w.text, MaxText) + min(w.names, MaxNames)
	if l := w.leaf; l != nil {
		size += cap(l.out) + cap(l.held)
	}
	return size
}

// Content ends the message and returns what it has. The Walker must not be used after it.
func (w *Walker) Content() Content {
	if len(w.line) > 0 {
		w.take(w.line, !w.broke)
		w.line = nil
	}
	if w.inHeader {
		w.part()
	}
	w.endLeaf()
	for _, l := range w.levels {
		if !l.opened {
			w.doubt("has a multipart without any part")
		}
	}
	return w.out
}

// doubt notes why anything may be there that was not seen.
func (w *Walker) doubt(why string) {
	w.doubtText(why)
	w.doubtAttachments(why)
}

func (w *Walker) doubtText(why string) {
	if w.out.TextDoubt == "" {
		w.out.TextDoubt = why
	}
}

func (w *Walker) doubtAttachments(why string) {
	if w.out.AttachmentDoubt == "" {
		w.out.AttachmentDoubt = why
	}
}

// take takes a line with its end, or a piece of one that is too long; start says that it is the beginning of one.
func (w *Walker) take(line []byte, start bool) {
	if start && len(w.levels) > 0 && bytes.HasPrefix(line, []byte("--")) && w.delimiter(line) {
		return
	}
	switch {
	case w.inHeader && start && len(bytes.TrimRight(line, "\r\n")) == 0:
		w.part()
	case w.inHeader:
		w.headerLine(line, start)
	case w.leaf != nil:
		w.leaf.feed(w, line)
	}
}

// delimiter ends and begins parts where a line is a delimiter of an open multipart (RFC 2046 §5.1.1).
func (w *Walker) delimiter(line []byte) bool {
	text := strings.TrimRight(string(line[2:]), " \t\r\n")
	for i := len(w.levels) - 1; i >= 0; i-- {
		l := &w.levels[i]
		closing := text == l.boundary+"--"
		if text != l.boundary && !closing {
			continue
		}
		if w.inHeader {
			w.part() // a part without a body
		}
		w.endLeaf()
		l.opened = true
		for _, inner := range w.levels[i+1:] {
			if !inner.opened {
				w.doubt("has a multipart without any part")
			}
		}
		w.levels = w.levels[:i+1]
		if closing {
			w.levels = w.levels[:i]
			return true
		}
		w.inHeader = true
		return true
	}
	for _, l := range w.levels {
		if strings.HasPrefix(text, l.boundary) {
			w.doubt("has a line that only some programs take for the end of a part")
		}
	}
	return false
}

// headerLine keeps the fields that say what a part is.
func (w *Walker) headerLine(line []byte, start bool) {
	if start && line[0] != ' ' && line[0] != '\t' {
		name, _, colon := bytes.Cut(line, []byte(":"))
		w.keeping = len(name) >= 8 && strings.EqualFold(string(name[:8]), "content-")
		if !colon && len(w.levels) > 0 {
			w.strange = true
		}
	}
	switch {
	case !w.keeping:
	case len(w.header)+len(line) > maxHeader || len(line) == maxLine || !start:
		w.strange = true
	default:
		w.header = append(w.header, line...)
	}
}

// part begins the body of a part whose header is complete.
func (w *Walker) part() {
	h := w.read()
	w.inHeader, w.header, w.keeping, w.strange, w.message = false, w.header[:0], false, false, false
	w.leaf = nil
	if w.parts++; w.parts > MaxParts {
		w.doubt("has more parts than are looked at")
		return
	}
	h.look(w)
	switch {
	case strings.HasPrefix(h.kind, "multipart/"):
		w.multipart(h)
	case h.kind == "message/rfc822" || h.kind == "message/global" || h.kind == "message/news":
		if h.encoded() {
			w.doubt("has a message within it that is encoded")
			return
		}
		if len(w.levels) >= MaxDepth {
			w.doubt("has parts nested deeper than is looked at")
			return
		}
		w.inHeader, w.message = true, true
	default:
		w.leaf = newLeaf(h)
	}
}

// multipart opens one.
func (w *Walker) multipart(h *head) {
	switch {
	case h.boundary == "":
		w.doubt("has a multipart without a boundary")
	case h.encoded():
		w.doubt("has a multipart that is encoded")
	case len(w.levels) >= MaxDepth:
		w.doubt("has parts nested deeper than is looked at")
	default:
		if h.kind == "multipart/encrypted" {
			w.doubt("is encrypted")
		}
		w.levels = append(w.levels, level{boundary: h.boundary, digest: h.kind == "multipart/digest"})
	}
}

// endLeaf keeps the text of a part that is complete.
func (w *Walker) endLeaf() {
	if w.leaf != nil {
		w.leaf.end(w)
	}
	w.leaf = nil
}
