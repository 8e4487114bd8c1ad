package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/mail"
)

// Letter is a report that came by mail, and what the mail says of it beside. Every text in it is a stranger's,
// escaped and bounded.
type Letter struct {
	Reading
	// Domain is the one that the report is about, Submitter the one that claims to send it: the fields
	// TLS-Report-Domain and TLS-Report-Submitter (RFC 8460 §5.3), else the name of the file; "" where neither says.
	Domain, Submitter string
	// FileName is that of the attachment, "" where it has none.
	FileName string
}

// ErrNoReport says that a mail has nothing in it that looks like a report.
var ErrNoReport = errors.New("the mail has no TLS report in it")

// What is looked at in a mail, and the largest mail: a report of MaxSize in base64 with room for the rest.
const (
	MaxMail       = MaxSize/2*3 + 1<<20 // bytes
	maxParts      = 100
	maxMailDepth  = 8
	maxCandidates = 10
)

// FromMail finds the reports in a mail: header section and body, with any line ends. RFC 8460 §5.3 has one; some send
// several, as parts of one mail, and all are returned, at least one. The error is ErrNoReport, or a *Fault where there
// is one that cannot be read, or too many. What a report does not say and the mail does, as the domain or the time, is
// taken from the mail.
func FromMail(content []byte) ([]Letter, error) {
	if len(content) > MaxMail {
		return nil, faultf("the mail is larger than %d bytes", MaxMail)
	}
	f := finder{}
	header := mail.ParseHeader(content)
	f.part(header, content[header.Size():], 0)
	slices.SortStableFunc(f.found, func(a, b candidate) int { return a.rank - b.rank })
	var out []Letter
	var first error = ErrNoReport
	for _, c := range f.found[:min(len(f.found), maxCandidates)] {
		readings, err := ParseAll(decode(c.encoding, c.body))
		if err != nil && first == ErrNoReport && c.rank < rankMaybe {
			first = err
		}
		for _, reading := range readings {
			letter := Letter{Reading: reading, FileName: clean(c.name), Domain: named(header, "TLS-Report-Domain"),
				Submitter: named(header, "TLS-Report-Submitter")}
			letter.fill()
			out = append(out, letter)
		}
	}
	if len(out) == 0 {
		return nil, first
	}
	if err := within(out, len(f.found), first); err != nil {
		return nil, err
	}
	return out, nil
}

// within holds what was found in a mail against the bounds of one, so that it is all kept or none. Where a part that
// says it is a report cannot be read, the others tell of it.
func within(found []Letter, candidates int, unread error) error {
	entries := 0
	for i := range found {
		for j := range found[i].Report.Policies {
			entries += 1 + len(found[i].Report.Policies[j].Failures)
		}
		if unread != ErrNoReport {
			odd := oddities(found[i].Oddities)
			odd.add("another part of the mail says that it is a report, and cannot be read: %s", unread)
			found[i].Oddities = odd
		}
	}
	switch {
	case candidates > maxCandidates:
		return faultf("the mail has more than %d parts that may be reports", maxCandidates)
	case len(found) > maxReports:
		return faultf("the mail has more than %d reports", maxReports)
	case entries > MaxEntries:
		return faultf("the reports of the mail have more than %d entries", MaxEntries)
	}
	return nil
}

// named is a name in a field of a header section.
func named(h mail.Header, field string) string {
	if all := h.All(field); len(all) > 0 {
		return hostText(clean(all[0].Value()))
	}
	return ""
}

// The ranks of parts, the likeliest first.
const (
	rankType  = iota // its media type says that it is one
	rankName         // its name or its media type may be one's
	rankMaybe        // it begins as one
)

// candidate is a part that may be the report.
type candidate struct {
	rank           int
	name, encoding string
	body           []byte
}

// finder looks through the parts of a mail.
type finder struct {
	found []candidate
	parts int
}

// part looks at one part, whose body is not decoded.
func (f *finder) part(header mail.Header, body []byte, depth int) {
	if f.parts++; f.parts > maxParts || depth > maxMailDepth {
		return
	}
	kind, parameters := mediaType(value(header, "Content-Type"))
	encoding := strings.ToLower(strings.Trim(value(header, "Content-Transfer-Encoding"), " \t\";"))
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		for _, raw := range split(body, parameters["boundary"]) {
			h := mail.ParseHeader(raw)
			f.part(h, raw[h.Size():], depth+1)
		}
		return
	case kind == "message/rfc822" || kind == "message/global":
		inner := decode(encoding, body)
		h := mail.ParseHeader(inner)
		f.part(h, inner[h.Size():], depth+1)
		return
	}
	_, disposition := mediaType(value(header, "Content-Disposition"))
	name := disposition["filename"]
	if name == "" {
		name = parameters["name"]
	}
	c := candidate{rank(kind, name), name, encoding, body}
	if c.rank < rankMaybe || begins(encoding, body) {
		f.found = append(f.found, c)
	}
}

