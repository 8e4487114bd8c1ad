package smtpclient

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"postern/internal/mail"
)

// appendMail appends the MAIL command with the parameters the peer understands.
func (s *sending) appendMail(b []byte) []byte {
	env := &s.t.Envelope
	b = append(b, "MAIL FROM:<"...)
	b = appendAddress(b, env.From)
	b = append(b, '>')
	ext := &s.c.ext
	if ext.Size {
		b = strconv.AppendInt(append(b, " SIZE="...), s.size, 10) // RFC 1870 §6
	}
	if ext.EightBit && !s.convert && (s.t.EightBit || env.Body == mail.Body8BitMIME) {
		b = append(b, " BODY=8BITMIME"...) // RFC 6152 §2
	}
	if s.utf8 {
		b = append(b, " SMTPUTF8"...) // RFC 6531 §3.4
	}
	if env.RequireTLS { // RFC 8689 §4.2.1: judge has seen to it that it is offered
		b = append(b, " REQUIRETLS"...)
	}
	if !ext.DSN {
		return append(b, '\r', '\n')
	}
	if env.Ret != mail.ReturnUnsaid {
		b = append(append(b, " RET="...), env.Ret...) // RFC 3461 §4.3
	}
	if env.EnvID != "" && isValue(env.EnvID) {
		b = append(append(b, " ENVID="...), env.EnvID...) // RFC 3461 §4.4
	}
	return append(b, '\r', '\n')
}

// appendRcpt appends the RCPT command of one recipient.
func (s *sending) appendRcpt(b []byte, rcpt *mail.Recipient) []byte {
	b = append(b, "RCPT TO:<"...)
	b = appendAddress(b, rcpt.Address)
	b = append(b, '>')
	if s.c.ext.DSN {
		b = appendNotify(b, rcpt.Notify)
		if rcpt.ORCPT != "" {
			b = s.appendORCPT(b, rcpt.ORCPT)
		}
	}
	return append(b, '\r', '\n')
}

// appendAddress appends the wire form without making a string of it.
func appendAddress(b []byte, a mail.Address) []byte {
	b = append(b, a.Local...)
	if !a.Domain.IsZero() {
		b = append(append(b, '@'), a.Domain.String()...)
	}
	return b
}

// appendNotify appends NOTIFY (RFC 3461 §4.1); nothing where the sender did not say.
func appendNotify(b []byte, n mail.Notify) []byte {
	if n == 0 {
		return b
	}
	b = append(b, " NOTIFY="...)
	if n&mail.NotifyNever != 0 {
		return append(b, "NEVER"...)
	}
	for i, name := range [...]string{"SUCCESS", "FAILURE", "DELAY"} {
		if n&(mail.NotifySuccess<<i) == 0 {
			continue
		}
		if b[len(b)-1] != '=' {
			b = append(b, ',')
		}
		b = append(b, name...)
	}
	return b
}

// appendORCPT appends ORCPT. An internationalised value goes as it is to a peer that was told SMTPUTF8, otherwise in
// the ASCII form of RFC 6533 §3, where a character is \x{HEX}.
func (s *sending) appendORCPT(b []byte, value string) []byte {
	if !isValue(value) {
		return b
	}
	b = append(b, " ORCPT="...)
	if s.utf8 || isASCII(value) {
		return append(b, value...)
	}
	for _, r := range value {
		if r < utf8.RuneSelf {
			b = append(b, byte(r))
		} else {
			b = fmt.Appendf(b, `\x{%X}`, r)
		}
	}
	return b
}

// isValue reports whether s can stand as a parameter's value without breaking the command.
func isValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// isSendable reports whether an address can stand in a command: nothing in it may end the line or the path.
func isSendable(a mail.Address) bool {
	quoted := len(a.Local) > 0 && a.Local[0] == '"'
	for i := range len(a.Local) {
		c := a.Local[i]
		if c < ' ' || c == 0x7f || !quoted && (c == ' ' || c == '<' || c == '>') {
			return false
		}
	}
	return utf8.ValidString(a.Local)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
