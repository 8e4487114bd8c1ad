package recipients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
)

// A connection is closed after so many refusals, for servers slow down and close those that were refused much (Postfix
// after 10 and 20), and after so many questions.
const (
	maxRefused = 8
	maxAsked   = 80
)

// server is one next hop under one requirement.
type server struct {
	places chan struct{}
	users  int // who ask there or are about to; guarded by Keeper.mu

	mu     sync.Mutex // guards what follows
	idle   []*line    // the one used last is at the end
	paused time.Time  // not asked before
	told   bool       // of the outage
}

// line is a connection over which questions are asked. It belongs to one goroutine, or to server.idle.
type line struct {
	channel        *deliver.Channel
	asked, refused int
	since          time.Time // idle
}

// at is the server of a next hop under a requirement, until done is called.
func (k *Keeper) at(site queue.SiteKey) (s *server, done func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s = k.servers[site]
	if s == nil {
		s = &server{places: make(chan struct{}, k.cfg.PerServer)}
		k.servers[site] = s
	}
	s.users++
	return s, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		s.users--
	}
}

// question is one recipient on the way to an answer.
type question struct {
	k       *Keeper
	s       *server
	site    queue.SiteKey
	view    *inforce.View
	require policy.Requirement
	to      mail.Address
}

// Why nobody was asked.
var (
	errPaused   = errors.New("the server did not answer a moment ago and is not asked now")
	errCrowded  = errors.New("too many questions are under way")
	errStopping = errors.New("the gateway is stopping")
)

// ask finds an answer within Wait.
func (k *Keeper) ask(client context.Context, to mail.Address) answer {
	if k.isClosed() {
		return unanswered(errStopping)
	}
	view := k.cfg.InForce()
	own, served := view.Table.Own(to.Domain)
	if !served {
		return unanswered(errors.New("the domain is not served any more"))
	}
	q := question{k: k, view: view, require: own.Requirement(), to: to}
	q.site = queue.NewSiteKey(view.Table.NextHop(to.Domain, q.require).String(), q.require)
	var done func()
	q.s, done = k.at(q.site)
	defer done()
	ctx, cancel := context.WithTimeout(client, k.cfg.Wait)
	defer cancel()
	leave, err := q.enter(ctx)
	if err != nil {
		return unanswered(err)
	}
	defer leave() // at least half of Wait is left
	a, err := q.answer(ctx)
	switch {
	case err == nil:
		q.s.recovered()
	case client.Err() != nil || errors.Is(err, deliver.ErrOvertaken): // it says nothing about the server
		return unanswered(err)
	default:
		q.silent(err)
		return unanswered(err)
	}
	return a
}

func unanswered(err error) answer {
	return answer{result: event.RecipientUnanswered, text: smtp.Printable(err.Error(), 300)}
}

// enter takes a place at the server and one of all, within half of Wait, so that a question which is asked has time:
// that it runs out says something about the server.
func (q *question) enter(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, q.k.cfg.Wait/2)
	defer cancel()
	if q.s.isPaused(time.Now()) {
		return nil, errPaused
	}
	for i, places := range []chan struct{}{q.s.places, q.k.places} {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			if i == 1 {
				<-q.s.places
			}
			return nil, errCrowded
		}
	}
	if q.s.isPaused(time.Now()) { // while we waited
		<-q.k.places
		<-q.s.places
		return nil, errPaused
	}
	return func() {
		<-q.k.places
		<-q.s.places
	}, nil
}

// answer asks over a connection that is open already, or a new one. A connection that was used before may be at its
// end, so then it is asked once more over a new one.
func (q *question) answer(ctx context.Context) (answer, error) {
	if l := q.k.takeIdle(ctx, q.s); l != nil {
		if a, err := q.over(ctx, l); err == nil {
			return a, nil
		}
	}
	l, err := q.open(ctx)
	if err != nil {
		return answer{}, err
	}
	return q.over(ctx, l)
}

// open climbs the ladder of the leg.
func (q *question) open(ctx context.Context) (*line, error) {
	plan, problem := q.view.TableFor(q.to.Domain).Plan(ctx, q.to.Domain)
	if problem != nil {
		return nil, fmt.Errorf("%s: %s", problem.Reason, problem.Text)
	}
	climbed := q.k.cfg.Opener.Open(ctx, string(q.site), plan, q.require, nil)
	if climbed.Channel == nil {
		return nil, fmt.Errorf("%s: %s", climbed.Attempt.Reason, climbed.Attempt.Text)
	}
	return &line{channel: climbed.Channel}, nil
}

