package mail

import (
	"encoding/base64"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// encodedWord is one =?charset?encoding?text?= of RFC 2047 §2, its transfer encoding undone.
type encodedWord struct {
	source   string // as it stands in the field
	charset  string // lower case, without the language of RFC 2231 §5
	encoding byte   // 'b' or 'q'
	data     []byte // in the charset
}

// decodeWords replaces the encoded words of a header value. Blanks between two of them vanish (RFC 2047 §6.2), and
// neighbours of one charset are converted together, because many senders split a character between words. It is
// tolerant where the field is: words stand anywhere and may be too long. Work is linear.
func decodeWords(v string) string {
	if !strings.Contains(v, "=?") {
		return v
	}
	var out strings.Builder
	var run []encodedWord // neighbours not yet written
	blanks := ""          // between run and what comes next
	for v != "" {
		start := strings.Index(v, "=?")
		if start < 0 {
			start = len(v)
		}
		if text := v[:start]; strings.Trim(text, " \t") == "" && len(run) > 0 {
			blanks += text
		} else {
			writeWords(&out, run)
			out.WriteString(blanks)
			out.WriteString(text)
			run, blanks = nil, ""
		}
		v = v[start:]
		if v == "" {
			break
		}
		if w, rest, ok := cutWord(v); ok {
			run, blanks, v = append(run, w), "", rest
			continue
		}
		writeWords(&out, run)
		out.WriteString(blanks)
		out.WriteString(v[:2])
		run, blanks, v = nil, "", v[2:]
	}
	writeWords(&out, run)
	out.WriteString(blanks)
	return out.String()
}

// maxCharset bounds the charset part of a word, language included.
const maxCharset = 64

// cutWord reads the encoded word that v begins with.
func cutWord(v string) (w encodedWord, rest string, ok bool) {
	inner := v[2:]
	q := strings.IndexByte(inner[:min(len(inner), maxCharset+1)], '?')
	if q <= 0 || len(inner) < q+3 || inner[q+2] != '?' {
		return w, v, false
	}
	w.charset = strings.ToLower(inner[:q])
	w.charset, _, _ = strings.Cut(w.charset, "*")
	w.encoding = inner[q+1] | 0x20
	payload := inner[q+3:]
	// A new word that starts before this one ends means that this one never ends. The search for the end stops there,
	// which keeps the work linear however many beginnings without an end there are.
	stop := len(payload)
	if next := strings.Index(payload, "=?"); next >= 0 {
		stop = min(stop, next+3) // "==?=" ends a word with padding
	}
	end := strings.Index(payload[:stop], "?=")
	if end < 0 {
		return w, v, false
	}
	w.source, rest = v[:len(v)-len(payload)+end+2], payload[end+2:]
	switch w.encoding {
	case 'b':
		w.data, ok = decodeB(payload[:end])
	case 'q':
		w.data, ok = decodeQ(payload[:end]), true
	}
	return w, rest, ok
}

// decodeB undoes base64, with or without padding and inner blanks.
func decodeB(s string) ([]byte, bool) {
	s = strings.TrimRight(strings.Join(strings.Fields(s), ""), "=")
	data, err := base64.RawStdEncoding.DecodeString(s)
	return data, err == nil
}

// decodeQ undoes the "Q" encoding (RFC 2047 §4.2); what is no escape stands for itself.
func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
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

// writeWords converts neighbouring words and writes them; words of one charset are converted as one text.
func writeWords(out *strings.Builder, words []encodedWord) {
	for len(words) > 0 {
		n, size := 0, 0
		for n < len(words) && words[n].charset == words[0].charset {
			size += len(words[n].data)
			n++
		}
		data := make([]byte, 0, size)
		for _, w := range words[:n] {
			data = append(data, w.data...)
		}
		if text, ok := toUTF8(words[0].charset, data); ok {
			out.WriteString(text)
		} else {
			for i, w := range words[:n] {
				if i > 0 {
					out.WriteByte(' ')
				}
				out.WriteString(w.source)
			}
		}
		words = words[n:]
	}
}

// toUTF8 converts from a charset by the names of the web, which are those of mail. ok is false for a charset that is
// not known or cannot be converted.
func toUTF8(charset string, data []byte) (text string, ok bool) {
	enc, err := htmlindex.Get(charset)
	if err != nil || enc == encoding.Replacement {
		return "", false
	}
	if name, err := htmlindex.Name(enc); err == nil && name == "utf-8" {
		return string(data), true
	}
	decoded, err := enc.NewDecoder().Bytes(data)
	return string(decoded), err == nil
}
