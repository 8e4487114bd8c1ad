package mail

import (
	"strings"
	"unicode/utf8"
)

// BodyText converts the text of a body part from its charset, "" where the part does not say one. The text is always
// valid UTF-8; problem says, as the end of a sentence about the part, why people may read something else, "" that they
// do not. Charsets are those that encoded words know.
func BodyText(charset string, data []byte) (text, problem string) {
	charset = strings.ToLower(strings.TrimSpace(charset))
	if charset == "" {
		return strings.ToValidUTF8(string(data), "\uFFFD"), unreadable(string(data))
	}
	var r wordReader
	text, ok, problem := r.toUTF8(charset, data)
	if !ok {
		text = string(data)
		if problem == "" {
			problem = "it has an encoded word that cannot be converted"
		}
	}
	if problem == "" && !utf8.ValidString(text) {
		problem = "it has an encoded word with octets that are no text"
	}
	return strings.ToValidUTF8(text, "\uFFFD"), strings.Replace(problem, "it has an encoded word", "it has a text", 1)
}