// over asks for both senders, the second only where the first was refused, and keeps the connection if it may be used
// again. An error means that the server did not answer.
func (q *question) over(ctx context.Context, l *line) (a answer, err error) {
	a.host = l.channel.Host()
	defer func() { q.k.giveBack(q.s, l, err == nil) }()
	var words [2]word
	var status string
	for i, from := range [...]mail.Address{{}, q.k.cfg.Sender} {
		said, err := l.channel.Ask(ctx, deliver.Terms{Requirement: q.require}, from, q.to,
			func() bool { return q.k.cfg.InForce() == q.view })
		if unsupported(err) {
			return answer{result: event.RecipientUnanswered, host: a.host,
				text: "it does not offer SMTPUTF8, which asking for this address needs"}, nil
		}
		if err != nil {
			return a, err
		}
		if busy(said) {
			return a, fmt.Errorf("%s answered %s to %s", a.host, said.Reply, said.Command)
		}
		l.count(said)
		words[i], a.text = wordOf(said), said.Reply.String()
		switch words[i] {
		case exists:
			a.result = event.RecipientKnown
			return a, nil
		case unclear:
			a.result = event.RecipientUnanswered
			return a, nil
		case refused, nobody:
			status = statusOf(&said.Reply)
		}
	}
	a.result = event.RecipientUnanswered
	if unknown(words[0], words[1]) {
		a.result, a.refuse = event.RecipientUnknown, refusal(status)
	}
	return a, nil
}

// count notes a question that was answered.
func (l *line) count(said smtpclient.Asked) {
	l.asked++
	if !said.Reply.Positive() {
		l.refused++
	}
}

func unsupported(err error) bool {
	e, ok := errors.AsType[*smtpclient.Error](err)
	return ok && e.Kind == smtpclient.Unsupported
}

// busy reports whether a reply says that the server takes nothing from us now, whoever the recipient is.
func busy(a smtpclient.Asked) bool {
	return a.Reply.Code == 421 || a.Command == "MAIL" && a.Reply.Temporary()
}

func (k *Keeper) isClosed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

func (s *server) isPaused(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.paused)
}

// recovered: the server answered, or somebody wants it asked.
func (s *server) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused, s.told = time.Time{}, false
}

// silent: the server did not answer. It is left alone for a while, and the first time of an outage is told.
func (q *question) silent(err error) {
	q.s.mu.Lock()
	q.s.paused = time.Now().Add(q.k.cfg.Pause)
	first := !q.s.told
	q.s.told = true
	q.s.mu.Unlock()
	if first {
		q.k.cfg.Sink.Emit(event.Warned{What: "recipients",
			Text: fmt.Sprintf("the servers of %s could not be asked whether a recipient exists: %s", q.to.Domain,
				smtp.Printable(err.Error(), 300)),
			Hint: "until they answer, mail for unknown recipients there is accepted; repair them, or list the " +
				"mailboxes in a file (recipients in [[domain]])"})
	}
}

// takeIdle takes a connection that is open and lives; nil where there is none.
func (k *Keeper) takeIdle(ctx context.Context, s *server) *line {
	for {
		s.mu.Lock()
		n := len(s.idle)
		if n == 0 {
			s.mu.Unlock()
			return nil
		}
		l := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		k.taken()
		if l.channel.Alive(ctx) {
			return l
		}
		l.channel.Abort()
	}
}

func (k *Keeper) taken() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.idle--
}

// giveBack keeps a connection for the next question, or ends it.
func (k *Keeper) giveBack(s *server, l *line, good bool) {
	if !good || !l.channel.Healthy() {
		l.channel.Abort()
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.asked >= maxAsked || l.refused >= maxRefused || k.idle >= k.cfg.Total || k.closed {
		k.over = append(k.over, l) // Run says goodbye: no client waits for that
		return
	}
	l.since = time.Now()
	k.idle++
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, l)
}

// tidy closes connections that nobody has used for Idle, and forgets servers that nobody asks.
func (k *Keeper) tidy(now time.Time) {
	k.mu.Lock()
	over := k.over
	k.over = nil
	for site, s := range k.servers {
		s.mu.Lock()
		for len(s.idle) > 0 && now.Sub(s.idle[0].since) >= k.cfg.Idle {
			over = append(over, s.idle[0])
			s.idle = s.idle[1:]
			k.idle--
		}
		if len(s.idle) == 0 && s.users == 0 && !s.told {
			delete(k.servers, site)
		}
		s.mu.Unlock()
	}
	k.mu.Unlock()
	var group sync.WaitGroup
	for _, l := range over {
		group.Go(l.channel.Close)
	}
	group.Wait()
}

// close ends what is kept. Sessions that go on while the gateway stops ask no more.
func (k *Keeper) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.tidy(time.Now().Add(k.cfg.Idle))
}
