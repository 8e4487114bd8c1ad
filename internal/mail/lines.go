package mail

import (
	"strings"
	"unicode/utf8"
)

// maxWord is where a longer word is broken, so that no line can reach the 998 octets that mail allows (RFC 5322
// §2.1.1).
const maxWord = 900

// Clip returns s where it has at most the given number of octets, else as many of its beginning, ended at a character,
// and "...". Octets that are no UTF-8 do not survive the cut.
func Clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// Wrap breaks a text at its words into lines of at most width characters, longer only where a word is. The first line
// begins with first, each further one with rest. It returns at least one line.
func Wrap(first, rest, text string, width int) []string {
	var lines []string
	line, empty := first, true
	used := utf8.RuneCountInString(first)
	for _, word := range Words(text) {
		n := utf8.RuneCountInString(word)
		if !empty && used+1+n > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line, used, empty = rest, utf8.RuneCountInString(rest), true
		}
		if !empty {
			line, used = line+" ", used+1
		}
		line, used, empty = line+word, used+n, false
	}
	return append(lines, strings.TrimRight(line, " "))
}

// Words splits a text at white space, and breaks at a character what is too long for any line of mail.
func Words(text string) []string {
	var words []string
	for _, w := range strings.Fields(text) {
		for len(w) > maxWord {
			cut := maxWord
			for cut > 0 && !utf8.RuneStart(w[cut]) {
				cut--
			}
			if cut == 0 {
				cut = maxWord
			}
			words, w = append(words, w[:cut]), w[cut:]
		}
		words = append(words, w)
	}
	return words
}
