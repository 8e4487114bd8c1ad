package rule

import (
	"strings"
	"unicode"

	"postern/internal/policy/rulevalue"
)

// A field of a form holds a value as people write it: one a line where there may be several. What nobody touched comes
// back from it to the letter. Of what somebody types, blanks at the ends go where they mean nothing: at the end of an
// expression they mean something.

// Field is the value as a field of a form has it, "" when it is unset.
func (k *Key) Field(r *Rule) string {
	switch v := k.get(r).(type) {
	case string:
		return v
	case []string:
		return strings.Join(v, "\n")
	case []rulevalue.HeaderMatch:
		lines := make([]string, len(v))
		for i, h := range v {
			lines[i] = fieldLine(h)
		}
		return strings.Join(lines, "\n")
	case bool, int64:
		return k.write(v)
	}
	return ""
}

// FromField writes what stands in a field as TOML, "" for nothing. It is quoted as it came: Parse judges it. before is
// the rule that the form was made of, nil for a new one.
func (k *Key) FromField(text string, before *Rule) string {
	if before != nil && text != "" && text == k.Field(before) {
		return k.whole(before)
	}
	switch k.shape {
	case Bare, Number, Flag:
		if text = strings.TrimSpace(text); text == "false" {
			return ""
		}
		return bare(text)
	case List, WordOrList:
		return k.write(k.lines(text, before))
	case Fields:
		return k.write(k.fieldLines(text, before))
	}
	return k.write(strings.TrimSpace(text))
}

// whole is the value as TOML, also where the action of the rule is another.
func (k *Key) whole(r *Rule) string {
	if k.toml != nil {
		return k.toml(r)
	}
	return k.write(k.get(r))
}

// lines are the values of a field, those of before to the letter.
func (k *Key) lines(text string, before *Rule) (out []string) {
	known := map[string]bool{}
	if before != nil {
		values, _ := k.get(before).([]string)
		for _, v := range values {
			known[v] = true
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if !known[line] {
			line = tidy(line)
		}
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}

// fieldLines are the header fields of a field, those of before to the letter.
func (k *Key) fieldLines(text string, before *Rule) (out []rulevalue.HeaderMatch) {
	known := map[string]rulevalue.HeaderMatch{}
	if before != nil {
		values, _ := k.get(before).([]rulevalue.HeaderMatch)
		for _, v := range values {
			known[fieldLine(v)] = v
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if h, there := known[line]; there {
			out = append(out, h)
		} else if strings.TrimSpace(line) != "" {
			name, value, _ := strings.Cut(line, ":")
			out = append(out, rulevalue.HeaderMatch{Name: strings.TrimSpace(name), Value: tidy(value)})
		}
	}
	return out
}

// fieldLine is a header field as a line of a form.
func fieldLine(h rulevalue.HeaderMatch) string {
	if h.Value == "" {
		return h.Name
	}
	return h.Name + ": " + h.Value
}

// tidy leaves out the blanks at the ends of what somebody typed, where they mean nothing.
func tidy(line string) string {
	if expression := strings.TrimLeftFunc(line, unicode.IsSpace); strings.HasPrefix(expression, ExpressionWord) {
		return expression
	}
	return strings.TrimSpace(line)
}
