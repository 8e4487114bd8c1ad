package tlscheck

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
	"postern/internal/policy/exception"
	"postern/internal/policy/rules"
	"postern/internal/policy/rulevalue"
)

// gateway is the running gateway that a check stands beside, so that it says what its deliveries say. One that does not
// answer, or may not be asked, is left alone for a while: it costs one question and not one for each target.
type gateway struct {
	client *api.Client
	silent atomic.Int64 // until when it is not asked, in ns since 1970
	missed atomic.Bool  // a question had no answer since begin
}

const (
	askTime   = 2 * time.Second // bounds one question
	leaveTime = 5 * time.Second // after one without an answer
)

// begin has it asked again, whatever became of earlier questions.
func (g *gateway) begin() {
	g.silent.Store(0)
	g.missed.Store(false)
}

// ask puts a question, and reports whether it had an answer. That it is no question to be asked is one too, and brings
// nothing.
func (g *gateway) ask(ctx context.Context, question func(context.Context) error) bool {
	if time.Now().UnixNano() < g.silent.Load() {
		g.missed.Store(true)
		return false
	}
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	err := question(asking)
	problem, ok := errors.AsType[*api.Problem](err)
	switch {
	case err == nil:
		return true
	case ok && problem.Code == http.StatusBadRequest, ctx.Err() != nil:
		return false
	}
	g.missed.Store(true)
	g.silent.Store(time.Now().Add(leaveTime).UnixNano())
	return false
}

// exceptions are those of the rules that count: of the file that was named, else of the running gateway's. What it said
// last counts while it does not answer.
type exceptions struct {
	ctx     context.Context // of the whole check: of is given none
	file    *rules.Set      // nil: the gateway is asked
	gateway *gateway

	mu    sync.Mutex // guards what follows
	asked time.Time
	list  map[string]exception.Exception // by domain
}

// askEvery is how long an answer about exceptions serves the targets that follow.
const askEvery = time.Second

// of says what is set aside of what a domain publishes, as rules.Set.Excepted does.
func (x *exceptions) of(d mail.Domain) map[string]string {
	if x.file != nil {
		return x.file.Excepted(d, time.Now())
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if time.Since(x.asked) > askEvery {
		x.read()
	}
	e, ok := x.list[d.String()]
	if !ok {
		return nil
	}
	return e.Aside(time.Now())
}

// read asks the gateway.
func (x *exceptions) read() {
	var said admin.ExceptionsView
	answered := x.gateway.ask(x.ctx, func(ctx context.Context) (err error) {
		said, err = x.gateway.client.Exceptions(ctx)
		return err
	})
	if !answered {
		return
	}
	x.asked, x.list = time.Now(), map[string]exception.Exception{}
	for _, v := range said.Exceptions {
		if expires, err := rulevalue.ParseExpiry(v.Expires); err == nil {
			x.list[v.Domain] = exception.Exception{Ignore: v.Ignore, Reason: v.Reason, Expires: expires}
		}
	}
}
