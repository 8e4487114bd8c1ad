package search

import (
	"context"
	"iter"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
)

// Asked is a store that answers questions by its tables.
type Asked interface {
	Store
	// Begin counts a question in until the caller calls end, and lets the tables tell all that the answer must know.
	Begin(ctx context.Context) (end func(), err error)
}

// Answers are the methods of queue.Store that only read. Use Of. Safe for concurrent use.
type Answers struct {
	x *Search
	s Asked
}

// Of makes the Answers of a store.
func (x *Search) Of(s Asked) *Answers { return &Answers{x, s} }

// List yields records, the newest acceptance first.
func (a *Answers) List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Record, error] {
	return func(yield func(queue.Record, error) bool) {
		end, err := a.s.Begin(ctx)
		if err != nil {
			yield(queue.Record{}, err)
			return
		}
		defer end()
		a.x.List(ctx, a.s, &f, yield)
	}
}

// Sites lists the sites where mail waits or that fail, by key.
func (a *Answers) Sites(ctx context.Context) (out []queue.Site, err error) {
	err = a.ask(ctx, func(db database.Reader) (err error) {
		out, err = a.x.Sites(ctx, db)
		return err
	})
	return out, err
}

// TookMail looks through the newest deliveries for sites that took mail.
func (a *Answers) TookMail(ctx context.Context, since time.Time, limit int) (out map[queue.SiteKey]time.Time,
	err error) {
	err = a.ask(ctx, func(db database.Reader) (err error) {
		out, err = a.x.TookMail(ctx, db, since, limit)
		return err
	})
	return out, err
}

func (a *Answers) ask(ctx context.Context, do func(db database.Reader) error) error {
	end, err := a.s.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return a.s.Read(ctx, do)
}
