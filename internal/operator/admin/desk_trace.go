package admin

import (
	"context"
	"slices"
	"strconv"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/queue"
)

// Traces returns a page of deliveries, newest acceptance first.
func (d *Desk) Traces(ctx context.Context, q trace.Query, p scope.PageRequest) (scope.Page[trace.Delivery], error) {
	if err := d.who.Need(access.ReadTrace); err != nil {
		return scope.Page[trace.Delivery]{}, err
	}
	f, err := q.Filter()
	if err != nil {
		return scope.Page[trace.Delivery]{}, err
	}
	if f.After, err = parseCursor(p.After); err != nil {
		return scope.Page[trace.Delivery]{}, err
	}
	out := scope.Page[trace.Delivery]{Items: []trace.Delivery{}, Complete: true}
	stop, err := d.who.SearchFor(ctx, f, p.Most(), scope.SearchTime, func(r *queue.Record) bool {
		t := d.who.Trace(r)
		if !d.who.Keeps(&q, &t) {
			return false
		}
		out.Items = append(out.Items, t)
		return true
	})
	if err == nil {
		err = d.who.Because(ctx, out.Items)
	}
	if stop != nil {
		out.Next, out.Complete = cursor(stop.After), len(out.Items) == p.Most()
		out.SearchedTo = trace.Instant(stop.AcceptedAt)
	}
	if err == nil && p.After == "" {
		out.Total, out.TotalExact, err = d.total(ctx, &q, f, len(out.Items), stop)
	}
	if err == nil && p.After == "" {
		out.Unknown, err = d.unknown(ctx, q.Messages, out.Items)
	}
	return out, err
}

// unknown lists the messages of which there is nothing to see at all, whatever else is asked of them; shown is known.
func (d *Desk) unknown(ctx context.Context, ids []string, shown []trace.Delivery) (out []string, err error) {
	known := map[string]bool{}
	for i := range shown {
		known[shown[i].Message] = true
	}
	for _, id := range ids {
		if known[id] {
			continue
		}
		f := queue.Filter{IDs: []queue.ID{queue.ID(id)}, Brief: true}
		stop, err := d.who.Search(ctx, f, 1, func(*queue.Record) { known[id] = true })
		if err != nil {
			return nil, err
		}
		if !known[id] && stop == nil {
			out = append(out, id)
		}
	}
	return out, nil
}

// Beside a page stands how many there are: counted on for at most countTime and countMost more.
const (
	countMost = 1000
	countTime = 30 * time.Millisecond
)

// total is how many deliveries fit q, so many of which are on the first page, which ended at stop.
func (d *Desk) total(ctx context.Context, q *trace.Query, f queue.Filter, shown int,
	stop *queue.Unfinished) (n int, exact bool, err error) {
	if stop == nil {
		return shown, true, nil
	}
	if states := f.States; d.who.Scope.All && q.OnlyStates() {
		stats, err := d.s.cfg.Store.Stats(ctx)
		if err != nil {
			return 0, false, err
		}
		for st, count := range stats.States {
			if len(states) == 0 || slices.Contains(states, st) {
				n += int(count)
			}
		}
		return n, true, nil
	}
	f.After, f.Brief = stop.After, q.Host == "" // the host stands in the attempts
	n = shown
	stop, err = d.who.SearchFor(ctx, f, countMost, countTime, func(r *queue.Record) bool {
		t := d.who.Trace(r)
		if !d.who.Keeps(q, &t) {
			return false
		}
		n++
		return true
	})
	return n, stop == nil, err
}

// MessageView is one message with its deliveries and what the gateway wrote about it.
type MessageView struct {
	Message    string           `json:"message"`
	AcceptedAt *time.Time       `json:"accepted_at"`
	Revision   int64            `json:"rules_revision"` // that judged it at acceptance
	Deliveries []trace.Delivery `json:"deliveries"`
	Notices    []trace.Delivery `json:"notices"` // DSNs and delay notices about it
}

// messageMost bounds the deliveries shown of one message.
const messageMost = 1000

// Message returns one message, as far as the principal may see its deliveries.
func (d *Desk) Message(ctx context.Context, id string) (MessageView, error) {
	if err := d.who.Need(access.ReadTrace); err != nil {
		return MessageView{}, err
	}
	if !trace.LooksLikeID(id) {
		return MessageView{}, noMessage(id)
	}
	out := MessageView{Message: id, Deliveries: []trace.Delivery{}, Notices: []trace.Delivery{}}
	var from mail.Address
	var accepted time.Time
	_, err := d.who.Search(ctx, queue.Filter{IDs: []queue.ID{queue.ID(id)}}, messageMost, func(r *queue.Record) {
		from, accepted, out.Revision = r.Message.Envelope.From, r.AcceptedAt, r.Message.RulesRevision
		out.Deliveries = append(out.Deliveries, d.who.Trace(r))
	})
	if err != nil {
		return out, err
	}
	if len(out.Deliveries) == 0 {
		return out, noMessage(id)
	}
	if err := d.who.Because(ctx, out.Deliveries); err != nil {
		return out, err
	}
	out.AcceptedAt = trace.Instant(accepted)
	if from.IsNull() {
		return out, nil
	}
	_, err = d.who.Search(ctx, queue.Filter{Sender: "<>", Recipient: from.String(), Since: accepted}, messageMost,
		func(r *queue.Record) {
			if r.Message.About == queue.ID(id) {
				out.Notices = append(out.Notices, d.who.Trace(r))
			}
		})
	return out, err
}

func noMessage(id string) error { return access.NotFound("there is no message %q", id) }

// cursor is the delivery a page begins below, as text.
func cursor(id queue.DeliveryID) string { return strconv.FormatInt(int64(id), 36) }

func parseCursor(text string) (queue.DeliveryID, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 36, 64)
	if err != nil || n <= 0 {
		return 0, access.BadRequest("%q is no cursor of a list", text)
	}
	return queue.DeliveryID(n), nil
}
