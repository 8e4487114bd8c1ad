package past

import (
	"cmp"
	"context"
	"slices"
	"strings"
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
	Since      time.Time `json:"since"`
	Deliveries int       `json:"deliveries"` // looked at
	// Complete: everything since Since was looked at that the change can be about.
	Complete   bool       `json:"complete"`
	SearchedTo *time.Time `json:"searched_to,omitempty"`
	// ByRecipient says that mail was found by the recipients that the changed rules name, and that no other can be
	// meant.
	ByRecipient bool `json:"by_recipient,omitempty"`
	// About is about how many deliveries to the world ended since Since; 0 where that is not told.
	About int64 `json:"about,omitempty"`
	// Changed counts deliveries of which something else would have been demanded, by what would have become of them.
	Changed map[hindsight.Outcome]int `json:"changed"`
	// Rows are the first of them, newest first.
	Rows []PreviewRow `json:"rows"`
	// Unanswered counts deliveries of which it depends on what was not kept whether something else would have been
	// demanded; they are counted nowhere else. Blind names the conditions that ask for it: of a header, the fields that
	// rules named when mail came are kept and no others, of attachments and text nothing is.
	Blind      []string `json:"blind,omitempty"`
	Unanswered int      `json:"unanswered,omitempty"`
	// Never names what no record answers: "refused" is mail that was not let in.
	Never []string `json:"never_answered,omitempty"`
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

// Question asks what other rules would have meant for past mail.
type Question struct {
	// Now is what is in force, and Then what is asked about.
	Now, Then *inforce.View
	// Recipients are whom the rules that differ name, as rules write them. Only says that these rules are about no mail
	// to others alone.
	Recipients []string
	Only       bool
	// Doubts are conditions that records may not answer.
	Doubts []Doubt
	// Worlds are what may have been where some of them are not answered, by their keys; it is asked for nothing else.
	Worlds func(unknown []string) ([]World, error)
	// Never names what no record answers: "refused", mail that was not let in.
	Never []string
	// Patience bounds how long past mail is looked at, at most ten seconds.
	Patience time.Duration
}

// Doubt is a condition, and the header fields, in lower case, that answer it; none where nothing of it is kept.
type Doubt struct {
	Key    string
	Fields []string
}

// World is what was in force and what is asked about, where something is supposed.
type World struct{ Now, Then *inforce.View }

// Compare looks at past mail under the rules now and then.
func (d PastDesk) Compare(ctx context.Context, q Question) (Preview, error) {
	if err := cmp.Or(d.who.Need(access.ReadRules), d.who.Need(access.ReadTrace)); err != nil {
		return Preview{}, err
	}
	select {
	case d.s.cfg.Lookers <- struct{}{}:
		defer func() { <-d.s.cfg.Lookers }()
	default:
		return Preview{}, ErrPreviews
	}
	p := previewer{d: d, q: &q, past: hindsight.New(d.s.cfg.Hindsight), looked: map[queue.ID]bool{},
		out: Preview{Since: time.Now().UTC().AddDate(0, 0, -PreviewDays), Changed: map[hindsight.Outcome]int{},
			Rows: []PreviewRow{}, Never: q.Never},
		worlds: map[string][]World{"": {{q.Now, q.Then}}}}
	return p.look(ctx, min(q.Patience, 10*time.Second))
}

// previewer looks at past deliveries, a message at a time.
type previewer struct {
	d       PastDesk
	q       *Question
	past    *hindsight.Judge
	out     Preview
	message []queue.Record     // the deliveries of the message being gathered
	looked  map[queue.ID]bool  // messages that were found by their recipients
	worlds  map[string][]World // by what is not known
}

// look looks first at mail to the recipients that the rules name, which an index finds however far back it lies, and
// then, unless that is all there can be, at everything from the newest down.
func (p *previewer) look(ctx context.Context, patience time.Duration) (Preview, error) {
	begun := time.Now()
	p.out.About = p.d.about(ctx, p.out.Since)
	found := namedBy(p.q)
	found.add(p.d.domainsBelow(ctx, p.out.Since, found.below)...)
	share := patience
	if !found.all {
		share /= 2
	}
	whole, err := p.byRecipient(ctx, found.searches(), begun.Add(share))
	if p.out.ByRecipient = found.all; err != nil || found.all {
		p.out.Complete = whole
		return p.out, err
	}
	p.out.SearchedTo = nil
	stop, err := p.d.who.SearchFor(ctx, queue.Filter{Since: p.out.Since}, previewMost, patience-time.Since(begun),
		func(r *queue.Record) bool {
			if !p.looked[r.Message.ID] {
				p.take(ctx, r)
			}
			return true
		})
	p.judge(ctx)
	if p.out.Complete = stop == nil; stop != nil {
		p.out.SearchedTo = trace.Instant(stop.AcceptedAt)
	}
	return p.out, err
}

// take gathers a delivery; those of a message come one after the other.
func (p *previewer) take(ctx context.Context, r *queue.Record) {
	if len(p.message) > 0 && p.message[0].Message.ID != r.Message.ID {
		p.judge(ctx)
	}
	p.message = append(p.message, *r)
	p.out.Deliveries++
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
	unknown := p.unknown(m.Digest)
	worlds, err := p.supposed(unknown)
	if err != nil {
		return // the rules were read before the preview began
	}
	header := m.Digest.Header()
	before, after := make([][]inforce.Judged, len(worlds)), make([][]inforce.Judged, len(worlds))
	for i, w := range worlds {
		if before[i], err = w.Now.Judge(&m, header, to); err == nil {
			after[i], err = w.Then.Judge(&m, header, to)
		}
		if err != nil {
			return // asked before the preview began
		}
	}
	for i := range list {
		differs, known := false, true
		was, would := demanded(before[0][i].Requirement), demanded(after[0][i].Requirement)
		for w := range worlds {
			b, a := demanded(before[w][i].Requirement), demanded(after[w][i].Requirement)
			differs, known = differs || b != a, known && b == was && a == would
		}
		switch {
		case !differs, !p.d.who.Scope.All && !p.d.who.Ordered(&list[i]): // no rule of a scope judges what others send
		case known:
			p.add(ctx, &list[i], before[0][i].Requirement, &after[0][i])
		default:
			p.doubt(unknown)
		}
	}
}

// unknown are the conditions that a record does not answer.
func (p *previewer) unknown(kept *mail.Digest) (out []string) {
	for _, d := range p.q.Doubts {
		if (len(d.Fields) == 0 || !kept.Knows(d.Fields)) && !slices.Contains(out, d.Key) {
			out = append(out, d.Key)
		}
	}
	return out
}

// supposed are the worlds where some conditions are not known.
func (p *previewer) supposed(unknown []string) ([]World, error) {
	key := strings.Join(unknown, " ")
	if found, ok := p.worlds[key]; ok {
		return found, nil
	}
	found, err := p.q.Worlds(unknown)
	if err == nil {
		p.worlds[key] = found
	}
	return found, err
}

// doubt counts a delivery of which the answer depends on what is not known.
func (p *previewer) doubt(unknown []string) {
	p.out.Unanswered++
	for _, key := range unknown {
		if !slices.Contains(p.out.Blind, key) {
			p.out.Blind = append(p.out.Blind, key)
		}
	}
}

// demanded is what a delivery must reach, without what is only tried first.
func demanded(r policy.Requirement) string {
	r.Aim = policy.Plaintext
	return r.Key()
}

func (p *previewer) add(ctx context.Context, r *queue.Record, before policy.Requirement, after *inforce.Judged) {
	t := p.d.who.Trace(r)
	become := p.past.Ask(ctx, r, after.Requirement)
	p.out.Changed[become.Outcome]++
	if len(p.out.Rows) < previewRows {
		p.out.Rows = append(p.out.Rows, PreviewRow{Message: t.Message, AcceptedAt: t.AcceptedAt, From: t.From, To: t.To,
			State: t.State, Reached: t.Reached, Before: before.Channel.String(),
			After: after.Requirement.Channel.String(), Rules: after.Rules, Outcome: become.Outcome,
			Reason: become.Reason, Text: become.Text})
	}
}
