package dsn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"postern/internal/mail"
)

// ErrParse is wrapped by every error of Parse.
var ErrParse = errors.New("not a delivery status notification")

// Parsed is what a notice says, text decoded. It is read from any sender's notice, so every string in it is hostile.
type Parsed struct {
	From, To, Subject, MessageID string
	Date                         time.Time
	// Human is the first part.
	Human string
	// UTF8 says the machine part is the global form of RFC 6533.
	UTF8                 bool
	ReportingMTA, EnvID  string
	ArrivedAt            time.Time
	Recipients           []ParsedRecipient
	Original             []byte
	OriginalFull         bool
	AutoSubmitted        string
	OriginalDescriptions []string // the content types of the parts after the second
}

// ParsedRecipient is one recipient's block. Address types are taken off; Fields has every field by lower-case name.
type ParsedRecipient struct {
	Final, Original             string
	Action                      Action
	Status, RemoteMTA           string
	DiagnosticType, Diagnostic  string
	LastAttempt, WillRetryUntil time.Time
	Fields                      map[string]string
}

// Parse reads a notice. It never panics and its work is linear in the length of b.
func Parse(b []byte) (*Parsed, error) {
	head, body := splitHeader(b)
	kind, params, err := mime.ParseMediaType(head["content-type"])
	if err != nil || kind != "multipart/report" || params["boundary"] == "" {
		return nil, fmt.Errorf("%w: the content type is %q", ErrParse, mail.Clip(head["content-type"], 80))
	}
	words := &mime.WordDecoder{}
	subject, err := words.DecodeHeader(head["subject"])
	if err != nil {
		subject = head["subject"]
	}
	p := &Parsed{From: head["from"], To: head["to"], Subject: subject, MessageID: head["message-id"],
		Date: parseDate(head["date"]), AutoSubmitted: head["auto-submitted"]}
	parts := splitParts(body, params["boundary"])
	if len(parts) < 2 {
		return nil, fmt.Errorf("%w: it has %d parts, want at least 2", ErrParse, len(parts))
	}
	for i, raw := range parts {
		if err := p.takePart(i, raw); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Parsed) takePart(i int, raw []byte) error {
	head, content := splitHeader(raw)
	kind, _, err := mime.ParseMediaType(head["content-type"])
	if err != nil {
		kind = "text/plain"
	}
	if strings.EqualFold(head["content-transfer-encoding"], "quoted-printable") {
		decoded, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(content)))
		if err != nil {
			return fmt.Errorf("%w: part %d is no quoted-printable", ErrParse, i+1)
		}
		content = decoded
	}
	switch {
	case i == 0:
		p.Human = string(content)
	case i == 1:
		if kind != "message/delivery-status" && kind != "message/global-delivery-status" {
			return fmt.Errorf("%w: the second part is %q", ErrParse, mail.Clip(kind, 80))
		}
		p.UTF8 = kind == "message/global-delivery-status"
		return p.takeStatus(content)
	default:
		p.OriginalDescriptions = append(p.OriginalDescriptions, kind)
		p.Original = content
		p.OriginalFull = kind == "message/rfc822" || kind == "message/global"
	}
	return nil
}

// takeStatus reads the blocks of the machine part.
func (p *Parsed) takeStatus(content []byte) error {
	about, rest := splitHeader(content)
	p.ReportingMTA = afterType(about["reporting-mta"])
	p.EnvID = about["original-envelope-id"]
	p.ArrivedAt = parseDate(about["arrival-date"])
	for len(bytes.TrimSpace(rest)) > 0 {
		var block map[string]string
		block, rest = splitHeader(bytes.TrimLeft(rest, "\r\n"))
		r := ParsedRecipient{Final: afterType(block["final-recipient"]),
			Original: afterType(block["original-recipient"]),
			Action:   Action(strings.ToLower(block["action"])), Status: block["status"],
			RemoteMTA:   afterType(block["remote-mta"]),
			LastAttempt: parseDate(block["last-attempt-date"]), WillRetryUntil: parseDate(block["will-retry-until"]),
			Fields: block}
		if kind, text, ok := strings.Cut(block["diagnostic-code"], ";"); ok {
			r.DiagnosticType, r.Diagnostic = strings.TrimSpace(kind), strings.TrimSpace(text)
		}
		if r.Final == "" || r.Action == "" || r.Status == "" {
			return fmt.Errorf("%w: recipient %d lacks a field that must be there", ErrParse, len(p.Recipients)+1)
		}
		p.Recipients = append(p.Recipients, r)
	}
	if len(p.Recipients) == 0 {
		return fmt.Errorf("%w: it speaks of no recipient", ErrParse)
	}
	return nil
}

// afterType takes the type off "rfc822; a@b" and decodes the address form of RFC 6533.
func afterType(s string) string {
	kind, value, ok := strings.Cut(s, ";")
	if !ok {
		return s
	}
	value = strings.TrimSpace(value)
	if strings.EqualFold(strings.TrimSpace(kind), "utf-8") {
		return fromUTF8Xtext(value)
	}
	return value
}

// fromUTF8Xtext undoes utf8Xtext; what is no escape stays as it is.
func fromUTF8Xtext(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		digits, after, closed := strings.Cut(rest, "}")
		var c rune
		if n, err := fmt.Sscanf(digits, "%X", &c); !closed || n != 1 || err != nil || len(digits) > 6 {
			b.WriteString(`\x{`)
			s = rest
			continue
		}
		b.WriteRune(c)
		s = after
	}
}

func parseDate(s string) time.Time {
	t, err := time.Parse(dateForm, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// splitHeader reads header fields up to an empty line: unfolded values by lower-case name, the first of each name.
func splitHeader(b []byte) (fields map[string]string, rest []byte) {
	fields = map[string]string{}
	name, value := "", []string(nil)
	keep := func() {
		if _, seen := fields[name]; name != "" && !seen {
			fields[name] = strings.Join(value, " ")
		}
	}
	defer func() { keep() }()
	for len(b) > 0 {
		line := b
		if end := bytes.IndexByte(b, '\n'); end >= 0 {
			line, b = b[:end], b[end+1:]
		} else {
			b = nil
		}
		text := strings.TrimRight(string(line), "\r")
		if text == "" {
			return fields, b
		}
		if text[0] == ' ' || text[0] == '\t' {
			value = append(value, strings.TrimSpace(text))
			continue
		}
		keep()
		key, first, ok := strings.Cut(text, ":")
		name, value = "", []string{strings.TrimSpace(first)}
		if ok {
			name = strings.ToLower(strings.TrimSpace(key))
		}
	}
	return fields, nil
}

// splitParts cuts a multipart body at its boundary lines (RFC 2046 §5.1.1).
func splitParts(body []byte, boundary string) [][]byte {
	var parts [][]byte
	sep := []byte("--" + boundary)
	var part []byte
	inside := false
	for line := range bytes.Lines(body) {
		trimmed := bytes.TrimRight(line, " \t\r\n")
		end := bytes.HasPrefix(trimmed, sep) && string(trimmed[len(sep):]) == "--"
		if !end && !bytes.Equal(trimmed, sep) {
			if inside {
				part = append(part, line...)
			}
			continue
		}
		if inside {
			parts = append(parts, bytes.TrimSuffix(bytes.TrimSuffix(part, []byte("\n")), []byte("\r")))
		}
		part, inside = nil, true
		if end {
			return parts
		}
	}
	return parts
}
