// Package ledger is the port for what must outlive a restart besides mail: the revisions of the rules and the trail of
// administrators' actions. Both are only ever appended to.
//
// A store that holds no revision yet answers revision 0 with an empty text: "no rules were ever applied". A store whose
// revision cannot be read answers an error, which is never read as "no rules".
package ledger

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
	// Append stores an entry.
	Append(ctx context.Context, e Entry) error
	// Revision returns one revision, ErrNotFound if there is none of that number.
	Revision(ctx context.Context, number int64) (Revision, error)
	// Revisions returns those below a number, 0: from the newest, newest first, at most limit.
	Revisions(ctx context.Context, below int64, limit int) ([]Revision, error)
	// Entries returns those below an ID, 0: from the newest, newest first, at most limit.
	Entries(ctx context.Context, below int64, limit int) ([]Entry, error)
}
