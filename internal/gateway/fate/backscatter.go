package fate

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/queue"
)

// backscatter counts the notices to strangers of an hour. The sender of mail from the world is a claim: whoever forges
// it aims our notices at somebody. Those over the limits are held, visible, until an administrator releases them or
// their window ends. What is counted is forgotten with the process. Safe for concurrent use.
type backscatter struct {
	mu    sync.Mutex // guards what follows
	began time.Time  // of the hour
	all   int
	to    map[string]int // by mailbox; never longer than the limit of all, where there is one
	told  map[string]bool
}

const backscatterHour = time.Hour

// over counts a notice to an address and says which limit it is over, "" for none.
func (b *backscatter) over(to mail.Address, perAddress, inAll int, now time.Time) (limit string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.began); passed >= backscatterHour || passed < 0 {
		b.began, b.all, b.to, b.told = now, 0, map[string]int{}, map[string]bool{}
	}
	key := mailbox(to)
	switch {
	case inAll > 0 && b.all >= inAll:
		return "in all"
	case perAddress > 0 && b.to[key] >= perAddress:
		return "to one address"
	}
	b.all++
	b.to[key]++
	return ""
}

// mailbox is an address without what most servers ignore, so that one person is not aimed at under many spellings.
func mailbox(a mail.Address) string {
	local, domain, _ := strings.Cut(a.Folded(), "@")
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

// first reports whether a limit was not told yet in this hour.
func (b *backscatter) first(limit string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := b.told[limit]
	b.told[limit] = true
	return !told
}

// limitBackscatter holds a notice that is over a limit. Those to our own domains, and about mail that our own side
// sent, are not counted: their senders are no claims of strangers.
func (d *Decider) limitBackscatter(n *queue.NewDelivery, about *queue.Message, now time.Time) {
	c := &d.cfg
	to := n.Recipient.Address
	if c.NoticesPerAddress <= 0 && c.NoticesToStrangers <= 0 || c.InForce().Serves(to.Domain) ||
		c.Ours != nil && c.Ours(&about.Inbound) {
		return
	}
	limit := d.backscatter.over(to, c.NoticesPerAddress, c.NoticesToStrangers, now)
	if limit == "" {
		return
	}
	n.State, n.Due = queue.Held, time.Time{}
	if d.backscatter.first(limit) {
		d.cfg.Sink.Emit(event.Warned{
			What: "backscatter",
			Text: fmt.Sprintf("more notices %s than may go to strangers in an hour, the last to %s; "+
				"more of this hour are held", limit, to),
			Hint: "postern queue list --state held shows them: release those whose senders are real, " +
				"cancel the others; refuse unknown recipients at your own servers while they are asked, " +
				"or raise queue.notices_per_address and queue.notices_to_strangers",
		})
	}
}
