package scope

import (
	"context"
	"errors"
	"strconv"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/queue"
)

// SearchTime is how long a search goes on that nobody gave a patience of its own.
const SearchTime = 200 * time.Millisecond

// lookPortion is how many messages a search looks at, at a time.
const lookPortion = 500

// Search calls found for at most limit records of f within the scope. It returns where to go on: nil at the end.
func (a *Asker) Search(ctx context.Context, f queue.Filter, limit int,
	found func(r *queue.Record)) (*queue.Unfinished, error) {
	return a.SearchFor(ctx, f, limit, SearchTime, func(r *queue.Record) bool {
		found(r)
		return true
	})
}

// SearchFor is Search with a patience of its own, where found says whether a record counts.
func (a *Asker) SearchFor(ctx context.Context, f queue.Filter, limit int, patience time.Duration,
	found func(r *queue.Record) bool) (*queue.Unfinished, error) {
	until := time.Now().Add(patience)
	f.Look, f.Limit = lookPortion, 0
	if !a.Scope.All {
		f.Scope = append([]mail.Domain{}, a.Scope.Domains...) // none is nothing
	}
	for count := 0; ; {
		var stop *queue.Unfinished
		for r, err := range a.cfg.Store.List(ctx, f) {
			if errors.As(err, &stop) {
				break
			}
			if err != nil {
				return nil, err
			}
			if !a.Sees(&r) || !found(&r) {
				if time.Now().After(until) {
					return &queue.Unfinished{After: r.ID, AcceptedAt: r.AcceptedAt}, nil
				}
				continue
			}
			if count++; count == limit {
				return &queue.Unfinished{After: r.ID, AcceptedAt: r.AcceptedAt}, nil
			}
		}
		if stop == nil || time.Now().After(until) {
			return stop, nil
		}
		f.After = stop.After
	}
}

// ParseNumber reads the cursor of a list whose cursors are numbers; 0 is its begin.
func ParseNumber(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, access.BadRequest("%q is no cursor of a list", text)
	}
	return n, nil
}

// Page is a part of a list. Next is an opaque cursor, "" at the end. Complete is false when the search ran out of its
// time before the page was full; it looked back to SearchedTo, and Next goes on from there.
type Page[T any] struct {
	Items      []T        `json:"items"`
	Next       string     `json:"next,omitempty"`
	Complete   bool       `json:"complete"`
	SearchedTo *time.Time `json:"searched_to,omitempty"`
	// Total is how many there are, with the first page of a search; TotalExact is false where there are at least as
	// many.
	Total      int  `json:"total,omitempty"`
	TotalExact bool `json:"total_exact,omitempty"`
	// Unknown are the messages that the question names and of which there is nothing, with the first page.
	Unknown []string `json:"unknown,omitempty"`
}

// PageRequest asks for a part of a list: at most Limit (0: 50, at most 500) after the cursor.
type PageRequest struct {
	After string
	Limit int
}

// Most is how much a part of a list holds at most.
func (p PageRequest) Most() int {
	if p.Limit <= 0 {
		return 50
	}
	return min(p.Limit, 500)
}
