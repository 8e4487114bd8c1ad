package rule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rulevalue"
)

// Shape is how a value is written: in TOML, in JSON and in the field of a form.
type Shape uint8

// The shapes.
const (
	Text       Shape = iota // a string
	Bare                    // what TOML writes without quotes, such as a date; a string in JSON
	Number                  // a whole number
	Size                    // a number of bytes; in TOML with a unit
	Flag                    // true or false
	List                    // strings, one a line of a form
	WordOrList              // one of a few words, or a list
	Fields                  // names of header fields with patterns, a line "name: pattern" each
)

// kind is how the values of a key are read and told.
type kind struct {
	shape Shape
	// Words are the values of a closed list; of a WordOrList those that stand alone.
	Words []string
	read  func(p *Problems, r *Rule, e tomlfile.Entry)
	// get is the value as JSON has it: a string, an int64, a bool, strings or fields.
	get  func(r *Rule) any
	toml func(r *Rule) string // where TOML has more than its shape tells
}

// Keys is the grammar of rules, in the order of printing.
func Keys() []Key { return slices.Clone(keys) }

// Shape is how the values are written.
func (k *Key) Shape() Shape { return k.shape }

// Lines reports whether a field takes several values, one a line.
func (k *Key) Lines() bool { return k.shape == List || k.shape == WordOrList || k.shape == Fields }

// Section is the table in which the key stands, "" for the rule itself.
func (k *Key) Section() string {
	section, _, ok := strings.Cut(k.Name, ".")
	if !ok {
		return ""
	}
	return section
}

// Short is the name inside its section.
func (k *Key) Short() string { return k.Name[strings.IndexByte(k.Name, '.')+1:] }

// Initial is the value of the key in a new rule, as a field of a form has it.
func (k *Key) Initial() string {
	r := Default()
	return k.Field(&r)
}

// Required reports whether a rule must have the key.
func (k *Key) Required() bool { return k.Default == "required" }

// Text is the value as TOML, "" when it is unset.
func (k *Key) Text(r *Rule) string {
	if !k.isOf(r) {
		return ""
	}
	if k.toml != nil {
		return k.toml(r)
	}
	return k.write(k.get(r))
}

// write writes a value as TOML, "" when there is none.
func (k *Key) write(v any) string {
	switch v := v.(type) {
	case string:
		if k.shape == Bare {
			return bare(v)
		}
		return tomlfile.QuoteSet(v)
	case int64:
		if v != 0 {
			return strconv.FormatInt(v, 10)
		}
	case bool:
		if v {
			return "true"
		}
	case []string:
		if k.shape == WordOrList && len(v) == 1 && slices.Contains(k.Words, v[0]) {
			return tomlfile.Quote(v[0])
		}
		return tomlfile.QuoteList(v)
	case []rulevalue.HeaderMatch:
		values := make([]string, len(v))
		for i, h := range v {
			values[i] = "{ name = " + tomlfile.Quote(h.Name) + " }"
			if h.Value != "" {
				values[i] = "{ name = " + tomlfile.Quote(h.Name) + ", value = " + tomlfile.Quote(h.Value) + " }"
			}
		}
		if len(values) > 0 {
			return "[" + strings.Join(values, ", ") + "]"
		}
	}
	return ""
}

// fromJSON writes a value of JSON as TOML, "" for one that says nothing.
func (k *Key) fromJSON(text []byte) (string, error) {
	switch k.shape {
	case Number, Size:
		return as[int64](k, text)
	case Flag:
		return as[bool](k, text)
	case Fields:
		return as[[]rulevalue.HeaderMatch](k, text)
	case List:
		return as[[]string](k, text)
	case WordOrList:
		if len(text) > 0 && text[0] == '[' {
			return as[[]string](k, text)
		}
	}
	return as[string](k, text)
}

func as[T any](k *Key, text []byte) (string, error) {
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		return "", fmt.Errorf("%s: %w", k.Name, err)
	}
	return k.write(v), nil
}

// bare writes a number, a date or a truth; what is none of them becomes a string, so that the parser says what is wrong
// with it instead of reading something else, or nothing.
func bare(v string) string {
	if n, err := strconv.ParseInt(v, 10, 64); err == nil && strconv.FormatInt(n, 10) == v || v == "true" || v == "" {
		return v
	}
	for _, form := range []string{time.DateOnly, time.RFC3339Nano, "2006-01-02T15:04:05"} {
		if _, err := time.Parse(form, v); err == nil {
			return v
		}
	}
	return tomlfile.Quote(v)
}

