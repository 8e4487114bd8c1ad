package dispatch

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// raisedGrace is the least time a delivery still has after its requirement was raised: its window counts from
// acceptance and may be over already.
const raisedGrace = time.Minute

// inForce names the rules and routes of a moment, for comparison with those of another.
type inForce struct {
	table    *route.Table
	revision int64
	unknown  bool // the rules cannot be read
}

func (d *Dispatcher) inForce() inForce {
	_, revision, err := d.cfg.Rules()
	return inForce{table: d.cfg.Route(), revision: revision, unknown: err != nil}
}

// upToDate holds claimed work against the rules and routes of this moment. What must go elsewhere, or needs more than it
// was claimed for, is moved; only the rest is returned. Nothing is ever lowered here.
func (r *run) upToDate(ctx context.Context, works []queue.Work) []queue.Work {
	set, revision, err := r.d.cfg.Rules()
	var keep []queue.Work
	if err != nil {
		r.d.warn("rules", err, "postern rules show; nothing is sent while the rules cannot be read")
	}
	for group := range byMessage(works) {
		if err != nil {
			r.unruled(ctx, group)
			continue
		}
		moves, moveErr := r.d.moves(ctx, set, revision, group)
		if moveErr != nil {
			r.d.warn("queue", moveErr, "the message could not be held against the changed rules; it waits")
			r.unruled(ctx, group)
			continue
		}
		var fates []fate
		for i := range group {
			if moves[i] == nil {
				keep = append(keep, group[i])
				continue
			}
			fates = append(fates, r.d.moved(&group[i], moves[i]))
		}
		r.conclude(ctx, fates)
	}
	return keep
}

// unruled puts off what cannot be judged: unknown is never good.
func (r *run) unruled(ctx context.Context, group []queue.Work) {
	a := &attempt.Attempt{At: time.Now(), Reason: policy.PolicyUnavailable, Text: "the rules could not be evaluated"}
	due := time.Now().Add(r.d.step(1))
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = r.d.deferred(&group[i], a, due)
	}
	r.conclude(ctx, fates)
}

// moved puts a delivery at another site, due at once. What an administrator holds stays held and without a deadline.
func (d *Dispatcher) moved(w *queue.Work, m *queue.Move) fate {
	f := d.again(w)
	f.settlement.Move = m
	if !w.Deadline.IsZero() && (w.Noticed || m.ExpiresAt.Before(w.Deadline)) {
		f.settlement.Deadline = m.ExpiresAt
	}
	return f
}

// moves returns for each delivery of one message where it belongs now, nil where it is right already.
func (d *Dispatcher) moves(ctx context.Context, set *rules.Set, revision int64, group []queue.Work) ([]*queue.Move, error) {
	var outcomes map[mail.Address]rules.Outcome
	m := &group[0].Message
	if slices.ContainsFunc(group, func(w queue.Work) bool { return judgedUnder(m, &w.Delivery) < revision }) {
		var err error
		if outcomes, err = d.evaluate(ctx, set, m); err != nil {
			return nil, err
		}
	}
	out := make([]*queue.Move, len(group))
	for i := range group {
		w := &group[i]
		newer := int64(0)
		if judgedUnder(m, &w.Delivery) < revision {
			newer = revision
		}
		out[i] = d.move(&w.Delivery, w.NextHop, outcomes[w.Recipient.Address], newer)
	}
	return out, nil
}

// judgedUnder is the revision of the rules that a delivery was last held against, by them or by an administrator.
func judgedUnder(m *queue.Message, w *queue.Delivery) int64 {
	return max(m.RulesRevision, w.RulesRevision)
}

// move joins what a delivery has with what the configuration asks of it now, and, if newer is not 0, with the outcome of
// the rules of that revision.
func (d *Dispatcher) move(w *queue.Delivery, nextHop string, o rules.Outcome, newer int64) *queue.Move {
	table := d.cfg.Route()
	want := w.Requirement
	if own, ok := table.Own(w.Recipient.Address.Domain); ok {
		want = policy.Combine(want, own.Requirement())
	}
	m := &queue.Move{Rules: w.Rules, Matched: w.Matched, ExpiresAt: w.ExpiresAt, RulesRevision: newer}
	if newer > 0 && !want.AtLeast(o.Requirement) {
		want = policy.Combine(want, o.Requirement)
		m.Rules, m.Matched = union(w.Rules, o.Rules), w.Matched || o.Matched
		if o.Window > 0 {
			end := w.AcceptedAt.Add(o.Window)
			if least := time.Now().Add(raisedGrace); end.Before(least) {
				end = least
			}
			if end.Before(w.ExpiresAt) {
				m.ExpiresAt = end
			}
		}
	}
	m.Requirement, m.NextHop = want, table.NextHop(w.Recipient.Address.Domain, want)
	if m.NextHop == nextHop && want.Key() == w.Requirement.Key() {
		return nil
	}
	return m
}

