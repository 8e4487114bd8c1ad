package tlsrpt

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"mime/quotedprintable"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
)

// Message is a mail that carries a report to one mailbox.
type Message struct {
	From, To mail.Address
	// Submitter is the domain of the reporting organization, the one whose signature the mail gets; Domain is the one
	// that the report is about.
	Submitter, Domain mail.Domain
	Report            Report
	// ID becomes the left side of the Message-ID: letters and digits of it, at most 64 and at least one.
	ID string
	// Now is the date of the mail.
	Now time.Time
}

// FileName is the name of the attachment (RFC 8460 §5.1). Others read from it what a report is about.
func (m *Message) FileName() string {
	name := fmt.Sprintf("%s!%s!%d!%d", m.Submitter, m.Domain, m.Report.Start.Unix(), m.Report.End.Unix())
	if id := token(m.Report.ID); id != "" {
		name += "!" + id
	}
	return name + ".json.gz"
}

// ReportID is the report's identifier as the subject has it, in angle brackets (RFC 8460 §5.3).
func (m *Message) ReportID() string {
	if left, right, _ := strings.Cut(m.Report.ID, "@"); idText(left) && idText(right) {
		return "<" + m.Report.ID + ">"
	}
	return "<" + token(m.Report.ID) + "@" + m.Submitter.String() + ">"
}

// idText reports whether s is one side of an identifier.
func idText(s string) bool {
	return s != "" && len(s) <= 120 && strings.Trim(s, unreserved) == ""
}

// token keeps the letters and digits of s, at most 64.
func token(s string) string {
	kept := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, s)
	return kept[:min(len(kept), 64)]
}

// Compose writes the mail (RFC 8460 §5.3), with CRLF line ends and no line over 998 octets. It is not signed. It asks
// to be delivered without TLS where there is none (RFC 8689 §3), since what it tells may be why. Octets above 127 are
// in it only where an address has them.
func (m *Message) Compose() []byte {
	boundary := "=_tlsrpt_" + token(m.ID)
	var b bytes.Buffer
	m.header(&b, boundary)
	fmt.Fprintf(&b, "This is a TLS report in MIME form.\r\n\r\n--%s\r\n", boundary)
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	text := quotedprintable.NewWriter(&b)
	_, _ = text.Write([]byte(m.human())) // a bytes.Buffer takes everything
	_ = text.Close()
	fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", boundary, MediaGzip)
	fmt.Fprintf(&b, "Content-Disposition: attachment;\r\n filename=\"%s\"\r\n\r\n", m.FileName())
	packed := base64.StdEncoding.EncodeToString(m.Report.Packed())
	for line := range slices.Chunk([]byte(packed), 76) {
		b.Write(line)
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}

func (m *Message) header(b *bytes.Buffer, boundary string) {
	field := func(name string, words ...string) { fmt.Fprintf(b, "%s: %s\r\n", name, strings.Join(words, "\r\n ")) }
	if organization := clean(m.Report.Organization); organization != "" {
		name := strings.ToValidUTF8(organization[:min(len(organization), maxName)], "")
		name = strings.ReplaceAll(mail.EncodePhrase(name), "?= =?", "?=\r\n =?")
		field("From", name, "<"+m.From.String()+">")
	} else {
		field("From", "<"+m.From.String()+">")
	}
	field("To", "<"+m.To.String()+">")
	field("Subject", "Report Domain: "+m.Domain.String(), "Submitter: "+m.Submitter.String(),
		"Report-ID: "+m.ReportID())
	field("Date", m.Now.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	field("Message-ID", "<"+token(m.ID)+"@"+m.Submitter.String()+">")
	field("TLS-Report-Domain", m.Domain.String())
	field("TLS-Report-Submitter", m.Submitter.String())
	field("TLS-Required", "No")
	field("Auto-Submitted", "auto-generated")
	field("MIME-Version", "1.0")
	field("Content-Type", `multipart/report; report-type="tlsrpt";`, `boundary="`+boundary+`"`)
	b.WriteString("\r\n")
}

// maxName bounds the organization's name in a From field, in octets.
const maxName = 200

// maxResults is how many results the text for people names.
const maxResults = 11

// human is the part for people: the sums, for whoever opens the mail and has no program for the rest.
func (m *Message) human() string {
	succeeded, failed := m.Report.Sums()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("This is a TLS report (RFC 8460) from %s about the mail servers of", m.Submitter)
	line("%s: how many SMTP sessions with them succeeded, and why others failed.", m.Domain)
	line("")
	line("From:       %s", timeText(m.Report.Start))
	line("To:         %s", timeText(m.Report.End))
	line("Succeeded:  %d", succeeded)
	line("Failed:     %d", failed)
	by := map[string]int64{}
	for i := range m.Report.Policies {
		for _, f := range m.Report.Policies[i].Failures {
			by[clean(f.Result)] += f.Sessions
		}
	}
	results := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b))
	})
	for _, result := range results[:min(len(results), maxResults)] {
		line("  %8d  %s", by[result], result)
	}
	line("")
	if contact := clean(m.Report.Contact); contact != "" {
		line("Contact:    %s", contact)
	}
	line("Identifier: %s", m.ReportID())
	line("")
	line("The attached file is the report itself, for programs. It was sent because the")
	line("record %s asks for such reports.", Name(m.Domain))
	return b.String()
}
