package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulediff"
	"postern/internal/policy/ruleedit"
	"postern/internal/policy/rulelist"
	"postern/internal/policy/rules"
)

// Rules is RulesText with every rule as an object.
func (d *Desk) Rules(ctx context.Context) (RulesView, error) {
	v, list, err := d.rulesWith(ctx)
	if err != nil {
		return v, err
	}
	for _, r := range list {
		text, err := json.Marshal(r)
		if err != nil {
			return RulesView{}, fmt.Errorf("cannot show rule %s: %w", r.Name, err)
		}
		v.Rules = append(v.Rules, text)
	}
	return v, nil
}

// RulesText shows the file of the rules in force, who wrote it and what to warn of; to a scope of domains only the
// warnings about rules that are about nothing else.
func (d *Desk) RulesText(ctx context.Context) (RulesView, error) {
	v, _, err := d.rulesWith(ctx)
	return v, err
}

// rulesWith is RulesText with the rules.
func (d *Desk) rulesWith(ctx context.Context) (RulesView, []rule.Rule, error) {
	if err := d.who.Need(access.ReadRules); err != nil {
		return RulesView{}, nil, err
	}
	v, set, err := d.s.rulesWith()
	if err != nil {
		return v, nil, err
	}
	if d.who.Scope.All {
		return v, set.Rules(), nil
	}
	list, err := d.who.RuleList(ctx)
	if err != nil {
		return v, nil, err
	}
	v.Text, v.By, v.AppliedAt, v.Warnings = "", "", nil, d.warnings(set)
	return v, list, nil
}

// ApplyRules puts a whole file in force, for who has everything in scope: it parses, reads the files that the rules
// name, compares, stores and swaps. A file with any problem, or one that names a file which cannot be used, changes
// nothing and gives a *rules.ParseError. A file equal to the one in force is no new revision, but what waits is judged
// anew. When it returns with Applied, new messages are judged by the new rules and the dispatcher has been told about
// the waiting ones.
func (d *Desk) ApplyRules(ctx context.Context, r ApplyRequest) (ApplyResult, error) {
	if err := d.mayApply(r.LetWaitingGo); err != nil {
		return ApplyResult{}, err
	}
	return d.applyFile(ctx, r)
}

// mayApply refuses to put a whole file in force to who may not.
func (d *Desk) mayApply(letGo bool) error {
	if err := d.who.Need(access.WriteRules); err != nil {
		return err
	}
	if !d.who.Scope.All {
		return access.ErrForbidden
	}
	return d.mayLetGo(letGo)
}

// applyFile is ApplyRules for who may.
func (d *Desk) applyFile(ctx context.Context, r ApplyRequest) (ApplyResult, error) {
	by, err := d.who.Author()
	if err != nil {
		return ApplyResult{}, err
	}
	if err := ruleedit.CheckFiles(r.Name, []byte(r.Text), d.s.trust); err != nil {
		return ApplyResult{}, err
	}
	if err := d.s.checkRoutes(r.Name, r.Text); err != nil {
		return ApplyResult{}, err
	}
	if !r.asKept {
		text, err := rulelist.Fill(r.Name, []byte(r.Text), d.s.listFile)
		if err != nil {
			return ApplyResult{}, err
		}
		r.Text = string(text)
	}
	return d.s.apply(ctx, r, by)
}

// mayLetGo refuses to let waiting mail have less where that is asked for: it is lowering, of everybody's mail.
func (d *Desk) mayLetGo(asked bool) error {
	if !asked {
		return nil
	}
	if !d.who.Scope.All {
		return access.ErrForbidden
	}
	return d.who.Need(access.Lower)
}

// RuleEdit changes one rule of the file and leaves the rest as it stands, comments included.
type RuleEdit struct {
	Name string `json:"name"` // the rule to change; "" adds one
	// Rule is the rule's TOML with its line [[rule]]; "" deletes it.
	Rule string `json:"rule"`
	// IfRevision is the revision the caller looked at; any other in force is ErrRevision.
	IfRevision int64 `json:"if_revision"`
	DryRun     bool  `json:"dry_run,omitempty"`
	// LetWaitingGo is ApplyRequest.LetWaitingGo; a scope of domains cannot ask for it.
	LetWaitingGo bool `json:"let_waiting_go,omitempty"`
}

