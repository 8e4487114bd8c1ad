package rule

import (
	"strings"

	"postern/internal/platform/tomlfile"
)

// ExceptionWord is what stands before the keys of an exception.
const ExceptionWord = "unless."

// withUnless returns a table of keys in which each of [rule.match] has its like in [rule.unless], after them.
func withUnless(table []Key) (out []Key) {
	var exceptions []Key
	for i, k := range table {
		if strings.HasPrefix(k.Name, "match.") {
			exceptions = append(exceptions, k.exception())
		} else if len(exceptions) > 0 && k.Section() != "" && table[i-1].Section() == "match" {
			out, exceptions = append(out, exceptions...), nil
		}
		out = append(out, k)
	}
	return append(out, exceptions...)
}

// exception is a key of [rule.match] as one of [rule.unless].
func (k *Key) exception() Key {
	out := *k
	out.Name = ExceptionWord + k.Short()
	out.Doc = "as in `[rule.match]`, for what the rule is not about"
	out.Default = ""
	turned := func(r *Rule) *Rule {
		o := *r
		o.Match, o.Unless = r.Unless, r.Match
		return &o
	}
	out.read = func(p *Problems, r *Rule, e tomlfile.Entry) {
		o := turned(r)
		k.read(p, o, e)
		r.Unless = o.Match
	}
	out.get = func(r *Rule) any { return k.get(turned(r)) }
	if k.toml != nil {
		out.toml = func(r *Rule) string { return k.toml(turned(r)) }
	}
	out.weaker = func(before, after *Rule) bool {
		switch {
		case !after.Excepts():
			return false
		case !before.Excepts():
			return true
		}
		// it holds for more where going back holds for less
		return k.weaker == nil || k.weaker(turned(after), turned(before))
	}
	return out
}

// unlessKeys are the keys of exceptions, in their order.
func unlessKeys() (out []string) {
	for i := range keys {
		if keys[i].Section() == "unless" {
			out = append(out, keys[i].Name)
		}
	}
	return out
}

// Excepts reports whether a rule has exceptions: a key that narrows nothing is none.
func (r *Rule) Excepts() bool { return r.Unless.narrows() }

// narrows reports whether one of the keys is a condition.
func (m *Match) narrows() bool {
	lists := len(m.Sender) + len(m.Recipient) + len(m.SenderIP) + len(m.Listener) + len(m.Header) + len(m.Subject) +
		len(m.Attachment) + len(m.Body)
	return lists > 0 || m.SizeOver > 0 || m.RecipientsOver > 0
}
