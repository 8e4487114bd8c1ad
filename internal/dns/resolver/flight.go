package resolver

import (
	"context"
	"errors"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
)

// question is what is asked; it is the key of the cache.
type question struct {
	name  mail.Domain
	qtype uint16
}

// flight is a question being asked. Its asker is one of the callers; the others wait for done.
type flight struct {
	done  chan struct{}
	reply *reply // both are set before done is closed
	err   error
}

// ask answers q from the cache or from a server. Callers that ask the same at the same time share one try; if the one
// who asks gives up because of its own context, another takes over.
func (r *Resolver) ask(ctx context.Context, q question) (*reply, error) {
	for {
		if reply, err, ok := r.cache.get(q, time.Now()); ok {
			return reply, err
		}
		f, mine := r.board(q)
		if mine {
			r.fly(ctx, q, f)
			return f.reply, f.err
		}
		select {
		case <-f.done:
			if !errors.Is(f.err, errGaveUp) {
				return f.reply, f.err
			}
		case <-ctx.Done():
			return nil, r.fault(dns.Timeout, q, "", ctx.Err())
		}
	}
}

var (
	// errGaveUp is the cause of an error that says more about the caller's context than about the servers.
	errGaveUp = errors.New("the question was given up")
	// errTotal is the cause of a context that ended because the servers used up Config.Total.
	errTotal = errors.New("the time for the question is used up")
)

// board returns the flight for q; mine says that the caller must fly it.
func (r *Resolver) board(q question) (f *flight, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[q]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	r.flights[q] = f
	return f, true
}

// fly asks and lands: the result goes to the cache and to all who wait.
func (r *Resolver) fly(ctx context.Context, q question, f *flight) {
	defer func() {
		r.mu.Lock()
		delete(r.flights, q)
		r.mu.Unlock()
		close(f.done)
	}()
	f.reply, f.err = r.rounds(ctx, q)
	if f.err != nil && ctx.Err() != nil && context.Cause(ctx) != errTotal {
		f.err = r.fault(dns.Timeout, q, "", errors.Join(errGaveUp, ctx.Err(), f.err))
		return
	}
	r.cache.put(q, f.reply, f.err, time.Now())
}
