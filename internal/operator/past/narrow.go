package past

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/history/traffic"
	"postern/internal/mail"
	"postern/internal/operator/trace"
	"postern/internal/queue"
)

// named is whom some rules name, as far as an index can find mail to them.
type named struct {
	domains   map[string]bool
	addresses map[string]bool
	below     []string // domains of which only names below them are meant
	// all says that no mail to anybody else can be meant.
	all bool
}

// namedBy is whom a question names.
func namedBy(q *Question) named {
	n := named{domains: map[string]bool{}, addresses: map[string]bool{}, all: q.Only}
	for _, value := range q.Recipients {
		n.take(value)
	}
	return n
}

// take adds a value of a rule.
func (n *named) take(value string) {
	at := strings.LastIndexByte(value, '@')
	domain := value[at+1:]
	if _, err := mail.ParseDomain(domain); strings.HasPrefix(value, "re:") || strings.ContainsAny(domain, "*?:") ||
		err != nil {
		n.all = false
		if below, ok := strings.CutPrefix(domain, "*."); ok && !strings.ContainsAny(below, "*?:@") {
			n.below = append(n.below, "."+strings.ToLower(below))
		}
		return
	}
	if a, err := mail.ParseAddress(value); at > 0 && err == nil && !strings.ContainsAny(value, "*?") {
		n.addresses[a.String()] = true
		return
	}
	n.add(domain)
}

func (n *named) add(domains ...string) {
	for _, d := range domains {
		n.domains[d] = true
	}
}

// searches find mail to them.
func (n *named) searches() (out []queue.Filter) {
	for _, d := range slices.Sorted(maps.Keys(n.domains)) {
		out = append(out, queue.Filter{Domain: d})
	}
	for _, a := range slices.Sorted(maps.Keys(n.addresses)) {
		out = append(out, queue.Filter{Recipient: a})
	}
	return out
}

const (
	// narrowDomains bounds the sums that are read for names of domains, narrowMessages the messages that are found by
	// recipients, narrowBatch how many of them are read at once.
	narrowDomains  = 20_000
	narrowMessages = 50_000
	narrowBatch    = 100
	// narrowTime is how long the messages of a batch may take.
	narrowTime = time.Second
)

// domainsBelow are domains that mail went to lately and that lie below others, as far as the sums of mail know them.
func (d PastDesk) domainsBelow(ctx context.Context, since time.Time, below []string) (out []string) {
	if len(below) == 0 || d.s.cfg.Traffic == nil {
		return nil
	}
	sums, err := d.s.cfg.Traffic.Traffic(ctx,
		traffic.Query{Kind: traffic.OfDomain, Since: since.Truncate(24 * time.Hour), Limit: narrowDomains})
	if err != nil {
		return nil // the walk from the newest down finds what it can
	}
	for _, s := range sums {
		if slices.ContainsFunc(below, func(b string) bool { return strings.HasSuffix(s.Name, b) }) {
			out = append(out, s.Name)
		}
	}
	return out
}

// about is about how many deliveries ended since a time; 0 for a scope of domains, which is not told.
func (d PastDesk) about(ctx context.Context, since time.Time) (n int64) {
	if !d.who.Scope.All || d.s.cfg.Traffic == nil {
		return 0
	}
	sums, err := d.s.cfg.Traffic.Traffic(ctx, traffic.Query{Kind: traffic.OfLeg, Since: since})
	if err != nil {
		return 0
	}
	for _, s := range sums {
		if s.Outcome == traffic.Delivered || s.Outcome == traffic.Failed {
			n += s.Count
		}
	}
	return n
}

// foundMessage is a message that was found by a recipient.
type foundMessage struct {
	id   queue.ID
	last queue.DeliveryID
	at   time.Time
}

// byRecipient judges the messages that some searches find, each with all of its recipients, the newest first. whole
// says that it came to the end before a time.
func (p *previewer) byRecipient(ctx context.Context, searches []queue.Filter, until time.Time) (whole bool, err error) {
	var found []foundMessage
	known := map[queue.ID]bool{}
	whole = true
	for _, f := range searches {
		left := narrowMessages - len(found)
		if whole = left > 0 && time.Now().Before(until); !whole {
			break
		}
		f.Since, f.Brief = p.out.Since, true
		stop, err := p.d.who.SearchFor(ctx, f, left, time.Until(until), func(r *queue.Record) bool {
			if !known[r.Message.ID] {
				known[r.Message.ID] = true
				found = append(found, foundMessage{r.Message.ID, r.ID, r.AcceptedAt})
			}
			return true
		})
		if err != nil {
			return false, err
		}
		if whole = stop == nil; !whole {
			break
		}
	}
	slices.SortFunc(found, func(a, b foundMessage) int { return cmp.Compare(b.last, a.last) })
	judged, err := p.judgeFound(ctx, found, until)
	if whole && judged < len(found) && judged > 0 {
		p.out.SearchedTo = trace.Instant(found[judged-1].at)
	}
	return whole && judged == len(found), err
}

// judgeFound judges messages up to a time, at least some of them, and returns how many.
func (p *previewer) judgeFound(ctx context.Context, found []foundMessage, until time.Time) (judged int, err error) {
	for batch := range slices.Chunk(found, narrowBatch) {
		if judged > 0 && time.Now().After(until) {
			return judged, nil
		}
		var ids []queue.ID
		for _, m := range batch {
			ids, p.looked[m.id] = append(ids, m.id), true
		}
		_, err := p.d.who.SearchFor(ctx, queue.Filter{IDs: ids}, previewMost, narrowTime, func(r *queue.Record) bool {
			p.take(ctx, r)
			return true
		})
		if err != nil {
			return judged, err
		}
		p.judge(ctx)
		judged += len(batch)
	}
	return judged, nil
}
