package mail

import "strings"

// MaxMailboxes bounds the mailboxes that Mailboxes reads of one field.
const MaxMailboxes = 10_000

// Mailboxes reads a field that lists mailboxes, such as From or To (RFC 5322 §3.4): the addresses in their order,
// display names, comments and names of groups left out. unread counts what stands between commas and is no address we
// take; it is the caller's to say what that means. The work is linear.
func (f Field) Mailboxes() (list []Address, unread int) {
	p := mailboxes{text: f.Value()}
	for p.at < len(p.text) {
		p.step()
	}
	p.end()
	return p.list, p.unread
}

// mailboxes is the state of a reading.
type mailboxes struct {
	text   string
	at     int
	bare   strings.Builder // what stands outside of angle brackets, without comments and blanks
	angle  string          // what stands in them
	angled bool
	list   []Address
	unread int
}

// step reads one character, or what it begins.
func (p *mailboxes) step() {
	switch c := p.text[p.at]; c {
	case ' ', '\t', '\r', '\n':
		p.at++
	case '(':
		p.comment()
	case '"':
		p.bare.WriteString(p.until('"'))
	case '[':
		p.bare.WriteString(p.until(']'))
	case '<':
		p.angle, p.angled = strings.TrimSuffix(p.until('>')[1:], ">"), true
	case ',', ';':
		p.at++
		p.end()
	case ':': // the name of a group stood before it
		p.at++
		p.bare.Reset()
		p.angle, p.angled = "", false
	default:
		p.at++
		p.bare.WriteByte(c)
	}
}

// until reads from a delimiter up to the one that ends it; quoted strings inside are read over. Both delimiters are
// returned, as far as they are there.
func (p *mailboxes) until(last byte) string {
	from, quoted := p.at, false
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
		case c == last && !quoted:
			p.at++
			return p.text[from:p.at]
		case c == '"':
			quoted = !quoted
		}
	}
	return p.text[from:]
}

// comment reads over a comment, which may hold others.
func (p *mailboxes) comment() {
	for depth := 0; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\\':
			p.at++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.at++
				return
			}
		}
	}
	p.at = min(p.at, len(p.text))
}

// end takes what was read since the last comma.
func (p *mailboxes) end() {
	text := p.bare.String()
	if p.angled {
		text = strings.Trim(p.angle, " \t\r\n")
		if i := strings.IndexByte(text, ':'); i > 0 && text[0] == '@' { // an obsolete route
			text = text[i+1:]
		}
	}
	p.bare.Reset()
	p.angle, p.angled = "", false
	if text == "" {
		return
	}
	a, err := ParseAddress(text)
	if err != nil || len(p.list) >= MaxMailboxes {
		p.unread++
		return
	}
	p.list = append(p.list, a)
}
