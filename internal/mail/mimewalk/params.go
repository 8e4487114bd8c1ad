package mimewalk

import "strings"

// param is one parameter of a field (RFC 2045 §5.1).
type param struct {
	name  string // lower case, with the * of RFC 2231
	value string // without quotes and comments
	raw   string // with them
	at    int    // where its name begins in the field
	end   int    // where it ends
	odd   bool   // its value is neither a word nor a quoted string: programs differ about where it ends
}

// split takes a structured value apart: what stands before the first semicolon, and the parameters. It is tolerant:
// quotation marks that do not end, end with the field.
func split(v string) (value string, params []param) {
	start := 0
	for i, end := range ends(v) {
		part := v[start:end]
		switch name, text, ok := strings.Cut(bare(part), "="); {
		case i == 0:
			value = strings.TrimSpace(bare(part))
		case ok:
			_, raw, _ := strings.Cut(part, "=")
			raw = strings.TrimSpace(raw)
			name = strings.ToLower(strings.TrimSpace(name))
			params = append(params, param{name: name, value: strings.TrimSpace(text), raw: raw, at: start, end: end,
				odd: odd(raw) || strings.ContainsAny(name, " \t")})
		case len(params) > 0 && strings.TrimSpace(part) != "": // more of the parameter before it, for some
			params[len(params)-1].odd = true
		}
		start = end + 1
	}
	return value, params
}

// ends are where the parts of a structured value end: at semicolons outside quotes and comments, and at its end.
func ends(v string) (out []int) {
	quoted, depth := false, 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ';' && depth == 0:
			out = append(out, i)
		}
	}
	return append(out, len(v))
}

// bare is a text without its quotation marks and comments.
func bare(v string) string {
	if !strings.ContainsAny(v, `"()\`) {
		return v
	}
	var out strings.Builder
	quoted, depth := false, 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '\\' && i+1 < len(v) && (quoted || depth > 0):
			i++
			c = v[i]
		case c == '"' && depth == 0:
			quoted = !quoted
			continue
		case c == '(' && !quoted:
			depth++
		case c == ')' && !quoted && depth > 0:
			depth--
			continue
		}
		if depth == 0 {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// odd reports whether the value of a parameter is neither a word, which may have blanks, nor a quoted string.
func odd(raw string) bool {
	if !strings.HasPrefix(raw, `"`) {
		return strings.ContainsAny(raw, `"(),`)
	}
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			rest := strings.TrimSpace(raw[i+1:])
			return rest != "" && !strings.HasPrefix(rest, "(")
		}
	}
	return true
}

// stretch is the value that begins at a place of a field as programs read it that look for no quotes and comments, but
// for the next parameter.
func stretch(rest string) string {
	for from := 0; ; {
		i := strings.IndexByte(rest[from:], ';')
		if i < 0 {
			break
		}
		from += i + 1
		if next := strings.TrimLeft(rest[from:], " \t"); wordEnd(next) > 0 &&
			strings.HasPrefix(strings.TrimLeft(next[wordEnd(next):], " \t"), "=") {
			rest = rest[:from-1]
			break
		}
	}
	rest = strings.TrimSpace(rest)
	if inner, ok := strings.CutPrefix(rest, `"`); ok {
		rest = strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `\"`, `"`)
	}
	return rest
}

// wordEnd is where the name of a parameter ends that a text begins with, 0 for none.
func wordEnd(s string) int {
	i := 0
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z' || s[i] >= '0' && s[i] <= '9' ||
		s[i] == '-' || s[i] == '_' || s[i] == '*') {
		i++
	}
	return i
}
