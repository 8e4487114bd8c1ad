package mimewalk

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"postern/internal/mail"
)

// leaf is a part whose body is text, while it comes; one that is none is passed over.
type leaf struct {
	head   *head
	reads  bool // its text is read
	data   []byte
	digits []byte // of base64, fewer than four
	padded bool   // of base64: it has ended
	full   bool
}

func newLeaf(h *head) *leaf {
	return &leaf{head: h, reads: strings.HasPrefix(h.kind, "text/") && h.disposition != "attachment"}
}

// feed takes a line, or a piece of one.
func (l *leaf) feed(w *Walker, line []byte, start bool) {
	if !l.reads || l.full {
		return
	}
	switch l.head.encoding {
	case "7bit", "8bit", "binary", "":
		if start {
			l.uuencoded(w, line)
		}
		l.keep(w, line)
	case "quoted-printable":
		l.keep(w, quotedPrintable(line))
	case "base64":
		l.base64(w, line)
	default:
		w.doubtText("has text in an encoding that is not known")
		l.full = true
	}
}

// keep adds octets of the text.
func (l *leaf) keep(w *Walker, data []byte) {
	if w.text += len(data); w.text > MaxText {
		w.doubtText("has more text than is looked at (" + strconv.Itoa(MaxText>>10) + " KiB)")
		l.full = true
		return
	}
	l.data = append(l.data, data...)
}

// uuencoded notes a file in the text.
func (l *leaf) uuencoded(w *Walker, line []byte) {
	words := strings.Fields(string(line[:min(len(line), 1000)]))
	if len(words) < 3 || words[0] != "begin" || len(words[1]) < 3 || len(words[1]) > 4 ||
		strings.Trim(words[1], "01234567") != "" {
		return
	}
	h := &head{kind: "application/octet-stream",
		names: []string{strings.ToValidUTF8(strings.Join(words[2:], " "), "\uFFFD")}}
	h.look(w)
}

// quotedPrintable undoes a line (RFC 2045 §6.7), with its end unless it goes on.
func quotedPrintable(line []byte) []byte {
	text := bytes.TrimRight(line, "\r\n \t")
	out := make([]byte, 0, len(line))
	for i := 0; i < len(text); i++ {
		if text[i] == '=' {
			if i == len(text)-1 {
				return out
			}
			if i+2 < len(text) {
				if n, err := strconv.ParseUint(string(text[i+1:i+3]), 16, 8); err == nil {
					out = append(out, byte(n))
					i += 2
					continue
				}
			}
		}
		out = append(out, text[i])
	}
	return append(out, '\n')
}

// base64 undoes a line (RFC 2045 §6.8); what is no digit is passed over.
func (l *leaf) base64(w *Walker, line []byte) {
	for _, c := range line {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			if l.padded {
				w.doubtText("has text in base64 that goes on after its end")
				l.padded = false
			}
			l.digits = append(l.digits, c)
		case c == '=':
			l.flush(w)
			l.padded = true
		}
	}
	whole := len(l.digits) / 4 * 4
	rest := bytes.Clone(l.digits[whole:])
	l.digits = l.digits[:whole]
	l.flush(w)
	l.digits = append(l.digits, rest...)
}

// flush decodes the digits there are.
func (l *leaf) flush(w *Walker) {
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(l.digits)))
	n, err := base64.RawStdEncoding.Decode(out, l.digits)
	if err != nil {
		w.doubtText("has text in base64 that is broken")
	}
	l.digits = l.digits[:0]
	l.keep(w, out[:n])
}

// end adds the text.
func (l *leaf) end(w *Walker) {
	if !l.reads {
		return
	}
	l.flush(w)
	if len(l.data) == 0 {
		return
	}
	text, problem := mail.BodyText(l.head.charset, l.data)
	if problem != "" {
		w.doubtText("has text that cannot be read: " + problem)
	}
	switch l.head.kind {
	case "text/html":
		text = visible(text)
	case "text/rtf", "text/richtext", "text/enriched", "text/xml":
		w.doubtText("has text of the type " + l.head.kind + ", which is not looked into")
	}
	w.out.Texts = append(w.out.Texts, text)
	if l.head.flowed && l.head.tight { // not every program knows of it
		joined := softBreaks.Replace(text)
		if joined == text {
			return
		}
		if w.text += len(joined); w.text > MaxText {
			w.doubtText("has too much text to be looked at with its lines joined")
			return
		}
		w.out.Texts = append(w.out.Texts, joined)
	}
}

// softBreaks are line ends within a word, where a text says so (RFC 3676 §4.2, DelSp).
var softBreaks = strings.NewReplacer(" \r\n", "", " \n", "")

// visible is what people read of HTML.
func visible(source string) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(source))
	skip := atom.Atom(0) // the element whose content nobody sees
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			if skip == 0 {
				out.Write(z.Text())
			}
		case html.CommentToken:
			if text := string(z.Text()); strings.HasPrefix(text, "[if") { // some programs read these
				_, text, _ = strings.Cut(text, ">")
				out.WriteString(" " + visible(text) + " ")
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			t := z.Token()
			switch {
			case kind == html.StartTagToken && (t.DataAtom == atom.Script || t.DataAtom == atom.Style):
				skip = t.DataAtom
			case kind == html.EndTagToken && t.DataAtom == skip:
				skip = 0
			}
			if !inline(t.DataAtom) {
				out.WriteByte(' ')
			}
			for _, a := range t.Attr {
				if a.Key == "alt" || a.Key == "title" {
					out.WriteString(" " + a.Val + " ")
				}
			}
		}
	}
}

// inline reports whether an element stands within a word.
func inline(a atom.Atom) bool {
	switch a {
	case atom.A, atom.Abbr, atom.B, atom.Bdi, atom.Bdo, atom.Big, atom.Code, atom.Em, atom.Font, atom.I, atom.Ins,
		atom.Kbd,
		atom.Mark, atom.Q, atom.S, atom.Small, atom.Span, atom.Strike, atom.Strong, atom.Sub, atom.Sup, atom.Tt, atom.U,
		atom.Var, atom.Wbr, 0:
		return true
	}
	return false
}
