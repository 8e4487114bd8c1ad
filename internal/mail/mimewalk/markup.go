package mimewalk

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// isMarkup reports whether people read a type as HTML.
func isMarkup(kind string) bool {
	switch kind {
	case "text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml", "text/x-amp-html", "text/watch-html",
		"text/xhtml", "text/x-html":
		return true
	}
	return false
}

// page is what people read of HTML.
type page struct {
	readings []string // as it stands; and without what stands within words, where anything does
	charset  string   // that it names
	unsure   bool     // programs differ in what they hide
}

// readPage reads HTML.
func readPage(source string, xml bool) page {
	first := markup{xml: xml}
	first.out.Grow(len(source) / 2)
	first.read(source)
	out := page{readings: []string{first.text()}, charset: first.charset, unsure: first.unsure}
	if first.glued {
		tight := markup{xml: xml, tight: true}
		tight.read(source)
		out.readings = append(out.readings, tight.text())
	}
	return out
}

// charsetBeside is the charset that the text names, where a program may take it: what the header says goes first, but
// not everywhere where the text is in seven bits.
func (p *page) charsetBeside(said []string) string {
	name := strings.ToLower(strings.TrimSpace(p.charset))
	if strings.HasPrefix(name, "utf-16") || name == "unicode" || len(said) > 0 && !strings.Contains(name, "utf-7") &&
		!strings.Contains(name, "hz") && !strings.Contains(name, "2022") {
		return ""
	}
	return name
}

// markup reads HTML as browsers show it, styles aside (HTML Standard §15.3, rendering). What is soft, such as a picture
// within a word, what a style hides, or the reading of a character (ruby), is a blank or text to one program or person,
// and not there for another: it is there unless tight.
type markup struct {
	xml, tight bool

	out   strings.Builder
	notes strings.Builder // texts that stand beside: titles of elements, values of fields, readings of characters

	word    bool // the last letter was no blank
	soft    bool // something soft has come since a letter that was no blank
	glued   bool // there is something soft within a word
	unsure  bool
	within  bool      // in a comment for one program
	skipped atom.Atom // the element whose content nobody sees
	above   atom.Atom // in the reading of a character, or its brackets; 0 for no
	hidden  string    // the element that a style hides
	depth   int       // how many of that name are open
	before  bool      // soft once it ends
	charset string
}

func (m *markup) text() string {
	if m.notes.Len() == 0 {
		return m.out.String()
	}
	return m.out.String() + "\n" + m.notes.String()
}

func (m *markup) read(source string) {
	z := html.NewTokenizer(strings.NewReader(source))
	z.AllowCDATA(m.xml)
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return
		case html.TextToken:
			m.letters(z.Text())
		case html.CommentToken:
			m.comment(string(z.Text()))
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if t.DataAtom == atom.Noscript || t.DataAtom == atom.Noembed || t.DataAtom == atom.Noframes {
				z.NextIsNotRawText() // mail programs show what is in them
			}
			m.tag(&t)
		}
	}
}

// letters adds text.
func (m *markup) letters(s []byte) {
	switch {
	case m.skipped != 0 || len(s) == 0 || m.tight && m.hidden != "":
		return
	case m.tight && m.above != 0:
		if m.above != atom.Rp {
			m.notes.Write(s)
		}
		return
	}
	m.glued = m.glued || m.soft && !isSpace(s[0])
	m.soft = false
	m.out.Write(s)
	m.word = !isSpace(s[len(s)-1])
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// gap ends a word.
func (m *markup) gap() {
	if !m.tight || m.hidden == "" {
		m.out.WriteByte(' ')
		m.word, m.soft = false, false
	}
}

// softly does what one program shows and another does not.
func (m *markup) softly(show func()) {
	if m.tight {
		return
	}
	before := m.word || m.soft
	show()
	m.soft = before
}

// comment reads what only some programs read: conditional comments, of Outlook, and what XML says of itself.
func (m *markup) comment(text string) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "?xml") {
		if _, name, found := strings.Cut(text, "encoding="); found && m.charset == "" {
			m.charset, _, _ = strings.Cut(strings.TrimLeft(name, `"'`), name[:1])
		}
	}
	if m.within || len(text) < 3 || !strings.EqualFold(text[:3], "[if") {
		return
	}
	_, text, _ = strings.Cut(text, ">")
	m.softly(func() {
		m.within = true
		m.read(text)
		m.within = false
	})
}

