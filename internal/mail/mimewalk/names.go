package mimewalk

import (
	"slices"
	"strconv"
	"strings"

	"postern/internal/mail"
)

// How much of the names that one field gives a part is looked at. Nobody writes more in good faith.
const (
	maxNames    = 100
	maxLoose    = 10  // names that begin where no parameter does
	maxSections = 100 // of one parameter
)

// names are those that programs may take from a field.
type names struct {
	out   []string
	doubt string
}

func (n *names) unsure(why string) {
	if n.doubt == "" {
		n.doubt = why
	}
}

// add adds a name as it stands and as it is read.
func (n *names) add(name string) {
	text := mail.ReadText(name)
	if why := text.Unread(); why != "" {
		n.unsure(why)
	}
	for _, reading := range append([]string{name}, text.Readings()...) {
		n.plain(reading)
	}
}

func (n *names) plain(name string) {
	switch {
	case name == "" || slices.Contains(n.out, name):
	case len(n.out) >= maxNames:
		n.unsure("there are too many")
	default:
		n.out = append(n.out, name)
	}
}

// isName reports whether a parameter is a name, and whether it is a section of one (RFC 2231).
func isName(name string) (is, section bool) {
	base, _, section := strings.Cut(name, "*")
	return base == "filename" || base == "name", section
}

// namesOf are the names that programs may take from a field: as they stand, with encoded words decoded (RFC 2047), and
// put together from sections with their charset (RFC 2231 §3 and §4). A parameter ends before its words are decoded;
// that some programs decode first is another reading, and so is a value that is not quoted and should be.
func namesOf(w *Walker, f mail.Field, params []param) []string {
	v := f.Value()
	lower := lowered(v)
	if !strings.Contains(lower, "name") {
		return nil
	}
	n := &names{}
	n.params(params)
	n.loose(v, lower, params)
	if len(n.out) == 0 && n.doubt == "" {
		return nil
	}
	text := f.Text()
	if why := text.Unread(); why != "" {
		n.unsure(why)
	}
	for _, reading := range text.Readings() {
		if reading == v {
			continue
		}
		_, decoded := split(reading)
		for _, p := range decoded {
			if is, section := isName(p.name); is && !section {
				n.plain(p.value)
			}
		}
	}
	if n.doubt != "" {
		w.doubtAttachments("has a name of an attachment that cannot be read: " + n.doubt)
	}
	return n.out
}

// params adds the names among the parameters.
func (n *names) params(params []param) {
	for _, p := range params {
		is, section := isName(p.name)
		if !is {
			continue
		}
		if !section {
			n.add(p.value)
			if i := strings.IndexAny(p.raw, " \t"); i > 0 && !strings.HasPrefix(p.raw, `"`) {
				n.plain(p.raw[:i])
			}
		}
		if p.odd {
			n.unsure("programs do not agree where it ends")
		}
	}
	for _, base := range []string{"filename", "name"} {
		name, doubt := sections(base, params)
		n.add(name)
		if doubt != "" {
			n.unsure(doubt)
		}
	}
}

// loose adds the names that begin where no parameter does, and those whose end is in doubt, as far as they may go.
func (n *names) loose(v, lower string, params []param) {
	count := 0
	for from := 0; ; {
		i := strings.Index(lower[from:], "name")
		if i < 0 {
			return
		}
		at := from + i
		from = at + len("name")
		if strings.HasSuffix(lower[:at], "file") {
			at -= len("file")
		}
		value := from + wordEnd(lower[from:])
		value += len(v[value:]) - len(strings.TrimLeft(v[value:], " \t"))
		if at > 0 && wordEnd(lower[at-1:]) > 0 || !strings.HasPrefix(v[value:], "=") ||
			strings.Trim(lower[from:value], "*0123456789 \t") != "" || !open(v, params, at) {
			continue
		}
		n.unsure("programs do not agree where it begins or ends")
		if count++; count > maxLoose {
			return
		}
		n.add(stretch(v[value+1:]))
	}
}

// open reports whether a name at a place of a field is not one that all programs read alike, or do not read.
func open(v string, params []param, at int) bool {
	i, _ := slices.BinarySearchFunc(params, at, func(p param, at int) int { return p.end - at })
	if i == len(params) || params[i].at > at {
		return true
	}
	p := &params[i]
	return p.odd || strings.TrimSpace(v[p.at:at]) != "" && !strings.HasPrefix(p.raw, `"`)
}

// lowered is a text with its ASCII letters in lower case, so that positions in it are those of the text.
func lowered(v string) string {
	out := []byte(v)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}

// sections puts a parameter together from its sections, in whatever order they stand.
func sections(base string, params []param) (value, doubt string) {
	var parts map[int]param
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
		if parts == nil {
			parts = map[int]param{}
		}
		parts[n] = param{name: name, value: p.value}
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
