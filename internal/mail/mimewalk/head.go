package mimewalk

import (
	"slices"
	"strings"

	"postern/internal/mail"
)

// head is what the header of a part says.
type head struct {
	kind        string // media type, lower case
	encoding    string // transfer encoding, lower case
	disposition string
	boundary    string
	charsets    []string // those that programs may take; none where it says none
	flowed      bool     // its lines are joined where it is shown (RFC 3676)
	tight       bool     // without the blank before their end
	sealed      bool     // it says that it is encrypted
	names       []string
}

// encoded reports whether the octets are not those of the part.
func (h *head) encoded() bool { return h.encoding == "base64" || h.encoding == "quoted-printable" }

// read reads the header of a part.
func (w *Walker) read() *head {
	h := &head{kind: "text/plain", encoding: "7bit"}
	if n := len(w.levels); n > 0 && w.levels[n-1].digest && !w.message {
		h.kind = "message/rfc822" // RFC 2046 §5.1.5
	}
	if w.strange {
		w.doubt("has a part whose header cannot be read")
	}
	fields := mail.ParseHeader(append(slices.Clip(w.header), "\r\n"...)).Fields()
	seen := map[string]bool{}
	for _, f := range fields {
		name := strings.ToLower(f.Name)
		if seen[name] && (name == "content-type" || name == "content-transfer-encoding" ||
			name == "content-disposition") {
			w.doubt("has a part that says " + f.Name + " twice")
		}
		seen[name] = true
		value, params := split(f.Value())
		value = strings.ToLower(value)
		switch name {
		case "content-type":
			h.contentType(w, value, params)
			h.names = append(h.names, namesOf(w, f, params)...)
		case "content-disposition":
			h.disposition = value
			h.names = append(h.names, namesOf(w, f, params)...)
		case "content-transfer-encoding":
			h.encoding = value
		}
	}
	return h
}

func (h *head) contentType(w *Walker, value string, params []param) {
	if strings.Count(value, "/") != 1 || strings.ContainsAny(value, " \t,;=") {
		w.doubt("has a part whose type cannot be read")
		return
	}
	h.kind = value
	for _, p := range params {
		switch p.name {
		case "boundary":
			if h.boundary != "" && h.boundary != p.value {
				w.doubt("has a multipart with two boundaries")
			}
			h.boundary = strings.TrimRight(p.value, " \t")
		case "charset":
			h.addCharset(w, p.value)
		case "format":
			h.flowed = strings.EqualFold(p.value, "flowed")
		case "delsp":
			h.tight = strings.EqualFold(p.value, "yes")
		case "x-action": // of application/pgp, which was before PGP/MIME
			h.sealed = strings.Contains(strings.ToLower(p.value), "encrypt")
		}
		if strings.HasPrefix(p.name, "boundary*") {
			w.doubt("has a multipart whose boundary is written in sections")
		}
	}
	charset, problem := sections("charset", params)
	if problem != "" {
		w.doubtText("has text whose charset cannot be read: " + problem)
	}
	if charset != "" { // RFC 2231, which not every program knows
		if len(h.charsets) == 0 {
			h.addCharset(w, "")
		}
		h.addCharset(w, charset)
	}
}

// maxCharsets is how many charsets a text is read in.
const maxCharsets = 3

func (h *head) addCharset(w *Walker, name string) {
	name = strings.ToLower(strings.TrimSpace(name))
	switch {
	case slices.Contains(h.charsets, name):
	case len(h.charsets) == maxCharsets:
		w.doubtText("has text in more charsets than it is read in")
	default:
		h.charsets = append(h.charsets, name)
	}
}

// look notes an attachment, and what nobody can look into.
func (h *head) look(w *Walker) {
	if why := h.opaque(); why != "" {
		w.doubt(why)
	}
	text := h.kind == "text/plain" || h.kind == "text/html"
	whole := strings.HasPrefix(h.kind, "multipart/")
	if len(h.names) == 0 && h.disposition != "attachment" && (text || whole) {
		return
	}
	size := len(h.kind)
	for _, n := range h.names {
		size += len(n)
	}
	if w.names += size; w.names > MaxNames {
		w.doubtAttachments("has more names of attachments than are looked at")
		return
	}
	slices.Sort(h.names)
	w.out.Attachments = append(w.out.Attachments, Attachment{Type: h.kind, Names: slices.Compact(h.names)})
}
