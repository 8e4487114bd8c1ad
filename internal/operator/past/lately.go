package past

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/hindsight"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Lately is what mail to a domain reached in the last days, and what would have become of the newest of it under a
// demand. It is as good as the records: what was not looked at is not counted, and Complete says so.
type Lately struct {
	Days       int  `json:"days"`       // how far back was looked
	Deliveries int  `json:"deliveries"` // looked at, the newest first
	Complete   bool `json:"complete"`   // all of these days were looked at
	// Reached counts those that were delivered by what they reached.
	Reached   map[string]int `json:"reached"`
	Failed    int            `json:"failed"`
	Cancelled int            `json:"cancelled"`
	Waiting   int            `json:"waiting"`
	// Newest is the newest that was delivered, nil where none was.
	Newest *LatelyNewest `json:"newest"`
}

// LatelyNewest is one delivery, and what would have become of it.
type LatelyNewest struct {
	Message    string            `json:"message"`
	AcceptedAt *time.Time        `json:"accepted_at"`
	Reached    string            `json:"reached"`
	MX         string            `json:"mx"`
	TLSVersion string            `json:"tls_version"`
	Outcome    hindsight.Outcome `json:"outcome"`
	Reason     policy.Reason     `json:"reason"`
	Text       string            `json:"text,omitempty"`
}

const (
	// latelyMost bounds the deliveries that are looked at for a domain, latelyTime the time for it.
	latelyMost = 300
	latelyTime = 150 * time.Millisecond
	// LatelyDomains bounds the domains that are looked at for one question.
	LatelyDomains = 10
)

// Lately looks at past mail to a domain, for a demand.
func (d PastDesk) Lately(ctx context.Context, domain mail.Domain, asked policy.Requirement) (*Lately, error) {
	if err := d.who.Need(access.ReadTrace); err != nil {
		return nil, err
	}
	out := &Lately{Days: PreviewDays, Reached: map[string]int{}}
	since := time.Now().UTC().AddDate(0, 0, -PreviewDays)
	judge := hindsight.New(d.s.cfg.Hindsight)
	stop, err := d.who.SearchFor(ctx, queue.Filter{Since: since, Domain: domain.String()}, latelyMost, latelyTime,
		func(r *queue.Record) bool {
			if r.Message.Kind == queue.Ordinary {
				out.add(ctx, d.who.Trace(r), r, judge, asked)
			}
			return true
		})
	out.Complete = stop == nil
	return out, err
}

func (l *Lately) add(ctx context.Context, t trace.Delivery, r *queue.Record, judge *hindsight.Judge,
	asked policy.Requirement) {
	l.Deliveries++
	switch {
	case r.State.Waiting():
		l.Waiting++
	case r.State == queue.Failed:
		l.Failed++
	case r.State == queue.Cancelled:
		l.Cancelled++
	case r.State == queue.Delivered:
		l.Reached[t.Reached]++
		if l.Newest == nil {
			become := judge.Ask(ctx, r, asked)
			l.Newest = &LatelyNewest{Message: t.Message, AcceptedAt: t.AcceptedAt, Reached: t.Reached, MX: t.MX,
				TLSVersion: t.TLSVersion, Outcome: become.Outcome, Reason: become.Reason, Text: become.Text}
		}
	}
}

// String says in a line what was reached.
func (l *Lately) String() string {
	if l.Deliveries == 0 {
		if !l.Complete {
			return "not everything was looked at; none was found"
		}
		return fmt.Sprintf("no mail in %d days", PreviewDays)
	}
	parts := []string{fmt.Sprintf("%d deliveries in %d days", l.Deliveries, PreviewDays)}
	if l.Deliveries == 1 {
		parts[0] = fmt.Sprintf("1 delivery in %d days", PreviewDays)
	}
	if !l.Complete {
		parts[0] = "of more, the newest " + parts[0]
	}
	for _, level := range []policy.Level{policy.Authenticated, policy.Encrypted, policy.Plaintext} {
		if n := l.Reached[level.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, level))
		}
	}
	for _, end := range []struct {
		n    int
		word string
	}{{l.Failed, "failed"}, {l.Cancelled, "cancelled"}, {l.Waiting, "waiting"}} {
		if end.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", end.n, end.word))
		}
	}
	return strings.Join(parts, ", ")
}

// String says in a line what it was.
func (n *LatelyNewest) String() string {
	text := n.Reached
	if n.TLSVersion != "" {
		text += " by " + n.TLSVersion
	}
	if n.MX != "" {
		text += " at " + n.MX
	}
	return n.Message + " reached " + text + "; " + n.Become()
}

// Become says what would have become of it under what is asked, with the reason.
func (n *LatelyNewest) Become() string {
	text := map[hindsight.Outcome]string{hindsight.AsNow: "it would have been delivered all the same",
		hindsight.WouldWait: "it would have waited", hindsight.WouldReturn: "it would have been returned"}[n.Outcome]
	if text == "" {
		text = "what would have become of it cannot be told"
	}
	if why := cmp.Or(n.Text, n.Reason.Meaning()); why != "" {
		text += ": " + why
	}
	return text
}
