// Package audit is the port for what must outlive a restart besides mail: the revisions of the rules and the trail of
// administrators' actions. Both are only ever appended to.
//
// A store that holds no revision yet answers revision 0 with an empty text: "no rules were ever applied". A store whose
// revision cannot be read answers an error, which is never read as "no rules".
package audit

import (
	"context"
	"errors"
	"time"
)

// Revision is one applied state of the rules, kept as the administrator wrote it.
type Revision struct {
	Number    int64     `json:"revision"`
	Text      string    `json:"text"` // TOML
	AppliedAt time.Time `json:"applied_at"`
	By        string    `json:"by"`
}

// Judgement is everything that mail is judged by at a moment, under one number: the rules, the tables of own domains
// and routes, and the content of the files that these name. The number grows whenever any of it differs from what it
// was given for, and is above every revision of the rules. What was judged under a lower number is judged again before
// it is sent.
type Judgement struct {
	Number int64
	Rules  int64  // revision
	Tables string // digest
	Files  string // digest
}

// ErrNotFound: there is no such revision.
var ErrNotFound = errors.New("there is no such revision of the rules")

// Entry is one administrator's action, with what it changed.
type Entry struct {
	ID     int64     `json:"id,omitempty"` // grows with every entry; given by the ledger
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Action string    `json:"action"` // "rules apply", "queue release --lower" ...
	Target string    `json:"target,omitempty"`
	Before string    `json:"before,omitempty"`
	After  string    `json:"after,omitempty"`
	Count  int       `json:"count,omitempty"`
}

// Ledger keeps revisions and entries. Safe for concurrent use; every append is durable when it returns.
type Ledger interface {
	// Rules returns the newest revision, or the zero Revision if none was ever applied.
	Rules(ctx context.Context) (Revision, error)
	// AppendRules stores text as the next revision together with its entry, in one transaction.
	AppendRules(ctx context.Context, text string, e Entry) (Revision, error)
	// Judgement returns the newest, or the zero Judgement if there was none.
	Judgement(ctx context.Context) (Judgement, error)
	// Judge gives j its number and stores it as the newest: the number of the newest where that says the same and anew
	// is false, else the next. It is durable when it returns.
	Judge(ctx context.Context, j Judgement, anew bool) (Judgement, error)
	// Append stores an entry.
	Append(ctx context.Context, e Entry) error
	// Revision returns one revision, ErrNotFound if there is none of that number.
	Revision(ctx context.Context, number int64) (Revision, error)
	// Revisions returns those below a number, 0: from the newest, newest first, at most limit.
	Revisions(ctx context.Context, below int64, limit int) ([]Revision, error)
	// Entries returns those below an ID, 0: from the newest, newest first, at most limit.
	Entries(ctx context.Context, below int64, limit int) ([]Entry, error)
}

// Next is the judgement that follows newest where j is in force; revision is the newest of the rules ever applied. Both
// back ends of Judge number by it.
func (j Judgement) Next(newest Judgement, revision int64, anew bool) Judgement {
	j.Number = newest.Number
	if j != newest || anew || newest.Number == 0 {
		j.Number = max(newest.Number, revision) + 1
	}
	return j
}
