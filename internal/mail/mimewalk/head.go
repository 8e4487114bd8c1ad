package mimewalk

import (
	"slices"
	"strconv"
	"strings"

	"postern/internal/mail"
)

// head is what the header of a part says.
type head struct {
	kind        string // media type, lower case
	encoding    string // transfer encoding, lower case
	disposition string
	boundary    string
	charset     string
	flowed      bool // its lines are joined where it is shown (RFC 3676)
	tight       bool // without the blank before their end
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
	if strings.Count(value, "/") != 1 || strings.ContainsAny(value, " \t") {
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
			h.charset = p.value
		case "format":
			h.flowed = strings.EqualFold(p.value, "flowed")
		case "delsp":
			h.tight = strings.EqualFold(p.value, "yes")
		}
		if strings.HasPrefix(p.name, "boundary*") {
			w.doubt("has a multipart whose boundary is written in sections")
		}
	}
}

// look notes an attachment, and what nobody can look into.
func (h *head) look(w *Walker) {
	switch h.kind {
	case "application/ms-tnef", "application/vnd.ms-tnef":
		w.doubt("has a part in TNEF (winmail.dat), which is not looked into")
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		w.doubt("is encrypted or signed as one part (S/MIME), which is not looked into")
	case "message/partial", "message/external-body":
		w.doubt("has a part whose content is elsewhere")
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

// param is one parameter of a field, its name in lower case, with the * of RFC 2231.
type param struct{ name, value string }

// split takes a structured value apart: what stands before the first semicolon, and the parameters. It is tolerant:
// quotation marks that do not end, end with the field.
func split(v string) (value string, params []param) {
	var parts []string
	var part strings.Builder
	quoted, depth := false, 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '\\' && i+1 < len(v) && (quoted || depth > 0):
			if i++; depth == 0 {
				part.WriteString(v[i : i+1])
			}
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
			continue
		case c == '(' && !quoted:
			depth++
		case c == ')' && !quoted && depth > 0:
			depth--
			continue
		case c == ';' && !quoted && depth == 0:
			parts = append(parts, part.String())
			part.Reset()
			continue
		}
		if depth == 0 {
			part.WriteByte(c)
		}
	}
	parts = append(parts, part.String())
	for _, p := range parts[1:] {
		if name, value, ok := strings.Cut(p, "="); ok {
			params = append(params, param{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)})
		}
	}
	return strings.TrimSpace(parts[0]), params
}

// namesOf are the names that programs may take from a field: as they stand, with encoded words decoded (RFC 2047), and
// put together from sections with their charset (RFC 2231 §3 and §4).
func namesOf(w *Walker, f mail.Field, params []param) (out []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	isName := func(name string) bool { return name == "filename" || name == "name" }
	named := false
	for _, p := range params {
		base, _, _ := strings.Cut(p.name, "*")
		named = named || isName(base)
		if isName(p.name) {
			add(p.value)
		}
	}
	if !named {
		return nil
	}
	for _, base := range []string{"filename", "name"} {
		name, doubt := sections(base, params)
		add(name)
		if doubt != "" {
			w.doubtAttachments("has a name of an attachment that cannot be read: " + doubt)
		}
	}
	text := f.Text()
	if why := text.Unread(); why != "" {
		w.doubtAttachments("has a name of an attachment that cannot be read: " + why)
	}
	for _, reading := range text.Readings() {
		_, decoded := split(reading)
		for _, p := range decoded {
			if isName(p.name) {
				add(p.value)
			}
		}
	}
	return out
}

// maxSections is how many sections of one parameter are put together.
const maxSections = 100

// sections puts a parameter together from its sections, in whatever order they stand.
func sections(base string, params []param) (value, doubt string) {
	parts := map[int]param{}
	for _, p := range params {
		rest, ok := strings.CutPrefix(p.name, base+"*")
		if !ok {
			continue
		}
		number, escaped := strings.CutSuffix(rest, "*")
		n := 0
		if number != "" {
			var err error
			if n, err = strconv.Atoi(number); err != nil || n < 0 || n >= maxSections {
				return "", "it has a section without a number"
			}
		} else {
			escaped = true
		}
		if _, twice := parts[n]; twice {
			doubt = "it has a section twice"
		}
		name := ""
		if escaped {
			name = "escaped"
		}
		parts[n] = param{name, p.value}
	}
	if len(parts) == 0 {
		return "", ""
	}
	var data []byte
	charset := ""
	for n := range len(parts) {
		p, ok := parts[n]
		if !ok {
			return "", "a section of it is missing"
		}
		text := p.value
		if p.name != "" {
			if n == 0 {
				if set, rest, found := strings.Cut(text, "'"); found {
					_, rest, _ = strings.Cut(rest, "'")
					charset, text = set, rest
				}
			}
			text = unescape(text)
		}
		data = append(data, text...)
	}
	value, problem := mail.BodyText(charset, data)
	if problem != "" {
		doubt = problem
	}
	return value, doubt
}

// unescape undoes %-escapes; what is none stands for itself.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
