package dispatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/mail"
	"postern/internal/queue"
)

// learnNames remembers names of mail hosts that are proven, after a success; those of a first use the channel has
// written down before it said MAIL. It comes before the settlement: who sees the delivery done sees what it taught.
// What cannot be stored is learnt by the next success.
func (r *run) learnNames(ctx context.Context) {
	if r.d.cfg.Book == nil {
		return
	}
	first, more := r.channel.Lesson()
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if len(first) > 0 {
		_, err := r.d.cfg.Book.Remember(ctx, true, first)
		errs = append(errs, err)
	}
	if len(more) > 0 {
		_, err := r.d.cfg.Book.Remember(ctx, false, more)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil && !errors.Is(err, queue.ErrBroken) {
		r.d.warn("mx", err, "the names of the mail hosts could not be remembered; the next delivery there does it")
	}
}

// tellAgain is how long a change of mail hosts that was told is not told again.
const tellAgain = 24 * time.Hour

// tellChangedHosts tells the administrator at once of mail hosts that no rule knows.
func (d *Dispatcher) tellChangedHosts(domain mail.Domain, climbed *deliver.Climbed) {
	if len(climbed.Changed) == 0 {
		return
	}
	e := event.MXChanged{Domain: domain.String(), Waits: climbed.Channel == nil}
	for _, c := range climbed.Changed {
		e.Hosts, e.Found = append(e.Hosts, c.Host), append(e.Found, c.Name)
		e.Rules, e.Known = append(e.Rules, c.Rules...), append(e.Known, c.Known...)
		if c.Seen {
			e.Seen = append(e.Seen, c.Name)
		}
	}
	for _, list := range []*[]string{&e.Hosts, &e.Found, &e.Rules, &e.Known, &e.Seen} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	key := e.Domain + " " + strings.Join(e.Found, " ") + " " + strings.Join(e.Rules, " ")
	if e.Waits {
		key += " waits"
	}
	if d.firstToday(key) {
		d.cfg.Sink.Emit(e)
	}
}

// firstToday reports whether what key names was not told within tellAgain, and takes it as told.
func (d *Dispatcher) firstToday(key string) bool {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.changed, func(_ string, at time.Time) bool { return now.Sub(at) >= tellAgain })
	if _, told := d.changed[key]; told {
		return false
	}
	d.changed[key] = now
	return true
}
