package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy/exception"
	"postern/internal/policy/ruleedit"
	"postern/internal/policy/rules"
	"postern/internal/policy/rulevalue"
)

// ExceptionView is one exception of the rules in force: what mail to a domain sets aside of what the domain publishes.
type ExceptionView struct {
	Domain  string   `json:"domain"`
	Ignore  []string `json:"ignore"` // dane, sts
	Reason  string   `json:"reason"`
	Expires string   `json:"expires"` // as the file has it
	Over    bool     `json:"over"`    // it has ended
}

// ExceptionsView are the exceptions of the rules in force, in the order of the file.
type ExceptionsView struct {
	Revision   int64           `json:"revision"`
	Exceptions []ExceptionView `json:"exceptions"`
	// Warnings are those about exceptions: what ends soon, or has ended.
	Warnings []rules.Warning `json:"warnings,omitempty"`
}

// Exceptions shows the exceptions of the rules in force to who sees all rules.
func (d *Desk) Exceptions(context.Context) (ExceptionsView, error) {
	if err := d.who.Wide(access.ReadRules); err != nil {
		return ExceptionsView{}, err
	}
	set, revision, err := d.s.cfg.Rules.Current()
	out := ExceptionsView{Revision: revision, Exceptions: []ExceptionView{}}
	if err != nil {
		return out, err
	}
	now, titles := time.Now(), map[string]bool{}
	for _, e := range set.Exceptions() {
		titles[e.Title()] = true
		out.Exceptions = append(out.Exceptions, ExceptionView{Domain: e.Domain.String(), Ignore: e.Ignore,
			Reason: e.Reason, Expires: e.Expires.String(), Over: e.Expires.Over(now)})
	}
	for _, w := range set.Warnings(now, d.s.own()...) {
		if titles[w.Rule] {
			out.Warnings = append(out.Warnings, w)
		}
	}
	return out, nil
}

// ExceptionEdit gives a domain an exception, in place of the one it may have, or takes it away.
type ExceptionEdit struct {
	Domain string   `json:"domain"`
	Ignore []string `json:"ignore"`
	Reason string   `json:"reason"`
	// Expires is a day, through which it holds, or an instant with its zone.
	Expires string `json:"expires"`
	Remove  bool   `json:"remove,omitempty"`
	// IfRevision is ApplyRequest.IfRevision.
	IfRevision *int64 `json:"if_revision,omitempty"`
	DryRun     bool   `json:"dry_run,omitempty"`
}

// EditException puts the rules in force with one exception changed, as a new revision; the rest of the file stays as it
// stands. It is for who may apply a whole file. What is wrong with the edit is an *access.FieldsError.
func (d *Desk) EditException(ctx context.Context, e ExceptionEdit) (ApplyResult, error) {
	if err := d.mayApply(false); err != nil {
		return ApplyResult{}, err
	}
	domain, block, err := e.read()
	if err != nil {
		return ApplyResult{}, err
	}
	view, err := d.s.rules()
	if err != nil {
		return ApplyResult{}, err
	}
	text, err := ruleedit.Except([]byte(view.Text), domain, block)
	switch {
	case errors.Is(err, ruleedit.ErrNoException):
		return ApplyResult{}, access.NotFound("there is no exception for %s", domain)
	case errors.Is(err, ruleedit.ErrInline):
		return ApplyResult{}, access.BadRequest("%w", err)
	case err != nil:
		return ApplyResult{}, err
	}
	return d.applyChanged(ctx, view.Revision, ApplyRequest{Name: "exception for " + domain.String(),
		Text: string(text), DryRun: e.DryRun, IfRevision: e.IfRevision})
}

// read is the domain and the exception as it stands in a rules file, "" where it is taken away, or all that is wrong.
func (e *ExceptionEdit) read() (domain mail.Domain, block string, err error) {
	wrong := &access.FieldsError{Why: access.ErrBadRequest}
	fault := func(field, what, hint string) {
		wrong.Faults = append(wrong.Faults, access.Fault{Field: field, What: what, Hint: hint})
	}
	domain, ok := aDomain(e.Domain)
	if !ok {
		fault("domain", fmt.Sprintf("%q is no domain", e.Domain), "write the recipients' domain alone")
	}
	x := exception.Exception{Domain: domain, Ignore: e.Ignore, Reason: strings.TrimSpace(e.Reason)}
	if !e.Remove {
		if x.Expires, err = rulevalue.ParseExpiry(strings.TrimSpace(e.Expires)); err != nil {
			fault("expires", "it must end", "write the last day on which it holds, such as 2027-01-31")
		}
		if len(x.Ignore) == 0 {
			fault("ignore", "it sets nothing aside", "choose MTA-STS (sts), DANE (dane) or both")
		}
		if x.Reason == "" {
			fault("reason", "it does not say why", "write what it is for, such as ticket 4711")
		}
	}
	if e.Remove || len(wrong.Faults) > 0 {
		return domain, "", wrong.OrNil()
	}
	var b strings.Builder
	x.Print(&b)
	_, err = rules.Parse("the exception", []byte(b.String()))
	if broken, ok := errors.AsType[*rules.ParseError](err); ok {
		for _, p := range broken.Problems {
			fault(exceptionField(p.Line), strings.TrimPrefix(p.What, "description "), p.Hint)
		}
		return domain, "", wrong.OrNil()
	}
	return domain, b.String(), err
}

// exceptionField is the field that Print writes into a line.
func exceptionField(line int) string {
	return map[int]string{2: "domain", 3: "ignore", 4: "reason", 5: "expires"}[line]
}
