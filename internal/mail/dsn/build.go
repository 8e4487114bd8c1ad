package dsn

import (
	"bytes"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"

	"postern/internal/mail"
	"postern/internal/policy"
)

// maxOriginalHeader bounds the header section that goes into a notice. Long ones lose their end.
const maxOriginalHeader = 64 << 10

// maxLine is the longest line of a message without its CRLF (RFC 5322 §2.1.1), with room for a dot.
const maxLine = 997

// part is one body part before it gets a boundary.
type part struct {
	kind, description, encoding string
	content                     []byte
}

// Build writes the notice: header and body, CRLF line ends. The result has octets above 127 only with UTF8, or with
// EightBit and a full original. Errors are ErrRecipients, ErrNullSender, ErrNeedsUTF8 and ErrAction.
func (r *Report) Build() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	whole := *r
	if whole.OriginalFull && !whole.fullAllowed() {
		whole.OriginalFull = false
	}
	out := whole.build()
	if len(out) > MaxSize && whole.OriginalFull {
		whole.OriginalFull = false
		out = whole.build()
	}
	return out, nil
}

func (r *Report) check() error {
	switch {
	case len(r.Recipients) == 0 || len(r.Recipients) > MaxRecipients:
		return fmt.Errorf("%w, not %d", ErrRecipients, len(r.Recipients))
	case r.To.IsNull():
		return ErrNullSender
	case !r.UTF8 && !(r.To.IsASCII() && r.From.IsASCII()):
		return ErrNeedsUTF8
	}
	for i := range r.Recipients {
		switch a := r.Recipients[i].Action; a {
		case Failed, Delayed, Delivered, Relayed:
		default:
			return fmt.Errorf("%w %q", ErrAction, a)
		}
	}
	return nil
}

// fullAllowed reports whether the whole original may be attached as it is: never unless a recipient failed (RFC 3461
// §4.3), never when a rule protects the message.
func (r *Report) fullAllowed() bool {
	for i := range r.Recipients {
		if r.Recipients[i].Requires > policy.Plaintext {
			return false
		}
	}
	if r.count(Failed) == 0 || len(r.Original) > MaxSize || longLines(r.Original) || bareEnds(r.Original) ||
		bytes.IndexByte(r.Original, 0) >= 0 {
		return false
	}
	return isASCII(r.Original) || r.EightBit || r.UTF8
}

