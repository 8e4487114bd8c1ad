package admin

import (
	"context"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/past"
	"postern/internal/policy/rule"
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
	now, then, err := d.edited(&edit)
	if err != nil {
		return past.Preview{}, err
	}
	q := past.Question{Now: now, Then: then, Patience: patience}
	d.blind(edit.Rule, &q)
	q.Recipients, q.Only = changedRecipients(now.Rules, then.Rules)
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

// blind notes the conditions of a rule that records cannot answer, or only where header fields were kept, and these.
func (d *Desk) blind(text string, q *past.Question) {
	set, err := d.one(text)
	if err != nil {
		return
	}
	note := func(list *[]string, condition string, is bool) {
		if is {
			*list = append(*list, condition)
		}
	}
	for _, r := range set.Rules() {
		m, u := &r.Match, &r.Unless
		note(&q.Blind, "match.header", len(m.Header) > 0)
		note(&q.Blind, "match.subject", len(m.Subject) > 0)
		note(&q.Blind, "domain", len(r.Domain) > 0)
		note(&q.Blind, "unless.header", len(u.Header) > 0)
		note(&q.Blind, "unless.subject", len(u.Subject) > 0)
		note(&q.Never, "match.attachment", len(m.Attachment) > 0)
		note(&q.Never, "match.body", len(m.Body) > 0)
		note(&q.Never, "unless.attachment", len(u.Attachment) > 0)
		note(&q.Never, "unless.body", len(u.Body) > 0)
		note(&q.Never, "refused", r.Action == rule.RequireTLSAction)
	}
	q.Fields = set.HeaderFields()
}
