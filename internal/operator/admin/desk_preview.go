package admin

import (
	"context"
	"errors"
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
	view, err := d.s.rules()
	if err != nil {
		return past.Preview{}, err
	}
	if err := d.mayEdit(view.Text, &edit); err != nil {
		return past.Preview{}, err
	}
	text, err := rules.Edit([]byte(view.Text), edit.Name, edit.Rule)
	if errors.Is(err, rules.ErrNoRule) {
		return past.Preview{}, access.ErrNotFound
	}
	if err != nil {
		return past.Preview{}, err
	}
	inForce := d.s.cfg.Rules.Now()
	if inForce.Err != nil {
		return past.Preview{}, inForce.Err
	}
	then, err := rules.Parse("rules", text)
	if err != nil {
		return past.Preview{}, err
	}
	return d.PastDesk.Compare(ctx, inForce, inForce.With(then), d.blind(edit.Rule), patience)
}

// blind lists what records cannot answer about a rule.
func (d *Desk) blind(text string) (out []string) {
	set, err := d.one(text)
	if err != nil {
		return nil
	}
	for _, r := range set.Rules() {
		if r.Action == rules.RequireTLSAction {
			out = append(out, "what was refused")
		}
		if len(r.Match.Header) > 0 {
			out = append(out, "match.header")
		}
		if len(r.Match.Subject) > 0 {
			out = append(out, "match.subject")
		}
		if len(r.Domain) > 0 {
			out = append(out, "domain")
		}
		if len(r.Match.Attachment) > 0 {
			out = append(out, "match.attachment")
		}
		if len(r.Match.Body) > 0 {
			out = append(out, "match.body")
		}
		if u := &r.Unless; len(u.Header)+len(u.Subject)+len(u.Attachment)+len(u.Body) > 0 {
			out = append(out, "unless")
		}
	}
	return out
}
