package rulevalue

import (
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// HeaderMatch holds when a field of that name has a value that fits the pattern; without one, when there is a field of
// that name.
type HeaderMatch struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// Programs is how many instructions the "re:" expressions of a file have so far.
type Programs int

// maxPrograms bounds them.
const maxPrograms Programs = 200_000

// Check asks for a pattern of text.
func (n *Programs) Check(p *tomlfile.Problems, key, value string, at tomlfile.Span) {
	text, err := pattern.CompileText(value, false)
	before := *n
	*n += Programs(text.Size())
	switch {
	case before <= maxPrograms && *n > maxPrograms:
		p.Add(at, "the expressions of all rules together are too large when compiled",
			"write text with * and ? where an re: expression is not needed, or fewer counted repetitions such as "+
				"{1,50}")
	case err != nil:
		p.Add(at, fmt.Sprintf("%s in %s: %v", tomlfile.Quote(tomlfile.Clip(value)), key, err),
			"write text with * and ?, which must fit the whole value, or re: and an RE2 expression")
	}
}

// fieldList is a key whose values are tables of a name and a value of a header field.
type fieldList struct {
	key, form string
	most      int  // 0: as many as there are
	both      bool // the value is needed too
	name      func(s string, at tomlfile.Span)
	value     func(s string, at tomlfile.Span)
}

func (l *fieldList) read(p *tomlfile.Problems, e tomlfile.Entry) (out []HeaderMatch, ok bool) {
	if e.Value.Kind != unstable.Array || len(e.Value.Items) == 0 || l.most > 0 && len(e.Value.Items) > l.most {
		what := "names and values"
		if l.most > 0 {
			what = fmt.Sprintf("1 to %d %s", l.most, what)
		}
		p.Add(e.Value.At, l.key+" must be a list of "+what, l.form)
		return nil, false
	}
	for _, item := range e.Value.Items {
		if item.Kind != unstable.Table {
			p.Add(item.At, "a value of "+l.key+" must be a table, not "+tomlfile.KindName(item.Kind), l.form)
			continue
		}
		out = append(out, l.item(p, item))
	}
	return out, true
}

func (l *fieldList) item(p *tomlfile.Problems, item *tomlfile.Node) (h HeaderMatch) {
	for _, k := range item.Keys {
		var said bool
		switch k.Key {
		case "name":
			if h.Name, said = p.Text(k); said {
				l.name(h.Name, k.Value.At)
			}
		case "value":
			if h.Value, said = p.Text(k); said {
				l.value(h.Value, k.Value.At)
			}
		default:
			p.Add(k.At, fmt.Sprintf("unknown key %s in %s", tomlfile.Quote(tomlfile.Clip(k.Key)), l.key), l.form)
		}
	}
	switch {
	case l.both && (item.Get("name") == nil || item.Get("value") == nil):
		p.Add(item.At, "a value of "+l.key+" needs a name and a value", l.form)
	case item.Get("name") == nil:
		p.Add(item.At, "a value of "+l.key+" needs a name", l.form)
	}
	return h
}

// ReadHeader reads names of header fields with patterns for their values.
func ReadHeader(p *tomlfile.Problems, e tomlfile.Entry, programs *Programs) ([]HeaderMatch, bool) {
	l := fieldList{key: "header", form: `write header = [{ name = "X-Classification", value = "secret*" }]`,
		name: func(s string, at tomlfile.Span) {
			if !validFieldName(s) {
				p.Add(at, fmt.Sprintf("%s is no name of a header field", tomlfile.Quote(tomlfile.Clip(s))),
					"write it without the colon")
			}
		},
		value: func(s string, at tomlfile.Span) { programs.Check(p, "header", s, at) }}
	return l.read(p, e)
}

// validFieldName asks for what a scanner of headers can find (RFC 5322 §3.6.8).
func validFieldName(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || c == ':'
	})
}

// MaxFields is how many header fields are added to one message, and maxAdded bounds each in octets: it is not folded
// (RFC 5322 §2.1.1 allows 998).
const (
	MaxFields = 20
	maxAdded  = 500
)

// ReadFields reads header fields that are to be added.
func ReadFields(p *tomlfile.Problems, e tomlfile.Entry) ([]HeaderMatch, bool) {
	l := fieldList{key: "fields", form: `write fields = [{ name = "X-Classification", value = "internal" }]`,
		most: MaxFields, both: true,
		name: func(s string, at tomlfile.Span) {
			if why := notAddable(s); why != "" {
				p.Add(at, fmt.Sprintf("%s cannot be added: %s", tomlfile.Quote(tomlfile.Clip(s)), why),
					"write a field of your own, such as X-Classification, without the colon")
			}
		},
		value: func(s string, at tomlfile.Span) {
			if !addableValue(s) {
				p.Add(at, "a value of fields is no line of a header",
					fmt.Sprintf("write at most %d printable ASCII characters; other letters as =?utf-8?q?...?= "+
						"(RFC 2047 §2)", maxAdded))
			}
		}}
	return l.read(p, e)
}

// addableValue reports whether a value is one line of printable ASCII in which what looks like an encoded word is one.
func addableValue(s string) bool {
	if !printable(s) || len(s) > maxAdded {
		return false
	}
	var dec mime.WordDecoder
	for _, word := range strings.Fields(s) {
		if strings.HasPrefix(word, "=?") {
			if _, err := dec.Decode(word); err != nil && !strings.Contains(err.Error(), "charset") {
				return false
			}
		}
	}
	return true
}

// notAddable says why a field of a name cannot be added, "" where it can. A message has each field of a writer once
// (RFC 5322 §3.6), what servers wrote is evidence, and some fields are orders to servers.
func notAddable(name string) string {
	folded := strings.ToLower(name)
	switch {
	case !validFieldName(name) || len(name) > 76:
		return "it is no name of a header field"
	case strings.HasPrefix(folded, "content-") || strings.HasPrefix(folded, "mime-"):
		return "it says how the message is to be read"
	case strings.HasPrefix(folded, "resent-") || strings.HasPrefix(folded, "arc-"),
		slices.Contains([]string{"received", "return-path", "delivered-to", "authentication-results", "received-spf",
			"dkim-signature", "domainkey-signature", "tls-report-domain", "tls-report-submitter"}, folded):
		return "it is the word of a server or a signature"
	case slices.Contains([]string{"from", "sender", "reply-to", "to", "cc", "bcc", "date", "message-id", "in-reply-to",
		"references", "subject"}, folded):
		return "it is its writer's"
	case folded == "tls-required" || folded == "require-tls-esmtp":
		return "it is an order about TLS"
	}
	return ""
}

// printable reports whether s is some printable ASCII without blanks at its ends.
func printable(s string) bool {
	return s != "" && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}
