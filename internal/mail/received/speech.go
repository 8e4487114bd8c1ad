package received

import (
	"regexp"
	"slices"
	"strings"
)

// What a line says about TLS outside the forms that name a version and a cipher: bare statements, denials, and words
// that only show that there is more than was understood.

var (
	// Mimecast, Postini: (Using TLS), (using TLSv1); others: (TLS), (TLS: yes), (encrypted)
	bareForm = regexp.MustCompile(`(?i)^(?:(?:using|with|over|via|secured by|encrypted (?:with|by|using)) )?` +
		`(?:START)?((?:TLS|SSL)(?:v?\d[\d._]*)?)` +
		`(?: (?:encrypted|enabled|session|connection|on|yes)|[:=] ?(?:yes|on|true|1))?$`)
	encryptedOnly = regexp.MustCompile(`(?i)^encrypted(?:[:=] ?(?:yes|on|true|1)| (?:session|connection))?$`)
	// IronPort: ESMTP/TLS/NAME, ESMTP/TLS
	slashForm = regexp.MustCompile(`(?i)^(?:UTF8)?E?SMTPA?/((?:TLS|SSL)(?:v?\d[\d._]*)?)(?:/(\S+))?$`)
	// MessageLabs: NAME encrypted SMTP
	wordsForm = regexp.MustCompile(`(?i)^(?:((?:TLS|SSL)v?\d\S*) )?(\S+) encrypted (?:UTF8)?E?SMTPA?$`)

	denial = regexp.MustCompile(`(?i)\b(?:no|not|non|without)[ -](?:(?:using|use of|over|with|any|a|an) )*` +
		`(?:START)?(?:TLS|SSL|encrypt|secure)` +
		`|\bunencrypted|\bunsecured|\bplain ?text|\bclear ?text` +
		`|\b(?:TLS|SSL|encryption|encrypted|cipher|version)[:=] ?(?:no|none|off|false|0)\b`)
	tlsWord = regexp.MustCompile(`(?i)^(?:(?:START)?(?:TLS|SSL)v?[\d._]*(?:[-_][a-z]+)?` +
		`|(?:UTF8)?(?:E?SMTP|LMTP|ASMTP)SA?|HTTPS|cipher|ciphersuite|(?:de-?|en-?)?crypted|encryption|secured)$`)
	cipherWord = regexp.MustCompile(`(?i)^(?:(?:TLS|SSL)\d*_[a-z0-9_]+|[a-z0-9]+(?:[-_]+[a-z0-9]+)*)$`)
	cipherPart = regexp.MustCompile(`(?i)(?:^|[-_])` +
		`(?:A?ECDHE?|A?DHE?|EDH|AES_?\d*|CHACHA20|RC4|3?DES|CBC3|CAMELLIA\d*|ARIA\d*)(?:[-_]|$)`)
	cipherEnd  = regexp.MustCompile(`(?i)(?:^|[-_])(?:SHA\d*|MD5|GCM|CCM8?|POLY1305|CBC)(?:[-_]|$)`)
	aboutCerts = regexp.MustCompile(`(?i)\bclient certificate\b|\btransport security\b`)
)

// speech is what the writer says about TLS in places of its own.
type speech struct {
	denied    bool // in so many words, that there was none
	mentioned bool // a word that only a TLS session has
}

// listen collects the speech of a line. Words of the peer's are left out as far as the place tells them apart.
func (l *Line) listen(c clauses) speech {
	s := speech{mentioned: c.has("tls")}
	for _, text := range l.ownTexts(c) {
		if denial.MatchString(text) {
			s.denied = true
			continue
		}
		s.mentioned = s.mentioned || speaksOfTLS(text)
	}
	return s
}

// ownTexts are the comments and further words of a line that are the writer's. The first word of a clause is a name, an
// address or an identifier, which only chance makes look like something else; that of "with" is the protocol.
func (l *Line) ownTexts(c clauses) []string {
	texts := append(l.peerless(c), c.own("by", "via", "with", "id", "for", "tls", afterDate)...)
	texts = append(texts, strings.Join(c.words("with"), " "), strings.Join(c.words(afterDate), " "))
	for _, name := range []string{"from", "by", "via", "id", "for"} {
		if words := c.words(name); len(words) > 1 {
			texts = append(texts, strings.Join(words[1:], " "))
		}
	}
	return append(texts, c.stray()...)
}

// peerless are the comments about the peer without those that hold its words: what it called itself, the name of its
// address, its certificate. Behind the address the writer speaks again.
func (l *Line) peerless(c clauses) []string {
	var out []string
	for _, text := range slices.Concat(c.comments(""), c.comments("from")) {
		switch {
		case qmailHelo.MatchString(text), qmailPass.MatchString(text), heloAssign.MatchString(text), isEnvelope(text),
			clientName.MatchString(text):
			continue
		case l.Form == Stalwart && strings.Contains(text, "]"): // the comment ends with the name of the peer's network
			continue
		}
		out = append(out, strings.TrimSpace(text[addressEnd(text):]))
	}
	return out
}

// maxAddress bounds how far the beginning of an address is looked for, which keeps the work linear.
const maxAddress = 64

// addressEnd returns where the last address in brackets ends, 0 without one.
func addressEnd(text string) int {
	for end := strings.LastIndexByte(text, ']'); end >= 0; end = strings.LastIndexByte(text[:end], ']') {
		near := text[max(0, end-maxAddress):end]
		if begin := strings.LastIndexByte(near, '['); begin >= 0 && isIP(near[begin:]+"]") {
			return end + 1
		}
	}
	return 0
}

// speaksOfTLS reports whether a text has a word that only a TLS session has. Names of hosts are no words.
func speaksOfTLS(text string) bool {
	if aboutCerts.MatchString(text) {
		return true
	}
	return slices.ContainsFunc(strings.FieldsFunc(text, isWordEnd), func(w string) bool {
		w = strings.TrimRight(w, ".")
		return tlsWord.MatchString(w) || isCipher(w)
	})
}

// isWordEnd holds for all that no name, address or cipher has in it.
func isWordEnd(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	return r < 0x80 && !letter && (r < '0' || r > '9') && !strings.ContainsRune("._-@", r)
}

// isCipher reports whether a word is the name of a cipher suite.
func isCipher(w string) bool {
	return len(w) < 80 && cipherWord.MatchString(w) && cipherPart.MatchString(w) &&
		(cipherEnd.MatchString(w) || strings.HasPrefix(w, "TLS_"))
}

// readBare reads a comment that states a session and no more than its version.
func (l *Line) readBare(text string) bool {
	if encryptedOnly.MatchString(text) {
		return true
	}
	m := bareForm.FindStringSubmatch(text)
	if m != nil && strings.ContainsAny(m[1], "0123456789") {
		l.Version = m[1]
	}
	return m != nil
}

// readWith reads the session out of the words after "with", where IronPort, MessageLabs and Mimecast write it.
func (l *Line) readWith(words []string) bool {
	if len(words) == 0 {
		return false
	}
	if m := slashForm.FindStringSubmatch(words[0]); m != nil {
		l.readBare(m[1])
		l.Cipher = m[2]
		return true
	}
	if m := wordsForm.FindStringSubmatch(strings.Join(words, " ")); m != nil {
		l.Version, l.Cipher = m[1], m[2]
		return !denial.MatchString(m[2])
	}
	return len(words) > 1 && l.readBare(strings.Join(words[1:], " "))
}
