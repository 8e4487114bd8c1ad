// Package expiry warns before a certificate of our own runs out: 30, 14, 7 and 1 days before, and when it has, each
// once.
//
// A certificate that something renews is no matter for a warning while that works, and most are renewed when a third of
// their life is left. So a step that lies in the first two thirds of a life, and a little beyond, is left out; and of
// one that the gateway renews itself (ACME) nothing is said before an order has failed. What was told is forgotten when
// the gateway stops.
package expiry

import (
	"context"
	"time"

	"postern/internal/event"
)

// Own is a certificate of ours.
type Own struct {
	Kind, Name string // "server" or "client"; the name it is told of by
	Begin, End time.Time
	// Renews says that the gateway renews it itself, Fault why it could not the last time, "" where it could.
	Renews bool
	Fault  string
}

// pause is how often is looked; firstPause after the start.
const (
	firstPause = time.Minute
	pause      = time.Hour
)

// Watcher looks at our own certificates now and then. New makes one.
type Watcher struct {
	own  func() []Own
	sink event.Sink
	told map[Own]int // of Run alone: the last step of each, without its Fault
}

// New returns a Watcher that does nothing before Run. own returns the certificates that are in force.
func New(own func() []Own, sink event.Sink) *Watcher {
	return &Watcher{own: own, sink: sink, told: map[Own]int{}}
}

// Run looks until ctx ends. It starts no goroutine and returns nil.
func (w *Watcher) Run(ctx context.Context) error {
	timer := time.NewTimer(firstPause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			w.look(time.Now())
			timer.Reset(pause)
		}
	}
}

// over is the step of a certificate that has run out, never none.
const (
	over  = -1
	never = 0
)

// Due is the step that is due for a certificate: 30, 14, 7 or 1 days, -1 where it has run out, 0 for none.
func Due(o Own, now time.Time) int {
	left, life := o.End.Sub(now), o.End.Sub(o.Begin)
	switch {
	case left <= 0:
		return over
	case o.Renews && o.Fault == "":
		return never
	}
	step := never
	for _, days := range []int{30, 14, 7, 1} {
		most := time.Duration(days) * 24 * time.Hour
		if left <= most && (o.Renews || most < life*3/10) {
			step = days
		}
	}
	return step
}

// look tells of each certificate whose step is another than the last that was told.
func (w *Watcher) look(now time.Time) {
	told := map[Own]int{}
	for _, o := range w.own() {
		id := o
		id.Fault = ""
		step := Due(o, now)
		told[id] = step
		if before := w.told[id]; step == never || step == before {
			continue
		}
		w.sink.Emit(event.CertificateEnding{Kind: o.Kind, Name: o.Name, End: o.End, Step: max(step, 0), Fault: o.Fault})
	}
	w.told = told
}
