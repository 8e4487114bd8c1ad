package web

import (
	"slices"

	"postern/internal/operator/admin"
	"postern/internal/policy"
)

// exceptionsView are the exceptions of the rules in force, and one that is being written.
type exceptionsView struct {
	admin.ExceptionsView
	Done   string
	Edit   admin.ExceptionEdit
	Has    bool // the domain of Edit has one in force
	Wrong  wrongs
	Result *admin.ApplyResult
}

// exceptionLabels are what the form calls its fields.
func exceptionLabels() map[string]string {
	return map[string]string{"domain": "Domain of the recipients", "expires": "Last day, UTC",
		"ignore": "Sets aside what the domain publishes by", "reason": "Why"}
}

// Label is what the form calls a field.
func (*exceptionsView) Label(field string) string { return exceptionLabels()[field] }

// STS and DANE report whether the exception that is being written sets that aside.
func (v *exceptionsView) STS() bool { return slices.Contains(v.Edit.Ignore, policy.PublishedSTS) }

// DANE is as STS.
func (v *exceptionsView) DANE() bool { return slices.Contains(v.Edit.Ignore, policy.PublishedDANE) }

// exceptions shows them, and with a domain that one to be changed.
func (c *Console) exceptions(r *request) error {
	view, err := r.desk.Exceptions(r.ctx())
	if err != nil {
		return err
	}
	v := exceptionsView{ExceptionsView: view, Done: c.done(r), Edit: admin.ExceptionEdit{Domain: r.FormValue("domain")}}
	for _, e := range view.Exceptions {
		if e.Domain == v.Edit.Domain {
			v.Has, v.Edit.Ignore, v.Edit.Reason, v.Edit.Expires = true, e.Ignore, e.Reason, e.Expires
		}
	}
	return c.page(r, "exceptions", "Exceptions", &v)
}

// saveException shows what an exception would change, and puts it in force when that was seen.
func (c *Console) saveException(r *request) error {
	revision, err := r.revision()
	if err != nil {
		return err
	}
	view, err := r.desk.Exceptions(r.ctx())
	if err != nil {
		return err
	}
	v := exceptionsView{ExceptionsView: view, Edit: admin.ExceptionEdit{Domain: r.PostFormValue("domain"),
		Ignore: r.PostForm["ignore"], Reason: r.PostFormValue("reason"), Expires: r.PostFormValue("expires"),
		Remove: r.PostFormValue("do") == "remove", IfRevision: &revision, DryRun: r.PostFormValue("do") == "look"}}
	v.Revision = revision
	v.Has = slices.ContainsFunc(view.Exceptions, func(e admin.ExceptionView) bool { return e.Domain == v.Edit.Domain })
	out, err := r.desk.EditException(r.ctx(), v.Edit)
	switch {
	case err != nil:
		code, why, err := c.unsaved(r, err, &v.Revision, exceptionLabels())
		if v.Wrong = why; err == nil {
			c.render(r.w, &r.who, code, "exceptions", "Exceptions", &v)
		}
		return err
	case v.Edit.DryRun:
		v.Result = &out
		return c.page(r, "exceptions", "Exceptions", &v)
	}
	return c.toSay(r, "/rules/exceptions", applied(&out))
}
