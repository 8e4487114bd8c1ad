package admin

import (
	"context"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/past"
	"postern/internal/policy/rules"
)

// Preview compares the rules in force with those after an edit; patience bounds how long it looks, at most ten seconds.
func (d *Desk) Preview(ctx context.Context, edit RuleEdit, patience time.Duration) (past.Preview, error) {
	if err := d.who.Need(access.ReadRules); err != nil {
		return past.Preview{}, err
	}
	if err := d.who.Need(access.ReadTrace); err != nil {
		return past.Preview{}, err
	}
	now, then, err := d.edited(&edit)
	if err != nil {
		return past.Preview{}, err
	}
	return d.PastDesk.Compare(ctx, now, then, blind(edit.Rule), patience)
}

// blind lists the conditions of a rule that records cannot answer.
func blind(text string) (out []string) {
	set, err := rules.Parse("rule", []byte(text))
	if err != nil {
		return nil
	}
	for _, r := range set.Rules() {
		if len(r.Match.Header) > 0 {
			out = append(out, "match.header")
		}
		if len(r.Match.Subject) > 0 {
			out = append(out, "match.subject")
		}
	}
	return out
}