// EditRule changes one rule. A fault of the rule is a *rules.ParseError with lines counted within it.
func (d *Desk) EditRule(ctx context.Context, edit RuleEdit) (ApplyResult, error) {
	r := &edit
	if err := d.who.Need(access.WriteRules); err != nil {
		return ApplyResult{}, err
	}
	if r.Name == "" && r.Rule == "" {
		return ApplyResult{}, access.BadRequest("an edit names a rule or gives one")
	}
	if err := d.mayLetGo(r.LetWaitingGo); err != nil {
		return ApplyResult{}, err
	}
	view, err := d.s.rules()
	if err != nil {
		return ApplyResult{}, err
	}
	if r.IfRevision != view.Revision {
		return ApplyResult{}, fmt.Errorf("%w: revision %d is in force, not %d", ErrRevision, view.Revision,
			r.IfRevision)
	}
	if err := d.mayEdit(view.Text, r); err != nil {
		return ApplyResult{}, err
	}
	text, err := ruleedit.Edit([]byte(view.Text), r.Name, r.Rule)
	switch {
	case errors.Is(err, ruleedit.ErrNoRule):
		return ApplyResult{}, noRule(r.Name)
	case errors.Is(err, ruleedit.ErrInline):
		return ApplyResult{}, access.BadRequest("%w", err)
	case err != nil:
		return ApplyResult{}, err
	}
	by, err := d.who.Author()
	if err != nil {
		return ApplyResult{}, err
	}
	apply := ApplyRequest{Name: "rule " + d.target(r), Text: string(text), DryRun: r.DryRun,
		IfRevision: &r.IfRevision, LetWaitingGo: r.LetWaitingGo}
	if d.who.Scope.All {
		return d.s.apply(ctx, apply, by)
	}
	apply.only, apply.warnings = d.who.Sees, d.warnings
	out, err := d.s.apply(ctx, apply, by)
	if err != nil {
		return ApplyResult{}, besideOthers(err)
	}
	return d.ownResult(out, r)
}

// besideOthers is why a rule of a scope does not go into the file: where it stands there beside rules of others, no
// word of the fault is told.
func besideOthers(err error) error {
	if _, ok := errors.AsType[*rules.ParseError](err); ok {
		return access.BadRequest("the rule cannot stand beside the rules there are: give it another name")
	}
	return err
}

// ownResult leaves of what a change did what is about the rules of the scope.
func (d *Desk) ownResult(out ApplyResult, r *RuleEdit) (ApplyResult, error) {
	own, err := d.who.RuleNames()
	if err != nil {
		return out, err
	}
	if set, err := d.one(r.Rule); err == nil { // it may not be in force
		for _, one := range set.Rules() {
			own[one.Name] = true
		}
	}
	if r.Name != "" {
		own[r.Name] = true
	}
	out.Rules = len(own)
	out.Changes = slices.DeleteFunc(out.Changes, func(c rulediff.Change) bool { return !own[c.Rule] })
	return out, nil
}

// ownRule is what the file of one rule is called in faults of it.
const ownRule = "rule"

// target names the rule for the audit trail: the one that is there, a new one as it is called, or both names.
func (d *Desk) target(r *RuleEdit) string {
	set, err := d.one(r.Rule)
	if err != nil || len(set.Rules()) != 1 {
		return r.Name // it is deleted
	}
	switch next := set.Rules()[0].Name; {
	case r.Name == "":
		return next
	case !strings.EqualFold(next, r.Name):
		return r.Name + " -> " + next
	}
	return r.Name
}

// one reads one rule, which may name the lists in force; to a scope of domains there are none, for those are of others.
func (d *Desk) one(text string) (*rules.Set, error) {
	within := &rules.Set{}
	if set, _, err := d.s.cfg.Rules.Current(); err == nil && d.who.Scope.All {
		within = set
	}
	return rules.ParseWithin(within, ownRule, []byte(text))
}

// mayEdit checks the new rule by itself, with the file that it names, and refuses what reaches beyond the scope, before
// or after. What other rules name is not looked at: a broken file of theirs stops no edit of this one.
func (d *Desk) mayEdit(text string, r *RuleEdit) error {
	if r.Rule != "" {
		set, err := d.one(r.Rule)
		if err != nil {
			return err
		}
		list := set.Rules()
		if len(list) != 1 {
			return access.BadRequest("give one rule, not %d", len(list))
		}
		if beyond := d.who.Beyond(&list[0]); len(beyond) > 0 {
			return &access.FieldsError{Why: access.ErrForbidden, Faults: beyond}
		}
		if err := ruleedit.CheckFiles(ownRule, []byte(r.Rule), d.trust); err != nil {
			return err
		}
		if err := d.s.checkRoutes(ownRule, r.Rule); err != nil {
			return err
		}
	}
	if d.who.Scope.All || r.Name == "" {
		return nil
	}
	set, err := rules.Parse("rules", []byte(text))
	if err != nil {
		return err
	}
	for _, old := range set.Rules() {
		switch {
		case !strings.EqualFold(old.Name, r.Name):
		case d.who.Owns(&old):
			return nil
		case d.who.Hears(&old):
			return access.ErrForbidden // it is told of it
		}
	}
	return noRule(r.Name)
}

