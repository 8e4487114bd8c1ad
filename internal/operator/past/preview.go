package past

import (
	"cmp"
	"context"
	"time"

	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/hindsight"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Preview says what other rules would have meant for mail of the last days: which deliveries they would have demanded
// something else of, and what would have become of each. It is as good as the records: what was not examined then is
// said to be unknown, never to pass.
type Preview struct {
	Since      time.Time  `json:"since"`
	Deliveries int        `json:"deliveries"` // looked at
	Complete   bool       `json:"complete"`   // everything since Since was looked at
	SearchedTo *time.Time `json:"searched_to,omitempty"`
	// Changed counts deliveries of which something else would have been demanded, by what would have become of them.
	Changed map[hindsight.Outcome]int `json:"changed"`
	// Rows are the first of them, newest first.
	Rows []PreviewRow `json:"rows"`
	// Blind names the conditions that records cannot answer: header fields are not kept when a message is gone.
	Blind []string `json:"blind,omitempty"`
}

// PreviewRow is one delivery.
type PreviewRow struct {
	Message    string            `json:"message"`
	AcceptedAt *time.Time        `json:"accepted_at"`
	From       string            `json:"from"`
	To         string            `json:"to"`
	State      string            `json:"state"`
	Reached    string            `json:"reached"`
	Before     string            `json:"demanded"`       // level
	After      string            `json:"would_demand"`   // level
	Rules      []string          `json:"rules"`          // that would have had a say
	Outcome    hindsight.Outcome `json:"outcome"`        // would have become of it
	Reason     policy.Reason     `json:"reason"`         // why it would have waited or been returned
	Text       string            `json:"text,omitempty"` // the same in words
}

const (
	// PreviewDays is how far back a preview looks.
	PreviewDays = 7
	previewRows = 100
	previewMost = 200_000 // deliveries
)

// Compare looks at past mail under the rules now and then; patience bounds how long, at most ten seconds. blind names
// the conditions that records cannot answer.
func (d PastDesk) Compare(ctx context.Context, now, then *inforce.View, blind []string, patience time.Duration) (Preview, error) {
	if err := cmp.Or(d.who.Need(access.ReadRules), d.who.Need(access.ReadTrace)); err != nil {
		return Preview{}, err
	}
	select {
	case d.s.cfg.Lookers <- struct{}{}:
		defer func() { <-d.s.cfg.Lookers }()
	default:
		return Preview{}, ErrPreviews
	}
	p := previewer{d: d, now: now, then: then, past: hindsight.New(d.s.cfg.Hindsight),
		out: Preview{Since: time.Now().UTC().AddDate(0, 0, -PreviewDays), Changed: map[hindsight.Outcome]int{}, Rows: []PreviewRow{}, Blind: blind}}
	return p.look(ctx, min(patience, 10*time.Second))
}

// previewer looks at past deliveries, a message at a time.
type previewer struct {
	d         PastDesk
	now, then *inforce.View
	past      *hindsight.Judge
	out       Preview
	message   []queue.Record // the deliveries of the message being gathered
}

func (p *previewer) look(ctx context.Context, patience time.Duration) (Preview, error) {
	stop, err := p.d.who.SearchFor(ctx, queue.Filter{Since: p.out.Since}, previewMost, patience, func(r *queue.Record) bool {
		if len(p.message) > 0 && p.message[0].Message.ID != r.Message.ID {
			p.judge(ctx)
		}
		p.message = append(p.message, *r)
		p.out.Deliveries++
		return true
	})
	p.judge(ctx)
	if p.out.Complete = stop == nil; stop != nil {
		p.out.SearchedTo = trace.Instant(stop.AcceptedAt)
	}
	return p.out, err
}

// judge compares what is demanded of the gathered message with what would be.
func (p *previewer) judge(ctx context.Context) {
	list := p.message
	p.message = p.message[:0]
	if len(list) == 0 || list[0].Message.Kind != queue.Ordinary {
		return
	}
	p.judgeArrival(list)
	m, to := list[0].Message, []mail.Address{} // a copy: it is judged as if it came now
	for i := range list {
		to = append(to, list[i].Recipient.Address)
	}
	before, err := p.now.Judge(&m, mail.Header{}, to)
	if err != nil {
		return // asked before the preview began
	}
	after, err := p.then.Judge(&m, mail.Header{}, to)
	if err != nil {
		return
	}
	for i := range list {
		if demanded(before[i].Requirement) != demanded(after[i].Requirement) {
			p.add(ctx, &list[i], before[i].Requirement, &after[i])
		}
	}
}

// demanded is what a delivery must reach, without what is only tried first.
func demanded(r policy.Requirement) string {
	r.Aim = policy.Plaintext
	return r.Key()
}

func (p *previewer) add(ctx context.Context, r *queue.Record, before policy.Requirement, after *inforce.Judged) {
	if !p.d.who.Scope.All && !p.d.who.Ordered(r) {
		return // no rule of the scope has a say in what others send
	}
	t := p.d.who.Trace(r)
	become := p.past.Ask(ctx, r, after.Requirement)
	p.out.Changed[become.Outcome]++
	if len(p.out.Rows) < previewRows {
		p.out.Rows = append(p.out.Rows, PreviewRow{Message: t.Message, AcceptedAt: t.AcceptedAt, From: t.From, To: t.To,
			State: t.State, Reached: t.Reached, Before: before.Channel.String(), After: after.Requirement.Channel.String(),
			Rules: after.Rules, Outcome: become.Outcome, Reason: become.Reason, Text: become.Text})
	}
}
