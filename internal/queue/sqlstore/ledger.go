package sqlstore

import (
	"context"

	"postern/internal/ledger"
	"postern/internal/queue"
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
func (s *Store) Rules(ctx context.Context) (ledger.Revision, error) {
	newest, err := s.Revisions(ctx, 0, 1)
	if err != nil || len(newest) == 0 {
		return ledger.Revision{}, err
	}
	return newest[0], nil
}

// AppendRules stores the next revision and its entry together.
func (s *Store) AppendRules(ctx context.Context, text string, e ledger.Entry) (r ledger.Revision, err error) {
	if err := s.enter(ctx); err != nil {
		return r, err
	}
	defer s.calls.Done()
	r = ledger.Revision{Text: text, AppliedAt: queue.Kept(e.At), By: e.By}
	err = s.do(ctx, len(text), func(t *txn) (err error) {
		r.Number, err = t.c.number(context.Background(), "SELECT coalesce(max(number), 0) + 1 FROM revision")
		if err != nil {
			return err
		}
		if err := t.exec("INSERT INTO revision (number, text, applied_at, applied_by) VALUES (?, ?, ?, ?)", r.Number, text,
			stamp(e.At), e.By); err != nil {
			return err
		}
		return t.append(e)
	})
	if err != nil {
		return ledger.Revision{}, err
	}
	return r, nil
}

const selectJudgement = "SELECT number, rules, tables, files FROM judgement"

func scanJudgement(j *ledger.Judgement) func(r row) error {
	return func(r row) error {
		*j = ledger.Judgement{Number: r.int(0), Rules: r.int(1), Tables: r.text(2), Files: r.text(3)}
		return nil
	}
}

// Judgement returns the newest.
func (s *Store) Judgement(ctx context.Context) (j ledger.Judgement, err error) {
	if err := s.enter(ctx); err != nil {
		return j, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *conn) error { return c.query(ctx, selectJudgement, scanJudgement(&j)) })
	return j, err
}

// Judge numbers and stores what is in force.
func (s *Store) Judge(ctx context.Context, j ledger.Judgement, anew bool) (out ledger.Judgement, err error) {
	if err := s.enter(ctx); err != nil {
		return out, err
	}
	defer s.calls.Done()
	err = s.do(ctx, 0, func(t *txn) error {
		var newest ledger.Judgement
		if err := t.c.query(context.Background(), selectJudgement, scanJudgement(&newest)); err != nil {
			return err
		}
		revision, err := t.c.number(context.Background(), "SELECT coalesce(max(number), 0) FROM revision")
		if err != nil {
			return err
		}
		if out = j.Next(newest, revision, anew); out == newest {
			return nil
		}
		return t.exec("INSERT OR REPLACE INTO judgement (id, number, rules, tables, files) VALUES (1, ?, ?, ?, ?)",
			out.Number, out.Rules, out.Tables, out.Files)
	})
	if err != nil {
		return ledger.Judgement{}, err
	}
	return out, nil
}

// Append stores an entry.
func (s *Store) Append(ctx context.Context, e ledger.Entry) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.do(ctx, 0, func(t *txn) error { return t.append(e) })
}

func (t *txn) append(e ledger.Entry) error {
	text, err := encode(entryForm{By: e.By, Action: e.Action, Target: e.Target, Before: e.Before, After: e.After,
		Count: e.Count})
	if err != nil {
		return err
	}
	return t.exec("INSERT INTO entry (at, facts) VALUES (?, ?)", stamp(e.At), text)
}

// Revision returns one revision.
func (s *Store) Revision(ctx context.Context, number int64) (ledger.Revision, error) {
	list, err := s.revisions(ctx, "SELECT number, text, applied_at, applied_by FROM revision WHERE number = ?", number)
	if err == nil && len(list) == 0 {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return ledger.Revision{}, err
	}
	return list[0], nil
}

// Revisions returns the newest revisions below a number first.
func (s *Store) Revisions(ctx context.Context, below int64, limit int) ([]ledger.Revision, error) {
	return s.revisions(ctx, "SELECT number, text, applied_at, applied_by FROM revision WHERE ?1 = 0 OR number < ?1"+
		" ORDER BY number DESC LIMIT ?2", below, int64(limit))
}

func (s *Store) revisions(ctx context.Context, text string, args ...any) (out []ledger.Revision, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *conn) error {
		out = nil
		return c.query(ctx, text, func(r row) error {
			out = append(out, ledger.Revision{Number: r.int(0), Text: r.text(1), AppliedAt: r.time(2), By: r.text(3)})
			return nil
		}, args...)
	})
	return out, err
}

// Entries returns the newest entries below an ID first.
func (s *Store) Entries(ctx context.Context, below int64, limit int) (out []ledger.Entry, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, "SELECT at, facts, id FROM entry WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2", func(r row) error {
			var f entryForm
			if err := decode(r.text(1), &f); err != nil {
				return err
			}
			out = append(out, ledger.Entry{ID: r.int(2), At: r.time(0), By: f.By, Action: f.Action, Target: f.Target, Before: f.Before,
				After: f.After, Count: f.Count})
			return nil
		}, below, int64(limit))
	})
	return out, err
}
