package exception

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

// Max is how many exceptions one file may hold.
const Max = 10_000

// Exception sets aside, until it ends, what a recipient's domain publishes for senders: an entry [[exception]] of the
// rules file. It is no operand of what is demanded, and never touches a rule.
type Exception struct {
	Domain mail.Domain
	// Ignore are the kinds that are set aside: policy.PublishedDANE, policy.PublishedSTS. Sorted.
	Ignore []string
	Reason string // for people: "ticket 4711"
	// Expires is never zero: what nobody looks at again must end by itself.
	Expires rulevalue.Expiry
	// Line is where it begins in the file.
	Line int
}

// String says which exception it is, and why, in a part of a sentence.
func (e *Exception) String() string {
	return fmt.Sprintf("an exception until %s: %s", e.Expires, e.Reason)
}

// Aside says what is set aside at a time: by kind, and why. It is nil for nothing.
func (e *Exception) Aside(now time.Time) map[string]string {
	if e == nil || e.Expires.Over(now) {
		return nil
	}
	out := map[string]string{}
	for _, kind := range e.Ignore {
		out[kind] = e.String()
	}
	return out
}

// Title is what lists of changes and warnings call it. No rule can have that name.
func (e *Exception) Title() string { return "[[exception]] " + e.Domain.String() }

// Read reads all exceptions of a rules file, the value of its key exception.
func Read(p *tomlfile.Problems, e tomlfile.Entry) []Exception {
	if e.Value.Kind != unstable.Array {
		p.Add(e.At, "exception must be a list", "write [[exception]], with two brackets")
		return nil
	}
	if len(e.Value.Items) > Max {
		p.Add(e.At, fmt.Sprintf("%d exceptions, at most %d are allowed", len(e.Value.Items), Max), "")
		return nil
	}
	out := make([]Exception, 0, len(e.Value.Items))
	lines, seen := tomlfile.LineCounter{Source: p.Source}, map[mail.Domain]int{}
	for _, item := range e.Value.Items {
		if item.Kind != unstable.Table {
			p.Add(item.At, "an exception must be a table, not "+tomlfile.KindName(item.Kind),
				"write [[exception]] above its keys")
			continue
		}
		x := Exception{Line: lines.At(item.At.Offset)}
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

func (x *Exception) read(p *tomlfile.Problems, table *tomlfile.Node) {
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
			if e.Value.Kind == unstable.Array && len(e.Value.Items) == 0 {
				p.Add(e.At, "ignore is an empty list, so that nothing is set aside", `write "dane", "sts" or both`)
				continue
			}
			x.Ignore = p.Strings(e, func(value string, at tomlfile.Span) {
				if value != policy.PublishedDANE && value != policy.PublishedSTS {
					p.Add(at, tomlfile.Quote(tomlfile.Clip(value))+" is nothing that a domain publishes",
						`write "dane", "sts" or both`)
				}
			})
			slices.Sort(x.Ignore)
			x.Ignore = slices.Compact(x.Ignore)
		case "reason":
			if s, ok := p.Text(e); ok && rulevalue.CheckDescription(p, e, s) {
				x.Reason = strings.TrimSpace(s)
			}
		case "expires":
			x.Expires = rulevalue.ReadExpiry(p, e)
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

// Print writes an exception in its canonical form.
func (x *Exception) Print(b *strings.Builder) {
	fmt.Fprintf(b, "[[exception]]\ndomain = %s\nignore = %s\nreason = %s\nexpires = %s\n",
		tomlfile.Quote(x.Domain.String()), tomlfile.QuoteList(x.Ignore), tomlfile.Quote(x.Reason), x.Expires)
}
