package mimewalk

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"postern/internal/mail"
)

// leaf is a part whose body is text, while it comes; of another one only the beginning is looked at.
type leaf struct {
	head   *head
	reads  bool // its text is read
	data   []byte
	out    []byte // of quoted-printable: what was decoded last
	held   []byte // of quoted-printable: the end of a piece of a line, of which the rest decides
	digits []byte // of base64, fewer than four
	padded bool   // of base64: it has ended
	full   bool
	files  files
}

func newLeaf(h *head) *leaf {
	text := strings.HasPrefix(h.kind, "text/") || isMarkup(h.kind) || h.kind == "application/pgp"
	return &leaf{head: h, reads: text && h.disposition != "attachment"}
}

// feed takes a line, or a piece of one.
func (l *leaf) feed(w *Walker, line []byte) {
	if l.full && (!l.reads || l.head.encoding == "base64") {
		return
	}
	switch l.head.encoding {
	case "7bit", "8bit", "binary", "":
		l.keep(w, line)
	case "quoted-printable":
		l.keep(w, l.quotedPrintable(line))
	case "base64":
		l.base64(w, line)
	case "x-uuencode", "x-uue", "uuencode", "uue":
		l.files.look(w, line)
		l.unknown(w)
	default:
		l.unknown(w)
		l.full = true
	}
}

func (l *leaf) unknown(w *Walker) {
	if l.reads {
		w.doubtText("has text in an encoding that is not known")
	}
}

// keep adds octets of the text.
func (l *leaf) keep(w *Walker, data []byte) {
	if !l.reads {
		l.data = append(l.data, data[:min(len(data), maxPeek-len(l.data))]...)
		l.full = len(l.data) == maxPeek
		return
	}
	l.files.look(w, data)
	if l.full {
		return
	}
	if w.text += len(data); w.text > MaxText {
		w.doubtText("has more text than is looked at (" + strconv.Itoa(MaxText>>10) + " KiB)")
		l.full = true
		return
	}
	l.data = append(l.data, data...)
}

// quotedPrintable undoes a line (RFC 2045 §6.7), with its end unless it goes on, or a piece of one. What the rest of
// the line decides, blanks at the end and an escape that is cut, waits for it.
func (l *leaf) quotedPrintable(line []byte) []byte {
	if len(l.held) > 0 {
		line = append(l.held, line...)
		l.held = nil
	}
	text := bytes.TrimRight(line, "\r\n \t")
	ended := bytes.HasSuffix(line, []byte("\n"))
	if !ended {
		if i := bytes.LastIndexByte(text, '='); i >= 0 && i+3 > len(text) {
			text = text[:i]
		}
		l.held = bytes.Clone(line[len(text):min(len(line), len(text)+maxLine)])
	}
	out := l.out[:0]
	defer func() { l.out = out }()
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
	if ended {
		out = append(out, '\n')
	}
	return out
}

// base64 undoes a line (RFC 2045 §6.8); what is no digit is passed over.
func (l *leaf) base64(w *Walker, line []byte) {
	for _, c := range line {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			if l.padded {
				l.broken(w, "has text in base64 that goes on after its end")
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
		l.broken(w, "has text in base64 that is broken")
	}
	l.digits = l.digits[:0]
	l.keep(w, out[:n])
}

func (l *leaf) broken(w *Walker, why string) {
	if l.reads {
		w.doubtText(why)
	}
}

// end adds the text, or says that nobody can look into the part.
func (l *leaf) end(w *Walker) {
	l.flush(w)
	if len(l.held) > 0 {
		l.keep(w, l.quotedPrintable([]byte("\n")))
	}
	l.files.look(w, []byte("\n"))
	switch {
	case len(l.data) == 0:
	case l.reads:
		l.texts(w)
	default:
		if why := peeked(string(l.data)); why != "" {
			w.doubt(why)
		}
	}
}

// texts adds the text in each charset that programs may take.
func (l *leaf) texts(w *Walker) {
	switch l.head.kind {
	case "text/rtf", "text/richtext", "text/enriched", "text/xml":
		w.doubtText("has text of the type " + l.head.kind + ", which is not looked into")
	}
	charsets := l.head.charsets
	if len(charsets) == 0 {
		charsets = []string{""}
	}
	first, counted := len(w.out.Texts), len(l.data)
	for i := 0; i < len(charsets); i++ {
		text, problem := mail.BodyText(charsets[i], l.data)
		if problem != "" {
			w.doubtText("has text that cannot be read: " + problem)
		}
		readings, named := l.readings(w, text)
		for _, reading := range readings {
			w.add(reading, first, &counted)
		}
		if named != "" && i == 0 {
			l.head.addCharset(w, charsets[0])
			l.head.addCharset(w, named)
			charsets = l.head.charsets
		}
	}
}

// readings are what people may see of a text, and the charset it names within, "" for none that matters.
func (l *leaf) readings(w *Walker, text string) (out []string, charset string) {
	out = []string{text}
	switch kind := l.head.kind; {
	case isMarkup(kind):
		page := readPage(text, strings.HasSuffix(kind, "+xml"))
		if page.unsure {
			w.doubtText("has HTML of which some programs hide what others show")
		}
		return page.readings, page.charsetBeside(l.head.charsets)
	case l.head.flowed:
		if joined, differs := flow(text, l.head.tight); differs { // not every program knows of it
			out = append(out, joined)
		}
	case kind == "text/calendar", kind == "text/vcard", kind == "text/x-vcard", kind == "text/directory":
		out = append(out, unfold.Replace(text))
	}
	return out, ""
}

// add adds a reading of a part whose texts begin at first, unless it is there. All but the first count, as far as the
// markup that is gone does not make up for them: counted is what of the part was counted and is not kept.
func (w *Walker) add(text string, first int, counted *int) {
	if slices.Contains(w.out.Texts[first:], text) {
		return
	}
	if why := armoured(text); why != "" {
		w.doubt(why)
	}
	used := min(len(text), *counted)
	*counted -= used
	if len(w.out.Texts) > first {
		if w.text += len(text) - used; w.text > MaxText {
			w.doubtText("has too much text to be looked at in all its readings")
			return
		}
	}
	w.out.Texts = append(w.out.Texts, text)
}
