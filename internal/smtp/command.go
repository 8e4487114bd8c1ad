package smtp

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Verb is the first word of a command line.
type Verb uint8

// The verbs the gateway knows. VerbUnknown is everything else; VerbForeign are the first words of other protocols,
// which a browser can be made to send here.
const (
	VerbUnknown Verb = iota
	VerbForeign
	VerbEHLO
	VerbHELO
	VerbSTARTTLS
	VerbAUTH
	VerbMAIL
	VerbRCPT
	VerbDATA
	VerbBDAT
	VerbRSET
	VerbNOOP
	VerbVRFY
	VerbEXPN
	VerbHELP
	VerbQUIT
)

var verbNames = [...]string{"", "", "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP",
	"VRFY", "EXPN", "HELP", "QUIT"}

// String returns the verb in upper case, "" for one that is not known.
func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return ""
}

// Command is a command line taken apart. Arg aliases the line it was parsed from.
type Command struct {
	Verb Verb
	// Arg is what follows the verb and one space, without trailing white space (RFC 5321 §4.1.1).
	Arg []byte
}

// ParseCommand splits a line that came without its CRLF. It never fails: what it does not know is VerbUnknown.
func ParseCommand(line []byte) Command {
	line = bytes.TrimRight(line, " \t")
	word, arg, _ := bytes.Cut(line, []byte{' '})
	return Command{Verb: parseVerb(word), Arg: arg}
}

func parseVerb(word []byte) Verb {
	for v := VerbEHLO; int(v) < len(verbNames); v++ {
		if equalFold(word, verbNames[v]) {
			return v
		}
	}
	switch string(word) {
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "Host:", "User-Agent:", "Content-Length:":
		return VerbForeign
	}
	return VerbUnknown
}

// equalFold compares with an upper-case ASCII word, without allocation and without Unicode folding.
func equalFold(b []byte, upper string) bool {
	if len(b) != len(upper) {
		return false
	}
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

// CleanLine reports whether a command line has only octets a command may have: printable ASCII, space, tab, and octets
// above 127 as UTF-8 needs them. NUL, bare CR, escape sequences and DEL are refused before anything looks at the line.
func CleanLine(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Refusal is why a command was not understood, with the code the peer hears. Values are never changed.
type Refusal struct {
	Code   int
	Status string // enhanced code
	Text   string // a public sentence, nothing of the peer's in it
}

// Error returns the sentence.
func (r *Refusal) Error() string { return r.Text }

// OwnHello reads the argument of EHLO or HELO from a client of our own side: devices call themselves "BÜRO-PC",
// "(none)", "anna's laptop" or nothing. What they say is kept as it is, but that anything which is no printable
// character becomes "?"; whoever prints it in a header escapes more. Only what is too long is refused.
func OwnHello(arg []byte) (name string, no *Refusal) {
	arg = bytes.Trim(arg, " \t")
	if len(arg) > maxHello {
		return "", &Refusal{501, "5.5.4", "a host name or address literal of 1 to 255 octets must follow"}
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r != ' ' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(arg)), nil
}

// maxHello is how many octets a name in EHLO may have.
const maxHello = 255

// ParseHello reads the argument of EHLO or HELO: one word of printable ASCII without characters that have a meaning in
// a Received line. Anything a server calls itself passes, a name that would have to be escaped does not.
func ParseHello(arg []byte) (name string, no *Refusal) {
	arg = bytes.TrimLeft(arg, " ")
	if len(arg) == 0 || len(arg) > maxHello {
		return "", &Refusal{501, "5.5.4", "a host name or address literal of 1 to 255 octets must follow"}
	}
	for _, c := range arg {
		if c <= ' ' || c > '~' || bytes.IndexByte([]byte(`()<>@,;\"`), c) >= 0 {
			return "", &Refusal{501, "5.5.4", "this is no host name"}
		}
	}
	return string(arg), nil
}