func union(a, b []string) []string {
	out := append([]string(nil), a...)
	for _, name := range b {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// evaluate runs the rules over a stored message with all its recipients, finished ones included: they are what the
// message was sent to.
func (d *Dispatcher) evaluate(ctx context.Context, set *rules.Set, m *queue.Message) (map[mail.Address]rules.Outcome, error) {
	f := rules.Facts{From: m.Envelope.From, Client: m.Inbound.Client, Size: m.Size, Now: time.Now()}
	table := d.cfg.Route()
	for rec, err := range d.cfg.Store.List(ctx, queue.Filter{IDs: []queue.ID{m.ID}}) {
		if err != nil {
			return nil, err
		}
		f.Recipients = append(f.Recipients, rec.Recipient.Address)
		f.Local = append(f.Local, table.Serves(rec.Recipient.Address.Domain))
	}
	if set.NeedsHeader() {
		header, err := d.header(ctx, m)
		if err != nil {
			return nil, err
		}
		f.Header = header
	}
	decision := set.Evaluate(&f)
	out := make(map[mail.Address]rules.Outcome, len(f.Recipients))
	for i, to := range f.Recipients {
		out[to] = decision.Recipients[i]
	}
	return out, nil
}

// tested evaluates a message for what rules under test would do.
func (d *Dispatcher) tested(m *queue.Message) (map[mail.Address]rules.Outcome, error) {
	set, _, err := d.cfg.Rules()
	if err != nil {
		return nil, err
	}
	return d.evaluate(context.Background(), set, m)
}

func (d *Dispatcher) header(ctx context.Context, m *queue.Message) (mail.Header, error) {
	body, err := d.cfg.Store.Open(ctx, m.ID)
	if err != nil {
		return mail.Header{}, err
	}
	defer body.Close()
	text := make([]byte, m.HeaderSize)
	if _, err := io.ReadFull(body, text); err != nil {
		return mail.Header{}, fmt.Errorf("the stored header of %s cannot be read: %w", m.ID, err)
	}
	return mail.ParseHeader(text), nil
}

// rulesLoop re-evaluates what waits whenever the rules changed.
func (d *Dispatcher) rulesLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.rules:
			if err := d.raise(ctx); err != nil && ctx.Err() == nil {
				d.warn("rules", err, "waiting mail is held against the new rules when it is next tried; until then it is not sent")
			}
		}
	}
}

// raise walks what waits, message by message, and moves what the rules in force demand more of. It is only for people to
// see at once what upToDate would find out later.
func (d *Dispatcher) raise(ctx context.Context) error {
	set, revision, err := d.cfg.Rules()
	if err != nil {
		return err
	}
	raised := 0
	after := queue.DeliveryID(0)
	for {
		ids, last, err := d.stale(ctx, revision, after)
		if err != nil || len(ids) == 0 {
			if raised > 0 {
				d.cfg.Sink.Emit(event.Raised{Revision: revision, Deliveries: raised})
			}
			return err
		}
		n, err := d.raiseSome(ctx, set, revision, ids)
		if err != nil {
			return err
		}
		raised, after = raised+n, last
	}
}

// stale lists a step of waiting deliveries whose message was evaluated under older rules.
func (d *Dispatcher) stale(ctx context.Context, revision int64, after queue.DeliveryID) (recs []queue.Record, last queue.DeliveryID, err error) {
	filter := queue.Filter{
		States: []queue.State{queue.Queued, queue.Held}, StaleRules: revision, After: after, Limit: 500,
	}
	for rec, err := range d.cfg.Store.List(ctx, filter) {
		if err != nil {
			return nil, 0, err
		}
		recs, last = append(recs, rec), rec.ID
	}
	return recs, last, nil
}

// raiseSome moves those of the records that need more.
func (d *Dispatcher) raiseSome(ctx context.Context, set *rules.Set, revision int64, recs []queue.Record) (int, error) {
	var ids []queue.DeliveryID
	evaluated := map[queue.ID]map[mail.Address]rules.Outcome{}
	for i := range recs {
		rec := &recs[i]
		if judgedUnder(&rec.Message, &rec.Delivery) >= revision {
			continue
		}
		outcomes, ok := evaluated[rec.Message.ID]
		if !ok {
			var err error
			if outcomes, err = d.evaluate(ctx, set, &rec.Message); err != nil {
				return 0, err
			}
			evaluated[rec.Message.ID] = outcomes
		}
		if d.move(&rec.Delivery, rec.NextHop, outcomes[rec.Recipient.Address], revision) != nil {
			ids = append(ids, rec.ID)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	now := time.Now()
	works, err := d.cfg.Store.Claim(ctx, queue.Claim{
		IDs: ids, Worker: d.cfg.Worker, Now: now, Until: now.Add(d.cfg.Lease), Limit: len(ids),
	})
	if err != nil {
		return 0, err
	}
	for group := range byMessage(works) {
		moves, err := d.moves(ctx, set, revision, group)
		var fates []fate
		for i := range group {
			if err != nil || moves[i] == nil {
				fates = append(fates, d.again(&group[i]))
				continue
			}
			fates = append(fates, d.moved(&group[i], moves[i]))
		}
		if err := d.conclude(ctx, fates, nil); err != nil {
			return 0, err
		}
	}
	return len(works), nil
}
