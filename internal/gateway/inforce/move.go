package inforce

import (
	"context"
	"maps"
	"slices"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// raisedGrace is the least time a delivery still has after its requirement was raised: its window counts from
// acceptance and may be over already.
const raisedGrace = time.Minute

// Judgements are what one View makes of stored messages, each judged once. They are for a short piece of work: rules
// begin and end with time. Not safe for concurrent use.
type Judgements struct {
	view  *View
	from  Mail
	known map[queue.ID]map[mail.Address]*Judged
	read  map[queue.ID]*addressed
}

// Judgements returns an empty memory of judgements by v.
func (v *View) Judgements(from Mail) *Judgements {
	return &Judgements{view: v, from: from, known: map[queue.ID]map[mail.Address]*Judged{},
		read: map[queue.ID]*addressed{}}
}

// addressed is who a message goes to.
type addressed struct{ to, copies []mail.Address }

// readStep is of how many messages is asked at once.
const readStep = 200

// Read reads who messages go to, those that are finished included, with few questions. Of judges by that.
func (k *Judgements) Read(ctx context.Context, ids ...queue.ID) error {
	for some := range slices.Chunk(ids, readStep) {
		if err := k.readSome(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

func (k *Judgements) readSome(ctx context.Context, ids []queue.ID) error {
	found := make(map[queue.ID]*addressed, len(ids))
	for _, id := range ids {
		found[id] = &addressed{}
	}
	for rec, err := range k.from.List(ctx, queue.Filter{IDs: ids, Brief: true}) {
		if err != nil {
			return err
		}
		a := found[rec.Message.ID]
		if rec.IsCopy() {
			a.copies = append(a.copies, rec.Recipient.Address)
		} else {
			a.to = append(a.to, rec.Recipient.Address)
		}
	}
	maps.Copy(k.read, found)
	return nil
}

// Of judges a stored message by all its recipients, finished ones included: they are what it was sent to.
func (k *Judgements) Of(ctx context.Context, m *queue.Message) (map[mail.Address]*Judged, error) {
	if out, known := k.known[m.ID]; known {
		return out, nil
	}
	if k.view.Err != nil {
		return nil, k.view.Err
	}
	if k.read[m.ID] == nil {
		if err := k.Read(ctx, m.ID); err != nil {
			return nil, err
		}
	}
	out, err := k.view.stored(ctx, k.from, m, k.read[m.ID])
	if err == nil {
		k.known[m.ID] = out
	}
	return out, err
}

// Move says where a delivery that waits at nextHop belongs by what is in force, nil where it is right already, and
// whether it holds more than that because nobody said that it may have less. What was judged by this View before is
// right.
func (k *Judgements) Move(ctx context.Context, m *queue.Message, d *queue.Delivery, nextHop string) (
	_ *queue.Move, more bool, _ error) {
	v := k.view
	if d.JudgedUnder(m) >= v.Number {
		return nil, false, nil
	}
	judged, err := k.Of(ctx, m)
	if err != nil {
		return nil, false, err
	}
	j, now := judged[d.Recipient.Address], time.Now()
	want := v.Weigh(d, m.Kind, j, now)
	to := v.MoveTo(d, &want)
	if to.NextHop == nextHop && want.Requirement.Key() == d.Requirement.Key() &&
		policy.SameDemands(want.Demands, v.Sourced(d, m.Kind)) {
		return nil, want.More, nil
	}
	to.Matched, to.ExpiresAt = d.Matched || j.Matched, d.ExpiresAt
	if j.Window > 0 && !d.Requirement.AtLeast(want.Requirement) {
		began := d.AcceptedAt
		if way := d.Effects.Way(); way != nil {
			began = way.At
		}
		end := began.Add(j.Window)
		if least := now.Add(raisedGrace); end.Before(least) {
			end = least
		}
		if end.Before(d.ExpiresAt) {
			to.ExpiresAt = end
		}
	}
	return to, want.More, nil
}

// Otherwise is the next way that a rule ordered for a delivery that waits at nextHop and would be returned for why; nil
// where there is none. It keeps every demand that it has, and has the rule's whole window from now on. age is how long
// it has waited since its acceptance.
func (v *View) Otherwise(d *queue.Delivery, nextHop string, why policy.Reason, now time.Time,
	age time.Duration) *queue.Move {
	for n := 1; ; n++ {
		effects := d.Effects.Onward(n, queue.Kept(now), why)
		if effects == nil {
			return nil
		}
		at := v.nextHop(d.Recipient.Address.Domain, effects.Route(), d.Requirement)
		if at == nextHop {
			continue // it waits there already
		}
		window := time.Duration(effects.Way().WindowMS) * time.Millisecond
		return &queue.Move{NextHop: at, Requirement: d.Requirement, Demands: d.Demands, Rules: d.Rules,
			Matched: d.Matched, ExpiresAt: d.AcceptedAt.Add(age + window), Effects: effects}
	}
}

// MoveTo puts a delivery where it belongs with the demands it is to have, judged by v. What a rule redirected stays so,
// and what took another way goes on there.
func (v *View) MoveTo(d *queue.Delivery, w *Weighed) *queue.Move {
	return &queue.Move{
		NextHop: v.nextHop(d.Recipient.Address.Domain, d.Effects.Route(), w.Requirement), Requirement: w.Requirement,
		Demands: w.Demands, Rules: w.Rules(), Judged: v.Number,
	}
}
