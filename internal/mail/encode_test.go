package mail_test

import (
	"mime"
	netmail "net/mail"
	"regexp"
	"strings"
	"testing"

	"postern/internal/mail"
)

// names are texts as people and strangers write them.
var names = []string{"Example GmbH", "Bücher GmbH, Wien (Praxis)", `Bücher "Wien" <x@y.test>`, `a "b" \c`, "Müller; Söhne: Co. @home",
	"=?utf-8?q?=0d?=", "ü =?utf-8?q?x?= [a]", "日本語の会社、株式会社 (東京)", strings.Repeat("ü", 300), "x\r\nBcc: y@z.test", "", "_=?", "😀" + strings.Repeat("a", 61) + "😀"}

// phraseWord is an encoded word as a phrase may hold it (RFC 2047 §5 (3)).
var phraseWord = regexp.MustCompile(`^=\?utf-8\?q\?[A-Za-z0-9!*+/=_-]*\?=$`)

func TestAnyNameMakesAPhrase(t *testing.T) {
	for _, name := range names {
		phrase := mail.EncodePhrase(name)
		parsed, err := netmail.ParseAddress(phrase + " <a@b.test>")
		if err != nil || parsed.Name != name {
			t.Errorf("%q as %s: %+v, %v", name, phrase, parsed, err)
		}
		if strings.HasPrefix(phrase, `"`) {
			continue
		}
		for word := range strings.SplitSeq(phrase, " ") {
			if !phraseWord.MatchString(word) || len(word) > 75 {
				t.Errorf("%q: the word %s (%d octets)", name, word, len(word))
			}
		}
	}
}

func TestAnyTextFitsAField(t *testing.T) {
	for _, text := range names {
		said := mail.EncodeText(text)
		if got, err := new(mime.WordDecoder).DecodeHeader(said); err != nil || got != text {
			t.Errorf("%q as %s: %q, %v", text, said, got, err)
		}
		if strings.ContainsAny(said, "\r\n") {
			t.Errorf("%q breaks its line", said)
		}
	}
}