func noRule(name string) error { return access.NotFound("there is no rule %q", name) }

// trust says what is wrong with a file that a rule names; to a scope of domains only that something is, since what lies
// on the gateway's disk is not for all of its users.
func (d *Desk) trust(file string) (wrong, hint string) {
	wrong, hint = d.s.trust(file)
	if wrong != "" && !d.who.Scope.All {
		return "the gateway cannot read CA certificates from it",
			"ask an administrator of the gateway to put the file there"
	}
	return wrong, hint
}

// Revisions lists the revisions of the rules, newest first.
func (d *Desk) Revisions(ctx context.Context, p scope.PageRequest) (scope.Page[audit.Revision], error) {
	if err := d.who.Wide(access.ReadRules); err != nil {
		return scope.Page[audit.Revision]{}, err
	}
	below, err := scope.ParseNumber(p.After)
	if err != nil {
		return scope.Page[audit.Revision]{}, err
	}
	list, err := d.s.cfg.Ledger.Revisions(ctx, below, p.Most())
	if len(list) > 0 {
		d.shows(ctx, list[0].Number) // and those before, a line for the page
	}
	out := scope.Page[audit.Revision]{Items: list, Complete: true}
	if len(list) == p.Most() && list[len(list)-1].Number > 1 {
		out.Next = strconv.FormatInt(list[len(list)-1].Number, 10)
	}
	return out, err
}

// RevisionView is one revision of the rules with what it changed against the one before.
type RevisionView struct {
	audit.Revision
	Changes []rulediff.Change `json:"changes"`
}

// Revision shows one revision.
func (d *Desk) Revision(ctx context.Context, number int64) (RevisionView, error) {
	if err := d.who.Wide(access.ReadRules); err != nil {
		return RevisionView{}, err
	}
	r, err := d.s.cfg.Ledger.Revision(ctx, number)
	if errors.Is(err, audit.ErrNotFound) {
		return RevisionView{}, access.NotFound("there is no revision %d", number)
	}
	if err != nil {
		return RevisionView{}, err
	}
	before := &rules.Set{}
	if number > 1 {
		old, err := d.s.cfg.Ledger.Revision(ctx, number-1)
		if err != nil {
			return RevisionView{}, fmt.Errorf("the revision before cannot be read: %w", err)
		}
		// What an older release wrote may not be readable by this one; then everything counts as new.
		if set, err := rules.Parse("rules", []byte(old.Text)); err == nil {
			before = set
		}
	}
	d.shows(ctx, number)
	out := RevisionView{Revision: r, Changes: []rulediff.Change{}}
	if set, err := rules.Parse("rules", []byte(r.Text)); err == nil {
		out.Changes = changes(before, set)
	}
	return out, nil
}

// RollBack puts an older revision in force again, as a new one.
func (d *Desk) RollBack(ctx context.Context, number, ifRevision int64, dryRun, letGo bool) (ApplyResult, error) {
	if err := d.mayApply(letGo); err != nil {
		return ApplyResult{}, err
	}
	r, err := d.s.cfg.Ledger.Revision(ctx, number)
	if errors.Is(err, audit.ErrNotFound) {
		return ApplyResult{}, access.NotFound("there is no revision %d", number)
	}
	if err != nil {
		return ApplyResult{}, err
	}
	return d.applyFile(ctx, ApplyRequest{Name: fmt.Sprintf("revision %d", number), Text: r.Text, DryRun: dryRun,
		IfRevision: &ifRevision, LetWaitingGo: letGo, asKept: true})
}

// Warnings lists what is worth a second look in the rules in force.
func (d *Desk) Warnings(context.Context) ([]rules.Warning, error) {
	if err := d.who.Wide(access.ReadRules); err != nil {
		return nil, err
	}
	set, _, err := d.s.cfg.Rules.Current()
	if err != nil {
		return nil, err
	}
	return set.Warnings(time.Now(), d.s.own()...), nil
}