func (m *markup) tag(t *html.Token) {
	opens := t.Type != html.EndTagToken
	if m.xml && t.Type == html.SelfClosingTagToken && raw(t.DataAtom) {
		m.unsure = true
	}
	switch t.DataAtom {
	case atom.Script, atom.Style:
		if opens {
			m.skipped = t.DataAtom
		} else if m.skipped == t.DataAtom {
			m.skipped = 0
		}
		return
	case atom.Meta:
		m.meta(t)
	case atom.Rt, atom.Rp, atom.Rtc, atom.Rb, atom.Ruby:
		m.ruby(t.DataAtom, opens)
	}
	ended := m.hide(t)
	switch {
	case ended && m.tight:
	case breaks(t):
		m.above = 0
		m.gap()
	case stands(t.DataAtom):
		m.softly(func() {
			m.gap()
			if alt := attribute(t, "alt"); alt != "" {
				m.out.WriteString(alt + " ")
			}
		})
	}
	if ended {
		m.soft = m.before
	}
	if opens {
		m.beside(t)
	}
}

// beside notes the texts in attributes of an element.
func (m *markup) beside(t *html.Token) {
	for _, a := range t.Attr {
		switch {
		case a.Key == "title", a.Key == "label",
			t.DataAtom == atom.Input && (a.Key == "value" || a.Key == "placeholder"),
			a.Key == "alt" && (m.tight || !stands(t.DataAtom)):
			m.note(a.Val)
		}
	}
}

func (m *markup) note(s string) {
	if s != "" {
		m.notes.WriteString(" " + s + " ")
	}
}

// ruby follows characters with their reading above (HTML Standard §4.5.10).
func (m *markup) ruby(a atom.Atom, opens bool) {
	m.above = 0
	switch {
	case opens && a != atom.Ruby && a != atom.Rb:
		m.above, m.glued = a, true
	case m.tight && a == atom.Ruby:
		m.notes.WriteByte(' ')
	}
}

// hide follows what a style hides, and reports whether that ends.
func (m *markup) hide(t *html.Token) (ended bool) {
	switch {
	case m.hidden == "":
		if t.Type == html.StartTagToken && !void(t.DataAtom) && hides(t) {
			m.hidden, m.depth, m.before = t.Data, 1, m.word || m.soft
		}
	case t.Data != m.hidden || t.Type == html.SelfClosingTagToken:
	case t.Type == html.StartTagToken:
		m.depth++
	default:
		if m.depth--; m.depth == 0 {
			m.hidden = ""
			return true
		}
	}
	return false
}

// hides reports whether a style hides an element.
func hides(t *html.Token) bool {
	if len(t.Attr) == 0 {
		return false
	}
	if slices.ContainsFunc(t.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
		return true
	}
	style := strings.ToLower(attribute(t, "style"))
	if !strings.Contains(style, "none") && !strings.Contains(style, "hid") && !strings.Contains(style, "font-size") {
		return false
	}
	style = strings.Join(strings.Fields(style), "")
	if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") ||
		strings.Contains(style, "mso-hide:all") {
		return true
	}
	_, size, found := strings.Cut(style, "font-size:0")
	return found && !breaks(t) && (size == "" || !strings.ContainsAny(size[:1], ".0123456789"))
}

func attribute(t *html.Token, key string) string {
	for _, a := range t.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// meta finds the charset that a page names.
func (m *markup) meta(t *html.Token) {
	name := attribute(t, "charset")
	if name == "" {
		_, name, _ = strings.Cut(strings.ToLower(attribute(t, "content")), "charset=")
		name, _, _ = strings.Cut(name, ";")
	}
	if name = strings.Trim(name, " \t\r\n\"'"); m.charset == "" {
		m.charset = name
	}
}
