package waiting

import (
	"testing"
	"time"

	"postern/internal/gateway/inforce"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/queue"
)

func TestWhatIsLoweredAfterItsLifetimeIsTried(t *testing.T) {
	s := New(Config{Rules: backlog.Keeper(t, backlog.New(t)), Lifetime: time.Nanosecond})
	now := time.Now()
	w := queue.Work{Delivery: queue.Delivery{AcceptedAt: now.Add(-time.Hour), ExpiresAt: now.Add(-time.Minute),
		Recipient: mail.Recipient{Address: mail.MustAddress("a@b.test")}}}
	c := changing{s: s, view: s.cfg.Rules.Now(), releases: true}
	if st := c.settlement(&w, &inforce.Weighed{}, nil, now); st.Deadline.Sub(now) < time.Minute {
		t.Errorf("its deadline is %v from now", st.Deadline.Sub(now))
	}
}
