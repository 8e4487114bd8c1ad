package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/ruleform"
	policyrules "postern/internal/policy/rules"
)

// wrong is what is wrong with a form that comes back, at a field under its label, or with the whole.
type wrong struct {
	access.Fault
	Where string
}

// wrongs is all of it.
type wrongs []wrong

// At is what is wrong with a field, nil for nothing.
func (w wrongs) At(field string) *wrong {
	i := slices.IndexFunc(w, func(one wrong) bool { return one.Field == field })
	if i < 0 {
		return nil
	}
	return &w[i]
}

// unsaved says why a form comes back with all that was filled in, and with which status. Where somebody changed the
// rules in the meantime, revision becomes the one in force. An error that no other input mends comes back as it is.
func (c *Console) unsaved(r *request, err error, revision *int64, labels map[string]string) (int, wrongs, error) {
	var fields *access.FieldsError
	var broken *policyrules.ParseError
	var out wrongs
	switch {
	case errors.As(err, &fields):
		for _, f := range fields.Faults {
			out = append(out, wrong{f, labels[f.Field]})
		}
		return http.StatusUnprocessableEntity, out, nil
	case errors.Is(err, access.ErrStale), errors.Is(err, access.ErrForbidden), errors.Is(err, access.ErrNotFound):
		return 0, nil, err
	case errors.As(err, &broken):
		for _, p := range broken.Problems {
			out = append(out, wrong{Fault: access.Fault{What: ruleform.Words(p.What), Hint: ruleform.Words(p.Hint)}})
		}
		return http.StatusUnprocessableEntity, out, nil
	case errors.Is(err, admin.ErrRevision):
		view, err := r.desk.RulesText(r.ctx())
		*revision = view.Revision
		return http.StatusConflict, wrongs{{Fault: access.Fault{
			What: fmt.Sprintf("somebody changed the rules in the meantime: revision %d is in force", view.Revision),
			Hint: "what you filled in is still here; look at what it changes now, then save"}}}, err
	}
	f := faultOf(told(r, err))
	if f.Code == http.StatusInternalServerError {
		c.cfg.Log.Warn("console", "path", r.URL.Path, "error", err)
	}
	return f.Code, wrongs{{Fault: access.Fault{What: f.Text, Hint: "what you filled in is still here"}}}, nil
}
