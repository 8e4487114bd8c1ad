package sqlrecords

import (
	"context"

	"postern/internal/operator/audit"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// entryForm is a ledger entry apart from its time.
type entryForm struct {
	By     string `json:"by"`
	Action string `json:"action"`
	Target string `json:"target,omitempty"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Count  int    `json:"count,omitempty"`
}

// Rules returns the newest revision of the rules.
func (s *Store) Rules(ctx context.Context) (audit.Revision, error) {
	newest, err := s.Revisions(ctx, 0, 1)
	if err != nil || len(newest) == 0 {
		return audit.Revision{}, err
	}
	return newest[0], nil
}

// AppendRules stores the next revision and its entry together.
func (s *Store) AppendRules(ctx context.Context, text string, e audit.Entry) (r audit.Revision, err error) {
	r = audit.Revision{Text: text, AppliedAt: queue.Kept(e.At), By: e.By}
	err = s.db.Change(ctx, len(text), func(t database.Tx) (err error) {
		r.Number, err = t.Number(context.Background(), "SELECT coalesce(max(number), 0) + 1 FROM revision")
		if err != nil {
			return err
		}
		if err := t.Exec("INSERT INTO revision (number, text, applied_at, applied_by) VALUES (?, ?, ?, ?)", r.Number,
			text, database.Stamp(e.At), e.By); err != nil {
			return err
		}
		return Append(t, e)
	})
	if err != nil {
		return audit.Revision{}, err
	}
	return r, nil
}

const selectJudgement = "SELECT number, rules, tables, files FROM judgement"

func scanJudgement(j *audit.Judgement) func(r database.Row) error {
	return func(r database.Row) error {
		*j = audit.Judgement{Number: r.Int(0), Rules: r.Int(1), Tables: r.Text(2), Files: r.Text(3)}
		return nil
	}
}

// Judgement returns the newest.
func (s *Store) Judgement(ctx context.Context) (j audit.Judgement, err error) {
	err = s.db.Read(ctx, func(c database.Reader) error { return c.Query(ctx, selectJudgement, scanJudgement(&j)) })
	return j, err
}

// Judge numbers and stores what is in force.
func (s *Store) Judge(ctx context.Context, j audit.Judgement, anew bool) (out audit.Judgement, err error) {
	err = s.db.Change(ctx, 0, func(t database.Tx) error {
		var newest audit.Judgement
		if err := t.Query(context.Background(), selectJudgement, scanJudgement(&newest)); err != nil {
			return err
		}
		revision, err := t.Number(context.Background(), "SELECT coalesce(max(number), 0) FROM revision")
		if err != nil {
			return err
		}
		if out = j.Next(newest, revision, anew); out == newest {
			return nil
		}
		return t.Exec("INSERT INTO judgement (id, number, rules, tables, files) VALUES (1, ?, ?, ?, ?)"+
			" ON CONFLICT (id) DO UPDATE SET number = excluded.number, rules = excluded.rules, tables = "+
			"excluded.tables, files = excluded.files",
			out.Number, out.Rules, out.Tables, out.Files)
	})
	if err != nil {
		return audit.Judgement{}, err
	}
	return out, nil
}

// Append stores an entry.
func (s *Store) Append(ctx context.Context, e audit.Entry) error {
	return s.db.Change(ctx, 0, func(t database.Tx) error { return Append(t, e) })
}

// Append stores an entry in a transaction of the store.
func Append(t database.Tx, e audit.Entry) error {
	text, args, err := Appending(e)
	if err != nil {
		return err
	}
	return t.Exec(text, args...)
}

// Appending is the statement that stores an entry, and its arguments.
func Appending(e audit.Entry) (text string, args []any, err error) {
	facts, err := stored.Encode(entryForm{By: e.By, Action: e.Action, Target: e.Target, Before: e.Before,
		After: e.After, Count: e.Count})
	return "INSERT INTO entry (at, facts) VALUES (?, ?)", []any{database.Stamp(e.At), facts}, err
}

// Revision returns one revision.
func (s *Store) Revision(ctx context.Context, number int64) (audit.Revision, error) {
	list, err := s.revisions(ctx, "SELECT number, text, applied_at, applied_by FROM revision WHERE number = ?", number)
	if err == nil && len(list) == 0 {
		err = audit.ErrNotFound
	}
	if err != nil {
		return audit.Revision{}, err
	}
	return list[0], nil
}

// Revisions returns the newest revisions below a number first.
func (s *Store) Revisions(ctx context.Context, below int64, limit int) ([]audit.Revision, error) {
	return s.revisions(ctx, "SELECT number, text, applied_at, applied_by FROM revision WHERE ?1 = 0 OR number < ?1"+
		" ORDER BY number DESC LIMIT ?2", below, int64(limit))
}

func (s *Store) revisions(ctx context.Context, text string, args ...any) (out []audit.Revision, err error) {
	err = s.db.Read(ctx, func(c database.Reader) error {
		out = nil
		return c.Query(ctx, text, func(r database.Row) error {
			out = append(out, audit.Revision{Number: r.Int(0), Text: r.Text(1), AppliedAt: r.Time(2), By: r.Text(3)})
			return nil
		}, args...)
	})
	return out, err
}

// Entries returns the newest entries below an ID first.
func (s *Store) Entries(ctx context.Context, below int64, limit int) (out []audit.Entry, err error) {
	err = s.db.Read(ctx, func(c database.Reader) error {
		return c.Query(ctx, "SELECT at, facts, id FROM entry WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2",
			func(r database.Row) error {
				var f entryForm
				if err := stored.Decode(r.Text(1), &f); err != nil {
					return err
				}
				out = append(out, audit.Entry{ID: r.Int(2), At: r.Time(0), By: f.By, Action: f.Action, Target: f.Target,
					Before: f.Before, After: f.After, Count: f.Count})
				return nil
			}, below, int64(limit))
	})
	return out, err
}
