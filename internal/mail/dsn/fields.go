package dsn

import (
	"fmt"
	"strings"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp"
)

// fields collects header-like lines, folded where they grow long. ascii keeps every character below 128.
type fields struct {
	b     strings.Builder
	ascii bool
}

const foldAt = 76

// add writes "name: value", folded at spaces; nothing when value is empty. value holds no line breaks.
func (f *fields) add(name, value string) {
	if value == "" {
		return
	}
	if f.ascii {
		value = asciiOnly(value)
	}
	line := name + ":"
	for _, w := range mail.Words(value) {
		if len(line)+1+len(w) > foldAt && len(line) > len(name)+1 && strings.TrimSpace(line) != "" {
			f.b.WriteString(line + "\r\n")
			line = " " + w
			continue
		}
		line += " " + w
	}
	f.b.WriteString(line + "\r\n")
}

// asciiOnly writes characters above 127 as \x{HEX}, the form RFC 6533 §3 gives addresses.
func asciiOnly(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c < 0x80 {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, c)
		}
	}
	return b.String()
}

// machine writes the delivery-status part: one block about the message, one for each recipient (RFC 3464 §2.1).
func (r *Report) machine() string {
	f := &fields{ascii: !r.UTF8}
	f.add("Original-Envelope-Id", printableXtext(r.EnvID))
	f.add("Reporting-MTA", "dns; "+r.ReportingMTA.String())
	f.add("Arrival-Date", date(r.ArrivedAt))
	f.add("X-Postern-Queue-Id", safeName(r.About))
	for i := range r.Recipients {
		f.b.WriteString("\r\n")
		r.Recipients[i].machine(f)
	}
	return f.b.String()
}

// machine writes the fields of one recipient (RFC 3464 §2.3).
func (rcpt *Recipient) machine(f *fields) {
	f.add("Original-Recipient", originalRecipient(rcpt.ORCPT, f.ascii))
	f.add("Final-Recipient", finalRecipient(rcpt.Address, f.ascii))
	f.add("Action", string(rcpt.Action))
	f.add("Status", rcpt.status())
	f.add("Remote-MTA", rcpt.remoteMTA())
	f.add("Diagnostic-Code", rcpt.diagnostic())
	f.add("Last-Attempt-Date", date(rcpt.LastAttempt))
	if rcpt.Action == Delayed {
		f.add("Will-Retry-Until", date(rcpt.abandoned()))
	}
	f.add("X-Postern-Rule", list(rcpt.Rules))
	f.add("X-Postern-Requires", rcpt.Requires.String())
	if rcpt.Action == Delivered || rcpt.Action == Relayed {
		f.add("X-Postern-Reached", rcpt.Reached.String())
	}
}

// class is the first digit of a status that agrees with the action (RFC 3464 §2.3.4).
func (a Action) class() string {
	switch a {
	case Failed:
		return "5"
	case Delayed:
		return "4"
	}
	return "2"
}

// status is the recipient's enhanced code: the one given, else the reason's; the class always follows the action.
func (rcpt *Recipient) status() string {
	detail := "0.0"
	if _, rest, ok := strings.Cut(rcpt.Status, "."); ok && validDetail(rest) {
		detail = rest
	} else if s := rcpt.info().Status; rcpt.Action.class() != "2" && validDetail(s) {
		detail = s
	}
	return rcpt.Action.class() + "." + detail
}

// validDetail reports whether s is subject "." detail, each of 1 to 3 digits (RFC 3463 §2).
func validDetail(s string) bool {
	subject, detail, ok := strings.Cut(s, ".")
	return ok && threeDigits(subject) && threeDigits(detail)
}

func threeDigits(s string) bool {
	return len(s) > 0 && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// remoteMTA names the server that decided, "" when none was reached or the gateway decided by itself.
func (rcpt *Recipient) remoteMTA() string {
	if rcpt.Attempt == nil || rcpt.own() {
		return ""
	}
	host := ""
	if rcpt.Attempt.Reply != nil {
		host = rcpt.Attempt.Reply.Host
	}
	if t := rcpt.Attempt.Telling(); host == "" && t != nil && t.IP.IsValid() {
		host = t.Host
		if host == "" {
			host = "[" + t.IP.String() + "]"
		}
	}
	if host == "" {
		return ""
	}
	return "dns; " + safeName(host)
}

// diagnostic is the peer's reply where the peer decided, else our reason. Nothing for a success.
func (rcpt *Recipient) diagnostic() string {
	if rcpt.Action == Delivered || rcpt.Action == Relayed {
		return ""
	}
	byPeer := rcpt.Reason == policy.Remote4xx || rcpt.Reason == policy.Remote5xx || rcpt.Reason == ""
	if byPeer && rcpt.Attempt != nil && rcpt.Attempt.Reply != nil {
		return "smtp; " + replyLine(rcpt.Attempt.Reply)
	}
	if rcpt.ByRule != "" {
		return "x-postern; rule " + safe(rcpt.ByRule) + ": " + sentence(rcpt)
	}
	if rcpt.Reason == "" {
		return ""
	}
	return "x-postern; " + string(rcpt.Reason) + ": " + sentence(rcpt)
}

// finalRecipient is the address with its type. Without UTF8 an internationalised address takes the
// utf-8-addr-xtext form of RFC 6533 §3.
func finalRecipient(a mail.Address, ascii bool) string {
	switch {
	case a.IsASCII():
		return "rfc822; " + smtp.Printable(a.String(), 400)
	case ascii:
		return "utf-8; " + utf8Xtext(a.String())
	}
	return "utf-8; " + smtp.Printable(a.String(), 400)
}

// utf8Xtext encodes for RFC 6533 §3: characters above 127, backslash, plus, equals and controls become \x{HEX}.
func utf8Xtext(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c > ' ' && c < 0x7f && c != '\\' && c != '+' && c != '=' {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, c)
		}
	}
	return b.String()
}

// originalRecipient is ORCPT with its xtext taken off (RFC 3461 §6.3), "" when it was absent or cannot be shown.
func originalRecipient(orcpt string, ascii bool) string {
	kind, value, ok := strings.Cut(orcpt, ";")
	if !ok || kind == "" || strings.Trim(strings.ToLower(kind), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return ""
	}
	if strings.EqualFold(kind, "utf-8") && ascii {
		// utf-8-addr-xtext may stand here as it came; utf-8-addr-unitext may not.
		return "utf-8; " + asciiOnly(smtp.Printable(value, 500))
	}
	value = printableXtext(value)
	if value == "" {
		return ""
	}
	return strings.ToLower(kind) + "; " + value
}

// printableXtext decodes xtext. Where the decoded form is no printable line, the encoded form is kept, escaped.
func printableXtext(s string) string {
	if s == "" {
		return ""
	}
	decoded, err := smtp.DecodeXtext(s)
	if err != nil || decoded == "" || strings.TrimSpace(decoded) != decoded || smtp.Printable(decoded, 500) != decoded {
		return smtp.Printable(s, 500)
	}
	return decoded
}