func value(h mail.Header, name string) string {
	if all := h.All(name); len(all) > 0 {
		return all[0].Value()
	}
	return ""
}

func rank(kind, name string) int {
	name = strings.ToLower(name)
	switch kind {
	case MediaJSON, MediaGzip:
		return rankType
	case "application/json", "text/json":
		return rankName
	}
	if strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".json.gz") {
		return rankName
	}
	return rankMaybe
}

// begins reports whether a part that says nothing of itself begins as a report does.
func begins(encoding string, body []byte) bool {
	const look = 200
	start := bytes.TrimSpace(decode(encoding, body[:min(len(body), look)]))
	start = bytes.TrimPrefix(start, []byte("\ufeff"))
	return zipped(start) || bytes.HasPrefix(start, []byte("{"))
}

// decode undoes a transfer encoding (RFC 2045 §6); of what is broken it gives what comes before.
func decode(encoding string, body []byte) []byte {
	switch encoding {
	case "base64":
		return fromBase64(body)
	case "quoted-printable":
		out, _ := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body))) // an error ends it
		return out
	}
	return body
}

// fromBase64 reads up to the padding: what mailing lists put behind it is none. Other characters are passed over.
func fromBase64(body []byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	body, _, _ = bytes.Cut(body, []byte("="))
	digits := make([]byte, 0, len(body))
	for _, c := range body {
		if strings.IndexByte(alphabet, c) >= 0 {
			digits = append(digits, c)
		}
	}
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1] // one alone says nothing
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, _ := base64.RawStdEncoding.Decode(out, digits)
	return out[:n]
}

// mediaType reads a field with parameters, those too that the grammar forbids.
func mediaType(text string) (kind string, parameters map[string]string) {
	kind, parameters, err := mime.ParseMediaType(text)
	if err == nil {
		return kind, parameters
	}
	kind, rest, _ := strings.Cut(text, ";")
	parameters = map[string]string{}
	for len(rest) > 0 && len(parameters) < maxParts {
		var name, value string
		name, rest, _ = strings.Cut(rest, "=")
		if name = strings.ToLower(strings.Trim(name, " \t;")); strings.HasPrefix(strings.TrimLeft(rest, " \t"), `"`) {
			value, rest, _ = strings.Cut(strings.TrimLeft(rest, " \t")[1:], `"`)
		} else {
			value, rest, _ = strings.Cut(rest, ";")
		}
		if _, before := parameters[name]; !before {
			parameters[name] = strings.TrimSpace(value)
		}
	}
	return strings.ToLower(strings.TrimSpace(kind)), parameters
}

// split cuts the body of a multipart at its boundary lines (RFC 2046 §5.1.1). The last part may lack its end.
func split(body []byte, boundary string) (parts [][]byte) {
	if boundary == "" {
		return nil
	}
	separator, end := []byte("--"+boundary), []byte("--"+boundary+"--")
	start, at := -1, 0
	for line := range bytes.Lines(body) {
		mark := bytes.TrimRight(line, " \t\r\n")
		last := bytes.Equal(mark, end)
		if last || bytes.Equal(mark, separator) {
			if start >= 0 {
				parts = append(parts, body[start:at])
			}
			if start = at + len(line); last || len(parts) >= maxParts {
				return parts
			}
		}
		at += len(line)
	}
	if start >= 0 {
		parts = append(parts, body[start:])
	}
	return parts
}

// fill takes from the file's name (RFC 8460 §5.1) and the header what the report does not say.
func (l *Letter) fill() {
	fields := strings.Split(strings.TrimSuffix(strings.TrimSuffix(l.FileName, ".gz"), ".json"), "!")
	if len(fields) >= 4 {
		l.fillTimes(unixField(fields[2]), unixField(fields[3]))
		if l.Submitter == "" {
			l.Submitter = hostText(fields[0])
		}
		if l.Domain == "" {
			l.Domain = hostText(fields[1])
		}
	}
	for i := range l.Report.Policies {
		if p := &l.Report.Policies[i]; p.Domain == "" && l.Domain != "" {
			p.Domain = l.Domain
		}
	}
}

// fillTimes sets the times that the report lacks.
func (l *Letter) fillTimes(start, end time.Time) {
	if l.Report.Start.IsZero() {
		l.Report.Start = start
	}
	if l.Report.End.IsZero() {
		l.Report.End = end
	}
}

func unixField(text string) time.Time {
	if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return time.Time{}
	}
	return unixTime(text)
}
