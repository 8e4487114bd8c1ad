package admin

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"slices"
	"strings"

	"postern/internal/operator/access"
	"postern/internal/policy/rulelist"
	"postern/internal/policy/rules"
)

// ListView is one list that rules name.
type ListView struct {
	Name string `json:"name"`
	// where its values come from when rules are applied, "" where the rules hold them
	File    string `json:"file,omitempty"`
	Entries int    `json:"entries"`
	// Unread says that the file was not read; everybody then counts as in it.
	Unread bool     `json:"unread,omitempty"`
	Rules  []string `json:"rules"` // that name it
	// Values are there where one list was asked for.
	Values []string `json:"values,omitempty"`
}

// CSV is the list as a table of one column.
func (l *ListView) CSV() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, v := range l.Values {
		_ = w.Write([]string{v}) // a buffer takes everything
	}
	w.Flush()
	return b.Bytes()
}

// ListsView are the lists of the rules in force.
type ListsView struct {
	Revision int64      `json:"revision"`
	Lists    []ListView `json:"lists"`
}

// Lists shows the lists of the rules in force, without their values, to who sees all rules.
func (d *Desk) Lists(context.Context) (ListsView, error) {
	if err := d.who.Wide(access.ReadRules); err != nil {
		return ListsView{}, err
	}
	set, revision, err := d.s.cfg.Rules.Current()
	out := ListsView{Revision: revision, Lists: []ListView{}}
	if err != nil {
		return out, err
	}
	for i := range set.Lists() {
		out.Lists = append(out.Lists, listView(set, &set.Lists()[i]))
	}
	return out, nil
}

func listView(set *rules.Set, l *rulelist.List) ListView {
	return ListView{Name: l.Name, File: l.File, Entries: len(l.Values), Unread: l.Unread,
		Rules: append([]string{}, set.UsersOf(l.Name)...)}
}

// List shows one list with its values, and the revision it is of.
func (d *Desk) List(ctx context.Context, name string) (ListView, int64, error) {
	if err := d.who.Wide(access.ReadRules); err != nil {
		return ListView{}, 0, err
	}
	set, revision, err := d.s.cfg.Rules.Current()
	if err != nil {
		return ListView{}, 0, err
	}
	l := set.List(name)
	if l == nil {
		return ListView{}, revision, access.NotFound("there is no list %q", name)
	}
	d.shows(ctx, revision)
	out := listView(set, l)
	out.Values = slices.Clone(l.Values)
	return out, revision, nil
}

// ListEdit gives a list other values, all of them.
type ListEdit struct {
	Name string `json:"name"`
	// Text is one value a line, or a table whose first column they are.
	Text string `json:"text"`
	// IfRevision is ApplyRequest.IfRevision.
	IfRevision   *int64 `json:"if_revision,omitempty"`
	DryRun       bool   `json:"dry_run,omitempty"`
	LetWaitingGo bool   `json:"let_waiting_go,omitempty"`
}

// ReplaceList puts the rules in force with other values in one list, as a new revision; the rest of the file stays as
// it stands. What a file of another list held stays too. It is for who may apply a whole file.
func (d *Desk) ReplaceList(ctx context.Context, e ListEdit) (ApplyResult, error) {
	if err := d.mayApply(e.LetWaitingGo); err != nil {
		return ApplyResult{}, err
	}
	values, wrong := rulelist.ReadFile([]byte(e.Text))
	if len(wrong) > 0 {
		return ApplyResult{}, wrongList(strings.Join(wrong, "; "))
	}
	if len(values) == 0 {
		return ApplyResult{}, wrongList("there is no value in what came")
	}
	view, err := d.s.rules()
	if err != nil {
		return ApplyResult{}, err
	}
	text, err := rulelist.Replace([]byte(view.Text), e.Name, values)
	switch {
	case errors.Is(err, rulelist.ErrNoList):
		return ApplyResult{}, access.NotFound("there is no list %q", e.Name)
	case errors.Is(err, rulelist.ErrFromFile):
		return ApplyResult{}, access.BadRequest("%w", err)
	case err != nil:
		return ApplyResult{}, err
	}
	return d.applyChanged(ctx, view.Revision, ApplyRequest{Name: "list " + e.Name, Text: string(text), DryRun: e.DryRun,
		IfRevision: e.IfRevision, LetWaitingGo: e.LetWaitingGo})
}

// wrongList says why a list stays as it is.
func wrongList(what string) error {
	return &access.FieldsError{Why: access.ErrBadRequest, Faults: []access.Fault{{Field: "text",
		What: "the list stays as it is: " + what, Hint: "write addresses, domains and *.domain, one a line"}}}
}

// applyChanged applies a file that was made of a revision by changing an entry: what files of lists held then stays.
func (d *Desk) applyChanged(ctx context.Context, of int64, r ApplyRequest) (ApplyResult, error) {
	if r.asKept = true; r.IfRevision == nil {
		r.IfRevision = &of
	}
	return d.applyFile(ctx, r)
}
