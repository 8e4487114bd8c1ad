package smtp

import (
	"strings"

	"postern/internal/mail"
)

// side says whose path is read; it decides the subject of the enhanced code.
type side uint8

const (
	reverse side = iota // MAIL FROM
	forward             // RCPT TO
)

// badAddress is the enhanced code for a mailbox that cannot be read (RFC 3463 §3.2).
func (s side) badAddress() string {
	if s == reverse {
		return "5.1.7"
	}
	return "5.1.3"
}

// readPath reads keyword "<" path ">" and returns the address and what follows the bracket. One run of spaces after
// the colon is tolerated because many clients send it; missing brackets are not.
func readPath(arg, keyword string, s side) (a mail.Address, rest string, no *Refusal) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return a, "", &Refusal{501, "5.5.2", "syntax: " + s.syntax()}
	}
	arg = strings.TrimLeft(arg[len(keyword):], " ")
	end := pathEnd(arg)
	if end < 0 {
		return a, "", &Refusal{501, "5.5.2", "the address must stand in angle brackets: " + s.syntax()}
	}
	inner, rest := arg[1:end], arg[end+1:]
	if rest != "" && rest[0] != ' ' {
		return a, "", &Refusal{501, "5.5.2", "a space must follow the closing bracket"}
	}
	a, no = readMailbox(inner, s)
	return a, rest, no
}

func (s side) syntax() string {
	if s == reverse {
		return "MAIL FROM:<address> [parameters]"
	}
	return "RCPT TO:<address> [parameters]"
}

// pathEnd returns the index of the ">" that closes the "<" at 0, looking past quoted strings; -1 when there is none.
func pathEnd(s string) int {
	if !strings.HasPrefix(s, "<") {
		return -1
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// maxPath is how many octets a path may have with its brackets (RFC 5321 §4.5.3.1.3). It is the only limit of length:
// local parts over 64 octets are what SRS and VERP make.
const maxPath = 256

func readMailbox(s string, who side) (mail.Address, *Refusal) {
	switch {
	case s == "" && who == reverse:
		return mail.Address{}, nil
	case s == "":
		return mail.Address{}, &Refusal{501, "5.1.3", "a recipient cannot be the null address"}
	case strings.HasPrefix(s, "@"):
		return mail.Address{}, who.sourceRoute()
	case who == forward && strings.EqualFold(s, "postmaster"): // RFC 5321 §4.5.1
		return mail.Address{Local: "postmaster"}, nil
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return mail.Address{}, &Refusal{553, who.badAddress(), "the address is not a valid mailbox"}
	}
	if min(len(s), len(a.String())) > maxPath-2 { // whichever spelling is shorter
		return mail.Address{}, &Refusal{553, who.badAddress(), "the address is too long"}
	}
	return a, nil
}

// sourceRoute refuses "<@relay.test:user@host.test>" (RFC 5321 §F.2), the oldest way to ask for relaying.
func (s side) sourceRoute() *Refusal {
	if s == reverse {
		return &Refusal{553, "5.1.7", "source routes are refused"}
	}
	return &Refusal{550, "5.7.1", "source routes are refused"}
}
