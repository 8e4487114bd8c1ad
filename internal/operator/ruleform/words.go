package ruleform

import (
	"regexp"
	"slices"
	"strings"

	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// The parser and the warnings speak of keys, as the rules file has them. Here that is said by what the pane calls them.

// Words is what is said of rules, and not of a message, in the words of the pane.
func Words(text string) string { return inWords(text, nil) }

// WhyWords is why a condition holds for a message or not, in the words of the pane: what stands in the message stays.
func WhyWords(text string) string {
	for _, tick := range []string{"literals = true", "below = true"} {
		text = strings.Replace(text, tick+" would", Words(tick)+", it would", 1)
	}
	return text
}

// blame adds what is wrong with a field.
func (f *Field) blame(what, hint string) {
	if f.Problem != "" {
		f.Problem += "; " + inWords(what, f)
		return
	}
	f.Problem, f.Hint = inWords(what, f), inWords(hint, f)
}

// lacks puts what a rule lacks to the field that should say it.
func (f *Form) lacks(p rules.Problem) {
	if strings.Contains(p.What, " does not work on ") { // where the scope is not said at all
		f.Fields["scope"].Problem = "choose one"
		return
	}
	for _, one := range f.list {
		missing := " no " + one.Short()
		if section := one.Section(); section != "" {
			missing += " in [rule." + section + "]"
		}
		switch {
		case !one.Required() || !strings.HasSuffix(p.What, missing):
			continue
		case len(one.Choices) > 0:
			one.Problem = "choose one"
		default:
			one.Problem = "this must be filled in"
		}
		return
	}
	f.Other = append(f.Other, Field{Problem: Words(p.What), Hint: Words(p.Hint)})
}

// What the rules file has and the pane has not.
var (
	assignment = regexp.MustCompile(`(write )?\b([a-z_]+) = (\[[^\]]*\]|"[^"]*"|true|false|[0-9][-0-9A-Za-z:]*)`)
	section    = regexp.MustCompile(`\[rule\.([a-z_]+)\]`)
	entry      = regexp.MustCompile(`\[\[([a-z_]+)\]\]`)
	underscore = regexp.MustCompile(`\b[a-z]+(_[a-z]+)+\b`)
	firstWord  = regexp.MustCompile(`^[a-z_]+ [^(]`)
	ofValue    = regexp.MustCompile(`\b(value of) ([a-z_]+)\b`)
	inKey      = regexp.MustCompile(`("| stands) in [a-z_]+\b`)
	marks      = strings.NewReplacer(`{ name = "`, "", `", value = "`, ": ", `" }`, "", `"`, "", "[", "", "]", "")
)

// inWords says by labels what the parser says by keys, of a field or, with nil, of rules.
func inWords(text string, of *Field) string {
	label := func(short string) string {
		if k := called(short, of); k != nil {
			return "“" + k.Label + "”"
		}
		return short
	}
	text = strings.NewReplacer(", without quotes", "", " directly below [[rule]]", "").Replace(text)
	text = assignment.ReplaceAllStringFunc(text, func(found string) string { return assigned(found, of) })
	if of != nil {
		text = inKey.ReplaceAllStringFunc(text, func(found string) string {
			before, key, _ := strings.Cut(found, " in ")
			if key == of.Short() {
				return before
			}
			return found
		})
	}
	text = section.ReplaceAllStringFunc(text, func(found string) string {
		return sectionWord(section.FindStringSubmatch(found)[1])
	})
	text = entry.ReplaceAllString(text, "$1")
	text = underscore.ReplaceAllStringFunc(text, label)
	text = ofValue.ReplaceAllStringFunc(text, func(found string) string {
		parts := ofValue.FindStringSubmatch(found)
		return parts[1] + " " + label(parts[2])
	})
	return firstWord.ReplaceAllStringFunc(text, func(found string) string {
		key, next, _ := strings.Cut(found, " ")
		if key == "to" {
			return found // demand it
		}
		return label(key) + " " + next
	})
}

// assigned is what to do in the pane for "key = value".
func assigned(found string, of *Field) string {
	parts := assignment.FindStringSubmatch(found)
	verb, value := parts[1], parts[3]
	k := called(parts[2], of)
	if k == nil {
		return found
	}
	bare := marks.Replace(value)
	switch label := "“" + k.Label + "”"; {
	case k.Ticked != "" && k.Ticked == bare:
		return "tick " + label
	case value == "[...]":
		return "fill in " + label
	case len(k.Choices) > 0 && verb != "":
		return "choose “" + words(k, bare) + "” at " + label
	case len(k.Choices) > 0:
		return "“" + words(k, bare) + "” at " + label
	default:
		return verb + bare + " in " + label
	}
}

// words are those of a choice.
func words(k *rule.Key, value string) string { return (&Field{Key: k}).words(value) }

// called is the key with a name inside its section: of the section of a field where it is said of one, else the first.
func called(short string, of *Field) *rule.Key {
	keys := rule.Keys()
	first := slices.IndexFunc(keys, func(k rule.Key) bool {
		return k.Short() == short && (of == nil || k.Section() == of.Section())
	})
	if first < 0 && of != nil {
		return called(short, nil)
	}
	if first < 0 {
		return nil
	}
	return &keys[first]
}

// sectionWord is what the pane calls a section of a rule.
func sectionWord(name string) string {
	switch name {
	case match:
		return "“Match”"
	case unless:
		return "“" + except + "”"
	}
	return "“" + actionPart + "”"
}
