package web

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"postern/internal/operator/access"
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
	Problem  string
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
	revision, err := strconv.ParseInt(r.PostFormValue("revision"), 10, 64)
	if err != nil {
		return badRequest("the form does not say which rules it was made for; load the page again")
	}
	text := r.PostFormValue("text")
	if upload, _, err := r.FormFile("upload"); err == nil {
		defer upload.Close()
		content, err := io.ReadAll(io.LimitReader(upload, maxForm))
		if err != nil {
			return badRequest("the file cannot be read: %w", err)
		}
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
	case errors.Is(err, access.ErrBadRequest):
		v.Problem = err.Error()
		c.render(r.w, &r.who, http.StatusUnprocessableEntity, "list", "List "+l.Name, v)
		return nil
	case err != nil:
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
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, v := range l.Values {
		_ = w.Write([]string{v}) // a buffer takes everything
	}
	w.Flush()
	return file(r, "text/csv", "list.csv", b.Bytes())
}