func (r *Report) build() []byte {
	parts := []part{r.humanPart(), r.machinePart(), r.originalPart()}
	boundary := r.boundary(parts)
	var b bytes.Buffer
	r.header(&b, boundary)
	b.WriteString("This is a delivery status notification in MIME form.\r\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "\r\n--%s\r\nContent-Description: %s\r\n", boundary, p.description)
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", p.kind, p.encoding)
		b.Write(p.content)
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}

// header writes the notice's own header section.
func (r *Report) header(b *bytes.Buffer, boundary string) {
	f := &fields{}
	f.add("From", "Mail gateway <"+r.From.String()+">")
	f.add("To", "<"+r.To.String()+">")
	f.add("Subject", mail.EncodeText(r.subject()))
	f.add("Date", date(r.Now))
	f.add("Message-ID", "<"+token(r.ID)+"@"+r.ReportingMTA.String()+">")
	if msgID(r.OriginalMessageID) {
		f.add("References", r.OriginalMessageID)
	}
	f.add("Auto-Submitted", "auto-replied")
	f.add("MIME-Version", "1.0")
	reportType := "delivery-status"
	if r.UTF8 {
		reportType = "global-delivery-status"
	}
	f.add("Content-Type", `multipart/report; report-type=`+reportType+`; boundary="`+boundary+`"`)
	b.WriteString(f.b.String() + "\r\n")
}

func (r *Report) subject() string {
	said := "Delivered: "
	switch {
	case r.count(Failed) > 0:
		said = "NOT delivered: "
	case r.count(Delayed) > 0:
		said = "Delayed, still trying: "
	case r.count(Relayed) > 0:
		said = "Relayed: "
	}
	about := mail.Clip(safe(r.Subject), 120)
	if about == "" {
		about = "(your message)"
	}
	return said + about
}

// msgID reports whether s is one plain message identifier.
func msgID(s string) bool {
	return len(s) > 4 && len(s) <= 250 && s[0] == '<' && strings.IndexByte(s, '>') == len(s)-1 &&
		strings.LastIndexByte(s, '<') == 0 && strings.Count(s, "@") == 1 &&
		strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}

func (r *Report) humanPart() part {
	text := []byte(r.human())
	p := part{kind: "text/plain; charset=us-ascii", description: "Notification", encoding: "7bit", content: text}
	if !isASCII(text) {
		p.kind, p.encoding, p.content = "text/plain; charset=utf-8", "quoted-printable", quoted(text)
	}
	return p
}

func (r *Report) machinePart() part {
	p := part{kind: "message/delivery-status", description: "Delivery report", encoding: "7bit",
		content: []byte(r.machine())}
	if r.UTF8 {
		p.kind = "message/global-delivery-status"
	}
	if !isASCII(p.content) {
		p.encoding = "8bit"
	}
	return p
}

// originalPart carries the original: whole, or its header section. Headers that cannot travel as they are are encoded.
func (r *Report) originalPart() part {
	if r.OriginalFull {
		return r.fullPart()
	}
	head := headerOf(r.Original)
	p := part{kind: "text/rfc822-headers", description: "Header of the message", encoding: "7bit", content: head}
	switch clean := !longLines(head) && bytes.IndexByte(head, 0) < 0; {
	case clean && isASCII(head):
	case clean && r.UTF8 && utf8.Valid(head):
		p.kind, p.encoding = "message/global-headers", "8bit"
	default:
		p.encoding, p.content = "quoted-printable", quoted(head)
	}
	return p
}

func (r *Report) fullPart() part {
	p := part{kind: "message/rfc822", description: "The message", encoding: "7bit", content: r.Original}
	if r.UTF8 && !isASCII(headerOf(r.Original)) {
		p.kind = "message/global"
	}
	if !isASCII(r.Original) {
		p.encoding = "8bit"
	}
	return p
}

// headerOf returns the header section of original without its ending empty line, cut at a line end when too long. Bare
// CR and LF become line ends.
func headerOf(original []byte) []byte {
	original = original[:min(len(original), 2*maxOriginalHeader)]
	if bareEnds(original) {
		original = bytes.ReplaceAll(original, []byte("\r\n"), []byte("\n"))
		original = bytes.ReplaceAll(original, []byte("\r"), []byte("\n"))
		original = bytes.ReplaceAll(original, []byte("\n"), []byte("\r\n"))
	}
	if end := bytes.Index(original, []byte("\r\n\r\n")); end >= 0 {
		original = original[:end+2]
	}
	if bytes.HasPrefix(original, []byte("\r\n")) {
		return nil
	}
	if len(original) > maxOriginalHeader {
		original = original[:maxOriginalHeader]
		if end := bytes.LastIndex(original, []byte("\r\n")); end >= 0 {
			original = original[:end+2]
		}
	}
	return original
}

// boundary returns one that no line of the parts begins with. It depends on the content alone.
func (r *Report) boundary(parts []part) string {
	for n := 0; ; n++ {
		b := fmt.Sprintf("postern/%s/%d", token(r.ID), n)
		used := false
		for _, p := range parts {
			used = used || bytes.Contains(p.content, []byte("--"+b))
		}
		if !used {
			return b
		}
	}
}

// token keeps of s what a boundary may hold (RFC 2046 §5.1.1), at most 40 characters.
func token(s string) string {
	kept := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, s)
	return kept[:min(len(kept), 40)]
}

func quoted(text []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write(text) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// bareEnds reports whether b has a CR or a LF that is not part of a CRLF.
func bareEnds(b []byte) bool {
	ends := bytes.Count(b, []byte("\r\n"))
	return bytes.Count(b, []byte("\r")) != ends || bytes.Count(b, []byte("\n")) != ends
}

// longLines reports whether a line is longer than RFC 5322 §2.1.1 allows.
func longLines(b []byte) bool {
	for line := range bytes.Lines(b) {
		if len(bytes.TrimRight(line, "\r\n")) > maxLine {
			return true
		}
	}
	return false
}
