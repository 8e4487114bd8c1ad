package mail

import "strings"

// parameters returns a value with its extended parameters read (RFC 2231 §3 and §4): name*=charset'language'text with
// %-escapes, and values that go on in name*1, name*2. ok is false when it has none.
func (r *wordReader) parameters(v string) (text string, ok bool) {
	if !strings.Contains(v, "*") || !strings.Contains(v, "=") {
		return "", false
	}
	var out strings.Builder
	var open parameter // gathers the sections of one value
	for i, part := range strings.Split(v, ";") {
		p, found := readParameter(part)
		if found && open.name != "" && strings.EqualFold(p.name, open.name) && p.charset == "" {
			open.data = append(open.data, p.data...)
			continue
		}
		out.WriteString(r.value(&open))
		open = parameter{}
		if i > 0 {
			out.WriteByte(';')
		}
		if !found {
			out.WriteString(part)
			continue
		}
		open, ok = p, true
	}
	out.WriteString(r.value(&open))
	return out.String(), ok
}

// parameter is one section of an extended parameter.
type parameter struct {
	name    string
	charset string // "" when the section does not say
	data    []byte
}

// readParameter reads a section; ok is false when it is none of an extended parameter.
func readParameter(part string) (p parameter, ok bool) {
	name, value, ok := strings.Cut(part, "=")
	if !ok {
		return p, false
	}
	name, section, ok := strings.Cut(strings.TrimSpace(name), "*")
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return p, false
	}
	number, escaped := strings.CutSuffix(section, "*")
	if strings.Trim(number, "0123456789") != "" {
		return p, false
	}
	p = parameter{name: name, data: []byte(strings.Trim(strings.TrimSpace(value), `"`))}
	if number == "" || escaped {
		if before, rest, found := strings.Cut(string(p.data), "'"); found &&
			(number == "" || strings.Trim(number, "0") == "") {
			if _, rest, found = strings.Cut(rest, "'"); found {
				p.charset, p.data = strings.ToLower(before), []byte(rest)
			}
		}
		p.data = unescape(p.data)
	}
	return p, number != "" || p.charset != ""
}

// unescape undoes %-escapes; what is none stands for itself.
func unescape(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		if data[i] == '%' && i+2 < len(data) && unhex(data[i+1]) >= 0 && unhex(data[i+2]) >= 0 {
			out = append(out, byte(unhex(data[i+1])<<4|unhex(data[i+2])))
			i += 2
			continue
		}
		out = append(out, data[i])
	}
	return out
}

// value is a gathered parameter as text.
func (r *wordReader) value(p *parameter) string {
	if p.name == "" {
		return ""
	}
	text := string(p.data)
	if p.charset != "" {
		decoded, ok, problem := r.toUTF8(p.charset, p.data)
		if problem != "" {
			r.doubt("%s", strings.Replace(problem, "an encoded word", "a parameter", 1))
		}
		if ok {
			text = decoded
		}
	}
	return " " + p.name + "=" + text
}
