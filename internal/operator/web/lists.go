package web

import (
	"strings"

	"postern/internal/operator/admin"
)

// listsView are the lists that rules name.
type listsView struct {
	admin.ListsView
	Done string
}

func (c *Console) lists(r *request) error {
	view, err := r.desk.Lists(r.ctx())
	if err != nil {
		return err
	}
	return c.page(r, "lists", "Lists", listsView{view, c.done(r)})
}

// listView is one list with its values.
type listView struct {
	List     admin.ListView
	Revision int64
	Text     string
	Wrong    wrongs
	Result   *admin.ApplyResult
}

func (c *Console) list(r *request) error {
	l, revision, err := r.desk.List(r.ctx(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return c.page(r, "list", "List "+l.Name, listView{List: l, Revision: revision, Text: strings.Join(l.Values, "\n")})
}

// saveList shows what other values would change, and puts them in force when that was seen.
func (c *Console) saveList(r *request) error {
	revision, err := r.revision()
	if err != nil {
		return err
	}
	text := r.PostFormValue("text")
	if content, err := uploaded(r, "upload"); err != nil {
		return err
	} else if content != nil {
		text = string(content)
	}
	l, _, err := r.desk.List(r.ctx(), r.PathValue("name"))
	if err != nil {
		return err
	}
	v := listView{List: l, Revision: revision, Text: text}
	dry := r.PostFormValue("do") != "save"
	out, err := r.desk.ReplaceList(r.ctx(), admin.ListEdit{Name: l.Name, Text: text, IfRevision: &revision, DryRun: dry,
		LetWaitingGo: r.PostFormValue("let_waiting_go") != ""})
	switch {
	case err != nil:
		code, why, err := c.unsaved(r, err, &v.Revision, map[string]string{"text": "All values, one a line"})
		if v.Wrong = why; err == nil {
			c.render(r.w, &r.who, code, "list", "List "+l.Name, v)
		}
		return err
	case dry:
		v.Result = &out
		return c.page(r, "list", "List "+l.Name, v)
	}
	return c.toSay(r, "/rules/lists", applied(&out))
}

// exportList is a list as a table of one column.
func (c *Console) exportList(r *request) error {
	l, _, err := r.desk.List(r.ctx(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return file(r, "text/csv", "list.csv", l.CSV())
}
