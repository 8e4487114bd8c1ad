package tlsrpt

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"postern/internal/mail"
)

const version = "v=TLSRPTv1"

// MaxDestinations is how many destinations of a record count: a report goes to each, and the record is a stranger's.
const MaxDestinations = 10

// ErrNoRecord says that a domain has no record about TLS reports, and nothing that looks like one.
var ErrNoRecord = errors.New("there is no TLSRPT record")

// Record is what _smtp._tls.DOMAIN says. The zero value asks for nothing.
type Record struct {
	// Destinations are those that want reports, each once, in the order of the record.
	Destinations []Destination
	// Oddities are sentences about what is untidy in the record, without a full stop; no more than ten.
	Oddities []string
}

// Destination is where a report goes: a mailbox or, where URL is not empty, a web server.
type Destination struct {
	Mail mail.Address
	URL  string // "https://..."; its host may be anything, a private address too
}

// String is the destination as a URI, with what a record keeps for itself encoded (RFC 8460 §3).
func (d Destination) String() string {
	if d.URL != "" {
		return reserved.Replace(d.URL)
	}
	return "mailto:" + escape(d.Mail.Local) + "@" + d.Mail.Domain.String()
}

var reserved = strings.NewReplacer(",", "%2C", ";", "%3B", "!", "%21", `"`, "%22", `\`, "%5C", " ", "%20")

// escape encodes all but what stands for itself everywhere.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(unreserved, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+"

// Text is the record as it stands in DNS. It has neither quotation marks nor backslashes.
func (r Record) Text() string {
	uris := make([]string, len(r.Destinations))
	for i, d := range r.Destinations {
		uris[i] = d.String()
	}
	return version + "; rua=" + strings.Join(uris, ",")
}

// Name is where the record of a domain stands (RFC 8460 §3).
func Name(domain mail.Domain) string { return "_smtp._tls." + domain.String() }

// ParseRecord reads the texts of _smtp._tls.DOMAIN, each with its strings joined (RFC 8460 §3). Texts about something
// else are passed over. The error is ErrNoRecord where there is none, else a *Fault: nobody is known to want reports.
func ParseRecord(texts []string) (Record, error) {
	var ours []string
	var strange error = ErrNoRecord
	for _, text := range texts {
		rest, begins := strings.CutPrefix(text, version)
		switch {
		case begins && (rest == "" || strings.ContainsAny(rest[:1], "; \t")):
			ours = append(ours, rest)
		case strange == ErrNoRecord && likeRecord(text):
			strange = faultf(`the record begins with %s, want "%s;" in exactly this spelling`, said(text), version)
		}
	}
	switch len(ours) {
	case 0:
		return Record{}, strange
	case 1:
		return parseFields(ours[0])
	}
	return Record{}, faultf("there are %d TLSRPT records, and with more than one nobody wants reports", len(ours))
}

// likeRecord reports whether a text that is no record was probably meant as one.
func likeRecord(text string) bool {
	text = strings.ToLower(strings.TrimLeft(text[:min(len(text), maxSaid)], " \t\"'`“”„"))
	return strings.HasPrefix(strings.ReplaceAll(text, " ", ""), "v=tlsrpt")
}

// parseFields reads what follows the version. There may be several rua, and fields of later versions of the RFC.
func parseFields(text string) (Record, error) {
	r := recordReader{}
	for field := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(field, "=")
		name = strings.Trim(name, " \t")
		switch {
		case name == "rua":
			r.seen = true
			r.list(value)
		case strings.EqualFold(name, "rua"):
			r.odd.add("%s must be written rua, and is passed over", said(name))
		}
	}
	out := Record{r.to, r.odd}
	switch {
	case len(out.Destinations) > 0:
		return out, nil
	case len(out.Oddities) > 0:
		return Record{}, faultf("the record names no destination that can be used: %s", out.Oddities[0])
	case r.seen:
		return Record{}, faultf("the rua of the record is empty")
	}
	return Record{}, faultf("the record has no rua")
}

// recordReader gathers destinations.
type recordReader struct {
	to   []Destination
	odd  oddities
	seen bool // there was a rua
}

// list reads a rua: URIs with commas between them, or with blanks, for a URI has none.
func (r *recordReader) list(value string) {
	words := strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
	for i := 0; i < len(words); i++ {
		word := words[i]
		if strings.EqualFold(word, "mailto:") && i+1 < len(words) {
			i++
			word += words[i]
		}
		d, problem := readDestination(strings.Trim(word, `"'<>`), &r.odd)
		switch {
		case problem != "":
			r.odd.add("%s %s, and is passed over", said(word), problem)
		case slices.Contains(r.to, d):
		case len(r.to) == MaxDestinations:
			r.odd.add("there are more than %d destinations, and the rest is passed over", MaxDestinations)
			return
		default:
			r.to = append(r.to, d)
		}
	}
}

// readDestination reads one URI; problem says what is wrong with it.
func readDestination(uri string, odd *oddities) (d Destination, problem string) {
	scheme, rest, found := strings.Cut(uri, ":")
	switch {
	case len(uri) > maxURI:
		problem = "is too long"
	case found && strings.EqualFold(scheme, "mailto"):
		d.Mail, problem = readMailbox(rest, odd)
	case found && strings.EqualFold(scheme, "https"):
		d.URL, problem = readURL(uri)
	case found && strings.EqualFold(scheme, "http"):
		problem = "is not https"
	case !found && strings.Contains(uri, "@"):
		problem = "lacks mailto: before it"
	default:
		problem = "is neither mailto: nor https:"
	}
	return d, problem
}

// readMailbox reads what follows mailto:. What stands behind a question mark is for people's mail programs.
func readMailbox(text string, odd *oddities) (mail.Address, string) {
	text, _, query := strings.Cut(text, "?")
	if query {
		odd.add("what stands behind the question mark of a mailto: is passed over")
	}
	if before, size, found := strings.Cut(text, "!"); found && strings.Trim(size, "0123456789kmgtKMGT") == "" {
		odd.add("%s has a size behind it, as in DMARC, which is passed over", said(text))
		text = before
	}
	plain, err := url.PathUnescape(text)
	if err != nil {
		return mail.Address{}, "has a percent sign that encodes nothing"
	}
	if strings.HasPrefix(plain, "//") {
		return mail.Address{}, "has // behind mailto:"
	}
	a, err := mail.ParseAddress(plain)
	if err != nil || a.IsNull() || a.Domain.IsZero() {
		return mail.Address{}, "has no mail address"
	}
	if _, literal := a.Domain.Literal(); literal {
		return mail.Address{}, "has an address without a domain"
	}
	return a, ""
}

// maxURI is how long a URI of a record may be, in octets.
const maxURI = 1000

func readURL(text string) (string, string) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return "", "is no address of a web server"
	}
	if u.User != nil {
		return "", "has a name or a password in it"
	}
	if !strings.HasPrefix(u.Host, "[") {
		host, err := mail.ParseDomain(u.Hostname())
		if err != nil {
			return "", "is at no host that there can be"
		}
		port := u.Port()
		u.Host = host.String()
		if port != "" {
			u.Host += ":" + port
		}
	}
	u.Fragment, u.RawFragment = "", ""
	out := reserved.Replace(u.String())
	if strings.ContainsFunc(out, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", "has characters that a URI cannot have"
	}
	return out, ""
}
