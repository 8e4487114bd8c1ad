package smtp

import (
	"iter"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"postern/internal/mail"
)

// Offered is what the receiving side offered in its EHLO reply, as far as parameters depend on it.
type Offered struct {
	// Extended: the peer said EHLO. After HELO no parameter is known.
	Extended bool
	// Auth: AUTH is offered, so that MAIL may carry the AUTH parameter (RFC 4954 §5).
	Auth bool
	// RequireTLS: REQUIRETLS is offered, which it is inside TLS only (RFC 8689 §2).
	RequireTLS bool
	// UTF8: the transaction was opened with SMTPUTF8. Only ParseRcpt looks at it.
	UTF8 bool
}

// MailCommand is a MAIL command taken apart.
type MailCommand struct {
	Envelope mail.Envelope
	// Size is what the peer declared, 0 when it did not. A number beyond an int64 is math.MaxInt64.
	Size int64
}

// ParseMail reads the argument of MAIL. A parameter about reports (RET, ENVID, and NOTIFY and ORCPT of RCPT) never
// refuses mail: it is mended where it can be read and passed over where it cannot.
func ParseMail(arg []byte, o Offered) (MailCommand, *Refusal) {
	var m MailCommand
	text := string(arg)
	from, rest, no := readPath(text, "FROM:", reverse)
	if no != nil {
		return m, no
	}
	m.Envelope.From = from
	var seen []string
	for field := range params(rest) {
		key, value, set := cutParam(field)
		if again, no := twice(&seen, key); no != nil {
			return m, no
		} else if again {
			continue
		}
		if no := m.param(key, value, set, o); no != nil {
			return m, no
		}
	}
	if needsUTF8(text) && !m.Envelope.UTF8 {
		return m, &Refusal{553, "5.6.7", "an internationalised address needs SMTPUTF8"}
	}
	return m, nil
}

// ParseRcpt reads the argument of RCPT.
func ParseRcpt(arg []byte, o Offered) (mail.Recipient, *Refusal) {
	var r mail.Recipient
	text := string(arg)
	to, rest, no := readPath(text, "TO:", forward)
	if no != nil {
		return r, no
	}
	r.Address = to
	if needsUTF8(text) && !o.UTF8 {
		return r, &Refusal{553, "5.6.7", "an internationalised address needs SMTPUTF8"}
	}
	var seen []string
	for field := range params(rest) {
		key, value, _ := cutParam(field)
		if again, no := twice(&seen, key); no != nil {
			return r, no
		} else if again {
			continue
		}
		if no := rcptParam(&r, key, value, o); no != nil {
			return r, no
		}
	}
	return r, nil
}

// params yields what stands between spaces.
func params(s string) iter.Seq[string] {
	return strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' })
}

// cutParam returns the keyword in upper case, the value, and whether "=" was there.
func cutParam(field string) (key, value string, set bool) {
	key, value, set = strings.Cut(field, "=")
	return strings.ToUpper(key), value, set
}

// twice reports whether a parameter was there before. One about reports is then passed over, the first counts.
func twice(seen *[]string, key string) (bool, *Refusal) {
	if !slices.Contains(*seen, key) {
		*seen = append(*seen, key)
		return false, nil
	}
	switch key {
	case "RET", "ENVID", "AUTH", "NOTIFY", "ORCPT":
		return true, nil
	}
	return true, &Refusal{501, "5.5.4", "a parameter is given twice"}
}

func needsUTF8(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

func unknown() *Refusal { return &Refusal{555, "5.5.4", "a parameter is not recognised"} }

func bad(what string) *Refusal {
	return &Refusal{501, "5.5.4", "the value of " + what + " is not valid"}
}

func (m *MailCommand) param(key, value string, set bool, o Offered) *Refusal {
	if !o.Extended {
		return unknown()
	}
	e := &m.Envelope
	switch key {
	case "SIZE": // RFC 1870 §3
		return parseSize(value, &m.Size)
	case "BODY": // RFC 6152
		switch strings.ToUpper(value) {
		case "7BIT":
		case "8BITMIME":
			e.Body = mail.Body8BitMIME
		default:
			return bad("BODY")
		}
	case "SMTPUTF8": // RFC 6531 §3.4: it has no value
		if set {
			return bad("SMTPUTF8")
		}
		e.UTF8 = true
	case "REQUIRETLS": // RFC 8689 §2: it has no value
		if set || !o.RequireTLS {
			return unknown()
		}
		e.RequireTLS = true
	case "RET": // RFC 3461 §4.3
		if r := mail.Return(strings.ToUpper(value)); r == mail.ReturnFull || r == mail.ReturnHeaders {
			e.Ret = r
		}
	case "ENVID": // RFC 3461 §4.4
		if id := mendXtext(value); len(id) <= 100 {
			e.EnvID = id
		}
	case "AUTH": // RFC 4954 §5: every sender is treated as if it had said AUTH=<>, which the RFC allows
		if !o.Auth {
			return unknown()
		}
	default:
		return unknown()
	}
	return nil
}

func parseSize(value string, into *int64) *Refusal {
	if value == "" || len(value) > 20 {
		return bad("SIZE")
	}
	var n int64
	for i := range len(value) {
		c := value[i]
		if c < '0' || c > '9' {
			return bad("SIZE")
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(c-'0')
	}
	*into = n
	return nil
}

func rcptParam(r *mail.Recipient, key, value string, o Offered) *Refusal {
	if !o.Extended {
		return unknown()
	}
	switch key {
	case "NOTIFY": // RFC 3461 §4.1
		r.Notify = parseNotify(value)
	case "ORCPT": // RFC 3461 §4.2
		r.ORCPT = mendORCPT(value)
	default:
		return unknown()
	}
	return nil
}

// parseNotify reads the words it knows. NEVER beside others contradicts them, and then counts as not said.
func parseNotify(value string) mail.Notify {
	if strings.EqualFold(value, "NEVER") {
		return mail.NotifyNever
	}
	var n mail.Notify
	for word := range strings.SplitSeq(value, ",") {
		switch strings.ToUpper(word) {
		case "SUCCESS":
			n |= mail.NotifySuccess
		case "FAILURE":
			n |= mail.NotifyFailure
		case "DELAY":
			n |= mail.NotifyDelay
		}
	}
	return n
}

// mendORCPT returns addr-type ";" xtext in the form the next server takes, "" for what cannot be read or is longer than
// 500 octets. The type "utf-8" may carry UTF-8 itself (RFC 6533 §3).
func mendORCPT(s string) string {
	kind, value, ok := strings.Cut(s, ";")
	if !ok || kind == "" || value == "" {
		return ""
	}
	for i := range len(kind) {
		if c := kind[i]; c <= ' ' || c > '~' || strings.IndexByte(`()<>@,;:\".[]=`, c) >= 0 {
			return ""
		}
	}
	if strings.EqualFold(kind, "utf-8") && needsUTF8(value) {
		if len(s) > 500 || !utf8.ValidString(value) || !isXtext(strings.Map(asciiOnly, value)) {
			return ""
		}
		return s
	}
	mended := mendXtext(value)
	if mended == "" || len(kind)+1+len(mended) > 500 {
		return ""
	}
	return kind + ";" + mended
}

// asciiOnly drops letters beyond ASCII.
func asciiOnly(r rune) rune {
	if r >= utf8.RuneSelf {
		return -1
	}
	return r
}

// isXtext reports whether s is xtext (RFC 3461 §4).
func isXtext(s string) bool {
	_, err := DecodeXtext(s)
	return err == nil
}
