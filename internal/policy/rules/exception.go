package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
)

// MaxExceptions is how many exceptions one file may hold.
const MaxExceptions = 10_000

// Exception sets aside, until it ends, what a recipient's domain publishes for senders: an entry [[exception]] of the
// rules file. It is no operand of what is demanded, and never touches a rule.
type Exception struct {
	Domain mail.Domain
	// Ignore are the kinds that are set aside: policy.PublishedDANE, policy.PublishedSTS. Sorted.
	Ignore []string
	Reason string // for people: "ticket 4711"
	// Expires is never zero: what nobody looks at again must end by itself.
	Expires Expiry
	// Line is where it begins in the file.
	Line int
}

// String says which exception it is, and why, in a part of a sentence.
func (e *Exception) String() string {
	return fmt.Sprintf("an exception until %s: %s", e.Expires, e.Reason)
}

// name is what lists of changes and warnings call it. No rule can have that name.
func (e *Exception) name() string { return "[[exception]] " + e.Domain.String() }

// Exceptions returns the exceptions in the order of the file. The slice belongs to the Set.
func (s *Set) Exceptions() []Exception {
	if s == nil {
		return nil
	}
	return s.exceptions
}

// Excepted says what mail to a domain sets aside at a time: by kind, and why. It is nil for nothing.
func (s *Set) Excepted(d mail.Domain, now time.Time) map[string]string {
	if s == nil {
		return nil
	}
	e := s.excepted[d]
	if e == nil || e.Expires.Over(now) {
		return nil
	}
	out := map[string]string{}
	for _, kind := range e.Ignore {
		out[kind] = e.String()
	}
	return out
}

func readExceptions(p *problems, e tomlfile.Entry) []Exception {
	list := tables(p, e, "an exception", MaxExceptions, "")
	out := make([]Exception, 0, len(list))
	lines, seen := lineCounter{source: p.Source}, map[mail.Domain]int{}
	for _, item := range list {
		x := Exception{Line: lines.at(item.At.Offset)}
		x.read(p, item)
		if line, twice := seen[x.Domain]; twice && !x.Domain.IsZero() {
			p.Add(item.Get("domain").At, fmt.Sprintf("%s has an exception in line %d already", x.Domain, line),
				"put both into one")
		}
		seen[x.Domain] = x.Line
		out = append(out, x)
	}
	return out
}

// exceptionKeys are the keys of an exception, each of which it must have, with what to write.
var exceptionKeys = []struct{ name, write string }{
	{"domain", `domain = "broken.test"`},
	{"ignore", `ignore = ["sts", "dane"]`},
	{"reason", `reason = "ticket 4711"`},
	{"expires", "expires = 2027-01-31"},
}

func (x *Exception) read(p *problems, table *tomlfile.Node) {
	for _, e := range table.Keys {
		switch e.Key {
		case "domain":
			s, ok := p.Text(e)
			d, err := mail.ParseDomain(s)
			if _, literal := d.Literal(); ok && (err != nil || literal) {
				p.Add(e.Value.At, tomlfile.Quote(tomlfile.Clip(s))+" is no domain",
					"write the recipients' domain alone, without *: "+exceptionKeys[0].write)
			}
			x.Domain = d
		case "ignore":
			x.Ignore = p.Strings(e, func(value string, at tomlfile.Span) {
				if value != policy.PublishedDANE && value != policy.PublishedSTS {
					p.Add(at, tomlfile.Quote(tomlfile.Clip(value))+" is nothing that a domain publishes",
						`write "dane", "sts" or both`)
				}
			})
			slices.Sort(x.Ignore)
			x.Ignore = slices.Compact(x.Ignore)
		case "reason":
			if s, ok := p.Text(e); ok && checkDescription(p, e, s) {
				x.Reason = strings.TrimSpace(s)
			}
		case "expires":
			var r Rule
			readExpires(p, &r, e)
			x.Expires = r.Expires
		default:
			p.Add(e.At, fmt.Sprintf("unknown key %s in [[exception]]", tomlfile.Quote(tomlfile.Clip(e.Key))),
				"its keys are domain, ignore, reason and expires")
		}
	}
	for _, key := range exceptionKeys {
		value := table.Get(key.name)
		if value == nil || key.name == "reason" && value.Kind == unstable.String &&
			strings.TrimSpace(value.Text) == "" {
			p.Add(table.At, "the exception has no "+key.name, "write "+key.write)
		}
	}
}

// print writes an exception in its canonical form.
func (x *Exception) print(b *strings.Builder) {
	fmt.Fprintf(b, "[[exception]]\ndomain = %s\nignore = %s\nreason = %s\nexpires = %s\n",
		tomlfile.Quote(x.Domain.String()), tomlfile.QuoteList(x.Ignore), tomlfile.Quote(x.Reason), x.Expires)
}

// fields are its keys with their values as TOML.
func (x *Exception) fields() []FieldChange {
	return []FieldChange{{Field: "ignore", After: tomlfile.QuoteList(x.Ignore)},
		{Field: "reason", After: tomlfile.Quote(x.Reason)}, {Field: "expires", After: x.Expires.String()}}
}

// diffExceptions compares exceptions by domain. One that is new, wider or longer lets mail go with less than its domain
// asks.
func diffExceptions(old, new []Exception) (out []Change) {
	before := map[mail.Domain]*Exception{}
	for i := range old {
		before[old[i].Domain] = &old[i]
	}
	kept := map[mail.Domain]bool{}
	for i := range new {
		x := &new[i]
		kept[x.Domain] = true
		c := Change{Rule: x.name(), Kind: Added, Fields: x.fields()}
		was := before[x.Domain]
		if was != nil {
			c.Kind, c.Fields = Changed, changedFields(was.fields(), x.fields())
			if len(c.Fields) == 0 {
				continue
			}
		}
		if was == nil || was.Expires.At.Before(x.Expires.At) || !subset(x.Ignore, was.Ignore) {
			c.Weaker, c.Why = true, fmt.Sprintf("mail to %s may go with less than the domain asks (%s) until %s",
				x.Domain, strings.Join(x.Ignore, ", "), x.Expires)
		}
		out = append(out, c)
	}
	for i := range old {
		if x := &old[i]; !kept[x.Domain] {
			c := Change{Rule: x.name(), Kind: Removed}
			for _, f := range x.fields() {
				c.Fields = append(c.Fields, FieldChange{Field: f.Field, Before: f.After})
			}
			out = append(out, c)
		}
	}
	return out
}

// changedFields are those of after that differ, with what they were.
func changedFields(before, after []FieldChange) (out []FieldChange) {
	for i, f := range after {
		if f.After != before[i].After {
			out = append(out, FieldChange{Field: f.Field, Before: before[i].After, After: f.After})
		}
	}
	return out
}

// exceptionWarnings tell of exceptions that have ended or are about to.
func (s *Set) exceptionWarnings(now time.Time) (out []Warning) {
	for i := range s.exceptions {
		x := &s.exceptions[i]
		w := Warning{Rule: x.name(), Line: x.Line}
		switch {
		case x.Expires.Over(now):
			w.Text, w.Hint = fmt.Sprintf("has ended (%s): what %s publishes is kept to again", x.Expires, x.Domain),
				"remove it"
		case x.Expires.At.Sub(now) <= warnBefore:
			w.Text, w.Hint = fmt.Sprintf("ends (%s): what %s publishes is kept to again then", x.Expires, x.Domain),
				"`postern check "+x.Domain.String()+"` shows whether mail would go"
		default:
			continue
		}
		out = append(out, w)
	}
	return out
}