// line is a text that a check accepts.
func line(at func(*Rule) *string, check func(p *tomlfile.Problems, e tomlfile.Entry, value string) bool) kind {
	return kind{get: func(r *Rule) any { return *at(r) }, read: func(p *Problems, r *Rule, e tomlfile.Entry) {
		if s, ok := p.Text(e); ok && check(&p.Problems, e, s) {
			*at(r) = s
		}
	}}
}

// oneOf is one of a few words.
func oneOf[T ~string](at func(*Rule) *T, words ...T) kind {
	k := kind{get: func(r *Rule) any { return string(*at(r)) }}
	for _, w := range words {
		k.Words = append(k.Words, string(w))
	}
	k.read = func(p *Problems, r *Rule, e tomlfile.Entry) {
		if s, ok := p.Word(e, k.Words...); ok {
			*at(r) = T(s)
		}
	}
	return k
}

// ranked is one of a few words that stand for numbers, the first for the number given.
func ranked[T ~int | ~uint8 | ~uint16](at func(*Rule) *T, first T, words ...string) kind {
	return kind{
		Words: words,
		get: func(r *Rule) any {
			if n := int(*at(r)) - int(first); n >= 0 && n < len(words) {
				return words[n]
			}
			return ""
		},
		read: func(p *Problems, r *Rule, e tomlfile.Entry) {
			if s, ok := p.Word(e, words...); ok {
				*at(r) = first + T(slices.Index(words, s))
			}
		},
	}
}

// list is a list of strings that are checked one by one.
func list(at func(*Rule) *[]string, check func(p *tomlfile.Problems, key, value string, at tomlfile.Span)) kind {
	return kind{shape: List, get: func(r *Rule) any { return *at(r) },
		read: func(p *Problems, r *Rule, e tomlfile.Entry) {
			*at(r) = p.Strings(e, func(value string, at tomlfile.Span) { check(&p.Problems, e.Key, value, at) })
		}}
}

// truthOf is true or false.
func truthOf(at func(*Rule) *bool) kind {
	return kind{shape: Flag, get: func(r *Rule) any { return *at(r) },
		read: func(p *Problems, r *Rule, e tomlfile.Entry) {
			*at(r) = p.Truth(e)
		}}
}

// addresses is a list of patterns of addresses.
func addresses(at func(*Rule) *[]string, nullAllowed bool) kind {
	return kind{shape: List, get: func(r *Rule) any { return *at(r) },
		read: func(p *Problems, r *Rule, e tomlfile.Entry) {
			*at(r) = p.Strings(e, func(value string, at tomlfile.Span) {
				if name, is := strings.CutPrefix(value, ListWord); is {
					p.Lists = append(p.Lists, ListUse{name, p.rule, at})
					return
				}
				if err := pattern.CheckAddress(value, nullAllowed); err != nil {
					lists := "list: and the name of a list, "
					if p.NoLists {
						lists = ""
					}
					p.Add(at, fmt.Sprintf("%s in %s: %v", tomlfile.Quote(tomlfile.Clip(value)), e.Key, err),
						"write an address, a domain, *.domain, "+lists+"a pattern with * and ?, or re: and an RE2 "+
							"expression")
				}
			})
		}}
}

// texts is a list of patterns of text.
func texts(at func(*Rule) *[]string) kind {
	return kind{shape: List, get: func(r *Rule) any { return *at(r) },
		read: func(p *Problems, r *Rule, e tomlfile.Entry) {
			*at(r) = p.Strings(e, func(value string, at tomlfile.Span) {
				p.programs.Check(&p.Problems, e.Key, value, at)
			})
		}}
}

// into reads a value and keeps it, where it can be read.
func into[T any](at func(*Rule) *T, read func(*tomlfile.Problems, tomlfile.Entry) (T, bool),
) func(*Problems, *Rule, tomlfile.Entry) {
	return func(p *Problems, r *Rule, e tomlfile.Entry) {
		if v, ok := read(&p.Problems, e); ok {
			*at(r) = v
		}
	}
}

func readHeader(p *Problems, r *Rule, e tomlfile.Entry) {
	r.Match.Header, _ = rulevalue.ReadHeader(&p.Problems, e, &p.programs)
}

func readExpires(p *Problems, r *Rule, e tomlfile.Entry) {
	r.Expires = rulevalue.ReadExpiry(&p.Problems, e)
}
