package rulediff

import (
	"fmt"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/exception"
)

// fields are its keys with their values as TOML.
func exceptionFields(x *exception.Exception) []FieldChange {
	return []FieldChange{{Field: "ignore", After: tomlfile.QuoteList(x.Ignore)},
		{Field: "reason", After: tomlfile.Quote(x.Reason)}, {Field: "expires", After: x.Expires.String()}}
}

// diffExceptions compares exceptions by domain. One that is new, wider or longer lets mail go with less than its domain
// asks.
func diffExceptions(old, new []exception.Exception) (out []Change) {
	before := map[mail.Domain]*exception.Exception{}
	for i := range old {
		before[old[i].Domain] = &old[i]
	}
	kept := map[mail.Domain]bool{}
	for i := range new {
		x := &new[i]
		kept[x.Domain] = true
		c := Change{Rule: x.Title(), Kind: Added, Fields: exceptionFields(x)}
		was := before[x.Domain]
		if was != nil {
			c.Kind, c.Fields = Changed, changedFields(exceptionFields(was), exceptionFields(x))
			if len(c.Fields) == 0 {
				continue
			}
		}
		if was == nil || was.Expires.At.Before(x.Expires.At) || len(missing(x.Ignore, was.Ignore)) > 0 {
			c.Weaker, c.Why = true, fmt.Sprintf("mail to %s may go with less than the domain asks (%s) until %s",
				x.Domain, strings.Join(x.Ignore, ", "), x.Expires)
		}
		out = append(out, c)
	}
	for i := range old {
		if x := &old[i]; !kept[x.Domain] {
			c := Change{Rule: x.Title(), Kind: Removed}
			for _, f := range exceptionFields(x) {
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
