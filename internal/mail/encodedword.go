package mail

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// encodedWord is one =?charset?encoding?text?= of RFC 2047 §2, its transfer encoding undone.
type encodedWord struct {
	source  string // as it stands in the field
	charset string // lower case, without the language of RFC 2231 §5
	data    []byte // in the charset
}

// token is a stretch of a header value: text, or an encoded word.
type token struct {
	text string
	word *encodedWord
}

// wordReader reads the encoded words of one header value. It is tolerant where the field is: words stand anywhere, may
// be too long and hold blanks. Work is linear.
type wordReader struct {
	adjacent bool   // two words have at most blanks between them
	unread   string // the first thing that could not be read
	charsets map[string]knownCharset
}

// doubt remembers the first thing that could not be read.
func (r *wordReader) doubt(format string, args ...any) {
	if r.unread == "" {
		r.unread = fmt.Sprintf(format, args...)
	}
}

// tokens splits a value. What looks like an encoded word and cannot be undone is text, and a doubt.
func (r *wordReader) tokens(v string) (out []token) {
	text := 0 // where the text before v[at:] begins
	after := false
	for at := 0; ; {
		i := strings.Index(v[at:], "=?")
		if i < 0 {
			break
		}
		at += i
		w, rest := r.cutWord(v[at:])
		if w == nil {
			at += 2
			continue
		}
		if between := v[text:at]; between != "" {
			out = append(out, token{text: between})
			after = after && strings.Trim(between, " \t") == ""
		}
		r.adjacent = r.adjacent || after
		out, after = append(out, token{word: w}), true
		at = len(v) - len(rest)
		text = at
	}
	if text < len(v) {
		out = append(out, token{text: v[text:]})
	}
	return out
}

// maxCharset bounds the charset part of a word, language included.
const maxCharset = 64

// cutWord reads the encoded word that v begins with, nil when it is none or cannot be undone.
func (r *wordReader) cutWord(v string) (w *encodedWord, rest string) {
	charset, encoding, payload, ok := wordHead(v)
	if !ok {
		return nil, v
	}
	if len(charset) > maxCharset || charset == "" || strings.Trim(charset, " \t") != charset || len(encoding) != 1 {
		r.doubt("it has an encoded word with a malformed beginning")
		return nil, v
	}
	// A new word that starts before this one ends means that this one never ends. The search for the end stops there,
	// which keeps the work linear however many beginnings without an end there are.
	stop := len(payload)
	if next := strings.Index(payload, "=?"); next >= 0 {
		stop = min(stop, next+3) // "==?=" ends a word with padding
	}
	end := strings.Index(payload[:stop], "?=")
	if end < 0 {
		r.doubt("it has an encoded word that does not end")
		return nil, v
	}
	w = &encodedWord{source: v[:len(v)-len(payload)+end+2]}
	w.charset, _, _ = strings.Cut(strings.ToLower(charset), "*")
	inner := payload[:end]
	if !isASCII(inner) {
		r.doubt("it has octets above 127 inside an encoded word")
	}
	switch encoding {
	case "b", "B":
		if w.data, ok = decodeB(inner); !ok {
			r.doubt("it has an encoded word whose base64 is broken")
			return nil, v
		}
	case "q", "Q":
		if w.data, ok = decodeQ(inner); !ok {
			r.doubt("it has an encoded word whose quoted-printable is broken")
		}
	default:
		r.doubt("it has an encoded word in an unknown encoding")
		return nil, v
	}
	return w, payload[end+2:]
}

// wordHead splits off what makes people and programs take v, which begins with "=?", for an encoded word: a charset,
// and one letter between question marks.
func wordHead(v string) (charset, encoding, payload string, ok bool) {
	charset, rest, ok1 := strings.Cut(v[2:], "?")
	encoding, payload, ok2 := strings.Cut(rest, "?")
	return charset, encoding, payload, ok1 && ok2 && len(strings.TrimSpace(encoding)) == 1
}

// decodeB undoes base64, with or without padding and inner blanks.
func decodeB(s string) ([]byte, bool) {
	s = strings.TrimRight(strings.Join(strings.Fields(s), ""), "=")
	data, err := base64.RawStdEncoding.DecodeString(s)
	return data, err == nil
}

// decodeQ undoes the "Q" encoding (RFC 2047 §4.2); what is no escape stands for itself. ok is false where an escape is
// malformed.
func decodeQ(s string) (out []byte, ok bool) {
	out, ok = make([]byte, 0, len(s)), true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			ok = ok && c != '='
			out = append(out, c)
		}
	}
	return out, ok
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// manner is how a program treats encoded words that are neighbours.
type manner int

const (
	joined manner = iota // blanks between vanish (RFC 2047 §6.2), and words of one charset are converted together
	apart                // blanks vanish, and each word is converted alone
	spaced               // each word is converted alone, and blanks stay
)

// render writes the tokens as one text. Doubts are raised for the first manner alone: a character that a sender broke
// between two words is read, joined, by most.
func (r *wordReader) render(tokens []token, how manner) string {
	var out strings.Builder
	for i := 0; i < len(tokens); {
		if tokens[i].word == nil {
			if how == spaced || !between(tokens, i) || strings.Trim(tokens[i].text, " \t") != "" {
				out.WriteString(tokens[i].text)
			}
			i++
			continue
		}
		n := i + 1
		if how == joined {
			n = runEnd(tokens, i)
		}
		r.convert(&out, tokens[i:n], how)
		i = n
	}
	if how == joined && nested(out.String()) {
		r.doubt("it has encoded words within encoded words")
	}
	return out.String()
}

// between reports whether token i has an encoded word on both sides.
func between(tokens []token, i int) bool {
	return i > 0 && i+1 < len(tokens) && tokens[i-1].word != nil && tokens[i+1].word != nil
}

// runEnd returns where the words of one charset end that begin at i and have only blanks between them.
func runEnd(tokens []token, i int) int {
	charset, end := tokens[i].word.charset, i+1
	for n := i + 1; n < len(tokens); n++ {
		switch t := &tokens[n]; {
		case t.word == nil && strings.Trim(t.text, " \t") == "":
			continue
		case t.word == nil || t.word.charset != charset:
			return end
		}
		end = n + 1
	}
	return end
}

// convert writes words of one charset as one text, or as they stand where that cannot be.
func (r *wordReader) convert(out *strings.Builder, run []token, how manner) {
	var data []byte
	for _, t := range run {
		if t.word != nil {
			data = append(data, t.word.data...)
		}
	}
	text, ok, problem := r.toUTF8(run[0].word.charset, data)
	if problem != "" && how == joined {
		r.doubt("%s", problem)
	}
	if ok {
		out.WriteString(text)
		return
	}
	blank := ""
	for _, t := range run {
		if t.word != nil {
			out.WriteString(blank)
			out.WriteString(t.word.source)
			blank = " "
		}
	}
}

// nested reports whether a text that was decoded has an encoded word, or what a program may take for one.
func nested(s string) bool {
	for i := strings.Index(s, "=?"); i >= 0; {
		if _, _, _, ok := wordHead(s[i:]); ok {
			return true
		}
		next := strings.Index(s[i+2:], "=?")
		if next < 0 {
			return false
		}
		i += 2 + next
	}
	return false
}
