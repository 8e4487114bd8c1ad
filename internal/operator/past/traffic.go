package past

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"postern/internal/history/traffic"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Traffic lists sums of what became of mail. A scope of domains sees the sums of its own domains and rules; those of
// legs are about everybody. Where q.Limit sums are not enough to look at all of it, it is ErrBadRequest and none are
// returned: a part of sums would be taken for the whole.
func (d PastDesk) Traffic(ctx context.Context, q traffic.Query) ([]traffic.Sum, error) {
	if err := d.who.Need(access.ReadStatus); err != nil {
		return nil, err
	}
	if d.s.cfg.Traffic == nil {
		return []traffic.Sum{}, nil
	}
	if !d.who.Scope.All && q.Kind == traffic.OfLeg {
		return nil, access.ErrForbidden
	}
	mine := map[string]bool{}
	if !d.who.Scope.All && q.Kind == traffic.OfRule {
		list, err := d.who.RuleList(ctx)
		if err != nil {
			return nil, err
		}
		for i := range list {
			mine[list[i].Name] = d.who.Owns(&list[i])
		}
	}
	most := q.Limit
	if most > 0 {
		q.Limit++
	}
	list, err := d.s.cfg.Traffic.Traffic(ctx, q)
	if err == nil && most > 0 && len(list) > most {
		return nil, access.BadRequest("these are more than %d sums; name one, or ask for less time by since and until",
			most)
	}
	out := []traffic.Sum{}
	for _, s := range list {
		if d.who.Scope.All || mine[s.Name] || q.Kind == traffic.OfDomain && d.who.CoversName(s.Name) {
			out = append(out, s)
		}
	}
	return out, err
}

// Suggestion is a domain that a rule could protect at little cost.
type Suggestion struct {
	Domain string `json:"domain"`
	Total  int64  `json:"total"` // deliveries that ended in the last 30 days
	Cost   int64  `json:"cost"`  // of them were not authenticated, so a rule would have made them wait
}

const (
	suggestionDays = 30
	suggestionLeast,
	suggestionsMost = 20, 100
)

// pastDomains keeps what the days before today add up to: it does not change any more, and with thousands of domains it
// is hundreds of thousands of sums.
type pastDomains struct {
	mu    sync.Mutex
	today time.Time
	by    map[string]Suggestion // nobody changes it
}

// settled is how long after midnight the last counts of a day may come to the book.
const settled = time.Minute

// before adds up the domains of the days that a suggestion looks at, without today.
func (p *pastDomains) before(ctx context.Context, book *traffic.Book, today,
	now time.Time) (map[string]Suggestion, error) {
	p.mu.Lock()
	by, known := p.by, p.today.Equal(today)
	p.mu.Unlock()
	if known {
		return by, nil
	}
	sums, err := book.Traffic(ctx, traffic.Query{Kind: traffic.OfDomain, Since: today.AddDate(0, 0, 1-suggestionDays),
		Until: today})
	if err != nil {
		return nil, err
	}
	by = map[string]Suggestion{}
	addUp(by, sums)
	if now.Sub(today) >= settled {
		p.mu.Lock()
		p.today, p.by = today, by
		p.mu.Unlock()
	}
	return by, nil
}

func addUp(by map[string]Suggestion, sums []traffic.Sum) {
	for i := range sums {
		s := &sums[i]
		one := by[s.Name]
		one.Domain, one.Total = s.Name, one.Total+s.Count
		if s.Outcome != traffic.Delivered || s.Level != policy.Authenticated.String() {
			one.Cost += s.Count
		}
		by[s.Name] = one
	}
}

// domains adds up the recipient domains of the last days.
func (s *Service) domains(ctx context.Context, now time.Time) (map[string]Suggestion, error) {
	if s.cfg.Traffic == nil {
		return nil, nil
	}
	today := traffic.Bucket(traffic.OfDomain, now)
	before, err := s.past.before(ctx, s.cfg.Traffic, today, now)
	if err != nil {
		return nil, err
	}
	sums, err := s.cfg.Traffic.Traffic(ctx, traffic.Query{Kind: traffic.OfDomain, Since: today})
	by := maps.Clone(before)
	addUp(by, sums)
	return by, err
}

// Suggestions lists domains that no rule in force protects and that were authenticated in the last 30 days every time,
// or all but one time in a hundred; those with most mail first.
func (d PastDesk) Suggestions(ctx context.Context) ([]Suggestion, error) {
	if err := d.who.Wide(access.ReadRules); err != nil {
		return nil, err
	}
	if err := d.who.Need(access.ReadStatus); err != nil {
		return nil, err
	}
	by, err := d.s.domains(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	out := []Suggestion{}
	for _, one := range by {
		if one.Total >= suggestionLeast && one.Cost*100 <= one.Total {
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b Suggestion) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Domain, b.Domain))
	})
	most := []Suggestion{} // rules are asked about no more domains than are shown, or protected already
	for i := 0; i < len(out) && len(most) < suggestionsMost; i++ {
		if !d.protected(out[i].Domain) {
			most = append(most, out[i])
		}
	}
	return most, nil
}

// protected reports whether mail of anybody to a domain is forced by a rule that names it.
func (d PastDesk) protected(domain string) bool {
	to, err := mail.ParseAddress("postmaster@" + domain)
	v := d.s.cfg.Rules.Now()
	if err != nil || v.Err != nil {
		return true // nothing to suggest
	}
	list, err := v.Judge(&queue.Message{AcceptedAt: time.Now()}, mail.Header{}, []mail.Address{to})
	if err != nil {
		return true
	}
	judged := &list[0]
	return judged.Outcome.Requirement.Channel == policy.Authenticated && judged.Matched
}
