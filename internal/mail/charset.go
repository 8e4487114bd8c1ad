package mail

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// charsetAliases are names that mail programs write and no registry has, and charsets that are always meant when a part
// of them is named.
var charsetAliases = map[string]string{
	"gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "ms936": "gb18030", "gb_2312-80": "gb18030",
	"cp932": "shift_jis", "cp949": "euc-kr", "ms949": "euc-kr", "cp950": "big5", "ms950": "big5",
	"iso-2022-jp-1": "iso-2022-jp", "iso-2022-jp-ms": "iso-2022-jp", "cp50220": "iso-2022-jp", "cp50221": "iso-2022-jp",
}

// asciiNames are the names of US-ASCII, which browsers take for Windows-1252.
var asciiNames = []string{"us-ascii", "ascii", "ansi_x3.4-1968", "ansi_x3.4-1986", "iso646-us", "iso_646.irv:1991",
	"iso-ir-6", "us", "cp367", "ibm367", "csascii"}

// toUTF8 converts from a charset. ok is false where nothing could be converted; problem says, for people, why the text
// may not be what is meant.
func (r *wordReader) toUTF8(charset string, data []byte) (text string, ok bool, problem string) {
	charset = strings.TrimSpace(charset)
	switch {
	case strings.Contains(charset, "utf-7"), charset == "utf7":
		text, ok = decodeUTF7(string(data))
		return text, ok, "it has an encoded word in UTF-7"
	case slices.Contains(asciiNames, charset):
		if !isASCII(string(data)) {
			problem = "it has an encoded word in US-ASCII with octets above 127"
		}
		return string(data), true, problem
	}
	known, found := r.charsets[charset]
	if !found {
		known.encoding, known.name = findCharset(charset)
		if r.charsets == nil {
			r.charsets = map[string]knownCharset{}
		}
		r.charsets[charset] = known
	}
	enc, name := known.encoding, known.name
	switch {
	case enc == nil:
		return "", false, fmt.Sprintf("it has an encoded word in the unknown charset %.60q", charset)
	case name == "utf-8":
		text, ok = string(data), true
		if !utf8.ValidString(text) {
			problem = "it has an encoded word in UTF-8 with octets that are none"
		}
		return text, ok, problem
	case strings.HasPrefix(name, "utf-16"):
		return fromUTF16(charset, name, data)
	}
	decoded, err := enc.NewDecoder().Bytes(data)
	if slices.Contains([]rune(string(decoded)), utf8.RuneError) {
		problem = fmt.Sprintf("it has an encoded word with octets that are no %.60q", charset)
	}
	return string(decoded), err == nil, problem
}

// knownCharset is what findCharset returned.
type knownCharset struct {
	encoding encoding.Encoding
	name     string
}

// findCharset returns a charset by its name and the name browsers give it, "" where they give none; nil when it is not
// known or nobody converts it.
func findCharset(charset string) (encoding.Encoding, string) {
	if known, ok := charsetAliases[charset]; ok {
		charset = known
	}
	for _, spelled := range []string{charset, strings.ReplaceAll(charset, "_", "-")} {
		if enc, err := htmlindex.Get(spelled); err == nil {
			name, err := htmlindex.Name(enc)
			if err != nil || enc == encoding.Replacement || name == "x-user-defined" {
				return nil, ""
			}
			return enc, name
		}
		if enc, err := ianaindex.MIME.Encoding(spelled); err == nil && enc != nil {
			return enc, ""
		}
	}
	return nil, ""
}

// fromUTF16 converts UTF-16, whose order of octets the name or a mark says.
func fromUTF16(charset, name string, data []byte) (text string, ok bool, problem string) {
	order := unicode.LittleEndian
	switch {
	case strings.HasPrefix(string(data), "\xff\xfe"):
	case strings.HasPrefix(string(data), "\xfe\xff"), name == "utf-16be":
		order = unicode.BigEndian
	case charset != "utf-16le":
		problem = "it has an encoded word in UTF-16 that does not say in which order the octets are"
	}
	decoded, err := unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder().Bytes(data)
	text = strings.TrimPrefix(string(decoded), "\ufeff")
	if strings.ContainsRune(text, utf8.RuneError) {
		problem = "it has an encoded word in UTF-16 with octets that are none"
	}
	return text, err == nil, problem
}

// base64Digits are those of UTF-7 (RFC 2152).
const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// decodeUTF7 undoes UTF-7 (RFC 2152); ok is false when no shifted sequence of s is one.
func decodeUTF7(s string) (text string, ok bool) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "+")
		out.WriteString(before)
		if !found {
			return out.String(), ok
		}
		n := len(rest) - len(strings.TrimLeft(rest, base64Digits))
		switch decoded, valid := shifted(rest[:n]); {
		case valid:
			out.WriteString(decoded)
			s, ok = strings.TrimPrefix(rest[n:], "-"), true
		default:
			out.WriteString("+" + rest[:n])
			s = rest[n:]
		}
	}
}

// shifted reads the base64 of UTF-7: whole units of UTF-16, and fewer than six bits over, which are zero.
func shifted(digits string) (text string, ok bool) {
	var units []uint16
	bits, have := uint32(0), 0
	for i := range len(digits) {
		bits, have = bits<<6|uint32(strings.IndexByte(base64Digits, digits[i])), have+6
		if have >= 16 {
			have -= 16
			units = append(units, uint16(bits>>have))
			bits &= 1<<have - 1
		}
	}
	if len(units) == 0 || have >= 6 || bits != 0 {
		return "", false
	}
	return string(utf16.Decode(units)), true
}
