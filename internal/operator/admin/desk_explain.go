package admin

import (
	"context"
	"errors"
	"slices"

	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/past"
	"postern/internal/policy/ruleedit"
	"postern/internal/policy/rules"
)

// Explain says which rules would match a message, to those who may have others asked what recipients' domains publish,
// and to those who may look at past mail what mail to them reached lately. With an edit it is about the rules as they
// would be; a scope of domains asks about the rule of its edit alone, for all rules would tell of those of others.
func (d *Desk) Explain(ctx context.Context, r ExplainRequest) (Explanation, error) {
	if err := d.who.Need(access.ReadRules); err != nil {
		return Explanation{}, err
	}
	view, err := d.asked(&r)
	if err != nil {
		return Explanation{}, err
	}
	unasked, done := d.mayAsk()
	defer done()
	out, demanded, err := d.s.explain(ctx, view, d.ownSeen(view), &r, unasked)
	if err != nil {
		return out, err
	}
	if !d.who.Scope.All {
		out.Warnings = narrowed(out.Warnings)
	}
	return out, d.lately(ctx, &out, &demanded)
}

// asked is the view that a question is about.
func (d *Desk) asked(r *ExplainRequest) (*inforce.View, error) {
	v := d.s.cfg.Rules.Now()
	switch {
	case v.Err != nil:
		return nil, v.Err
	case r.Edit == nil && !d.who.Scope.All:
		return nil, access.ErrForbidden // it would tell of the rules of others
	case r.Edit == nil:
		return v, nil
	}
	edit, err := d.edited(&RuleEdit{Name: r.Edit.Name, Rule: r.Edit.Rule})
	if err != nil || d.who.Scope.All {
		return edit.then, err
	}
	alone, err := rules.Parse(ownRule, []byte(r.Edit.Rule))
	return v.With(alone), err
}

// edited are the rules in force and those after an edit, with their texts.
type edited struct {
	now, then         *inforce.View
	nowText, thenText []byte
}

// edited makes an edit that is not put in force, for who may make it.
func (d *Desk) edited(edit *RuleEdit) (out edited, err error) {
	view, err := d.s.rules()
	if err != nil {
		return out, err
	}
	if err := d.mayEdit(view.Text, edit); err != nil {
		return out, err
	}
	out.nowText = []byte(view.Text)
	out.thenText, err = ruleedit.Edit(out.nowText, edit.Name, edit.Rule)
	if errors.Is(err, ruleedit.ErrNoRule) {
		return out, noRule(edit.Name)
	}
	if err != nil {
		return out, err
	}
	if out.now = d.s.cfg.Rules.Now(); out.now.Err != nil {
		return out, out.now.Err
	}
	out.then, err = withText(out.now, out.thenText)
	return out, err
}

// withText is a view with other rules.
func withText(v *inforce.View, text []byte) (*inforce.View, error) {
	set, err := rules.Parse("rules", text)
	if err != nil {
		return nil, err
	}
	return v.With(set), nil
}

// mayAsk says why nobody is asked what is published, "" where somebody may be; done ends the asking.
func (d *Desk) mayAsk() (unasked string, done func()) {
	switch {
	case !d.who.Scope.All:
		return "your account is limited to domains", func() {}
	case d.who.Need(access.RunChecks) != nil:
		return "it takes the right to run checks", func() {}
	}
	select {
	case d.s.checks <- struct{}{}:
		return "", func() { <-d.s.checks }
	default:
		return "as many checks as may run at once are running", func() {}
	}
}

// ownSeen are the domains of our own servers that the principal may know of.
func (d *Desk) ownSeen(v *inforce.View) []mail.Domain {
	own := slices.Clone(v.OwnDomains())
	if d.who.Scope.All {
		return own
	}
	return slices.DeleteFunc(own, func(name mail.Domain) bool { return !d.who.Scope.Covers(name) })
}

// lately fills in what mail to the recipients' domains reached lately, for who may look at past mail.
func (d *Desk) lately(ctx context.Context, out *Explanation, demanded *outcomes) error {
	if d.who.Need(access.ReadTrace) != nil {
		return nil
	}
	known := map[string]*past.Lately{}
	for i, to := range demanded.to {
		key := to.Domain.String() + " " + demanded.tested[i].Key()
		one, asked := known[key]
		switch {
		case out.Recipients[i].Own, !asked && len(known) >= past.LatelyDomains:
			continue
		case !asked:
			var err error
			if one, err = d.PastDesk.Lately(ctx, to.Domain, demanded.tested[i]); err != nil {
				return err
			}
			known[key] = one
		}
		out.Recipients[i].Lately = one
	}
	return nil
}
