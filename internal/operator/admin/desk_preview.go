package admin

import (
	"context"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/past"
	"postern/internal/policy/rulediff"
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
	e, err := d.edited(&edit)
	if err != nil {
		return past.Preview{}, err
	}
	q := past.Question{Now: e.now, Then: e.then, Patience: patience}
	if err := d.doubts(&edit, &e, &q); err != nil {
		return past.Preview{}, err
	}
	q.Recipients, q.Only = changedRecipients(e.now.Rules, e.then.Rules)
	return d.PastDesk.Compare(ctx, q)
}

// changedRecipients are whom the rules that differ between two sets name; only is false where they may be about mail to
// others alone.
func changedRecipients(now, then *rules.Set) (recipients []string, only bool) {
	only = true
	changed := map[string]bool{}
	for _, c := range rulediff.Diff(now, then) {
		changed[c.Rule] = false
		only = only && c.Kind != rulediff.Renamed
	}
	for _, set := range []*rules.Set{now, then} {
		for _, r := range set.Rules() {
			if _, differs := changed[r.Name]; differs {
				changed[r.Name] = true
				recipients = append(recipients, r.Match.Recipient...)
				only = only && len(r.Match.Recipient) > 0 && !r.Match.Literals
			}
		}
	}
	for _, found := range changed {
		only = only && found // else something differs that is no rule
	}
	return recipients, only
}
