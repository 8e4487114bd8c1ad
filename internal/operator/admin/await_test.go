package admin

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/queue"
)

// TestActTellsWhatCameOfMailThatIsBeingSent: what is let go of at once, what ends while it is waited for, what goes on.
func TestActTellsWhatCameOfMailThatIsBeingSent(t *testing.T) {
	for _, c := range []struct {
		name  string
		wait  int
		ends  queue.State // of the first after ten seconds
		want  waiting.ActResult
		said  []string
		state string
	}{
		{"nobody waits", 0, queue.Delivered, waiting.ActResult{Changed: 1, Pending: 1}, []string{"1 delivery cancelled",
			"1 delivery being sent right now: cancelled when that ends, unless the other server takes it or refuses it for good"}, "pending"},
		{"taken", 30, queue.Delivered, waiting.ActResult{Changed: 1, TooLate: 1}, []string{"1 delivery cancelled", "1 delivery had gone already: too late"}, "too late"},
		{"put off", 30, queue.Queued, waiting.ActResult{Changed: 2}, []string{"2 deliveries cancelled"}, "done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, store, rec := service(t)
				now := time.Now()
				var ids []queue.DeliveryID
				for r, err := range store.List(t.Context(), queue.Filter{Domain: "clinic.test", States: []queue.State{queue.Queued}}) {
					if err == nil {
						ids = append(ids, r.ID)
					}
				}
				work, err := store.Claim(t.Context(), queue.Claim{IDs: ids, Now: now, Until: now.Add(time.Hour)})
				if err != nil || len(work) != 2 {
					t.Fatalf("%d claimed, %v", len(work), err)
				}
				settle := func(w queue.Work, state queue.State) {
					st := queue.Settlement{Lease: w.Lease, State: state, Due: time.Now()}
					if err := store.Settle(t.Context(), queue.Batch{Now: time.Now(), Settlements: []queue.Settlement{st}}); err != nil {
						t.Error(err)
					}
				}
				rec.wished = func() { settle(work[1], queue.Queued) } // not begun
				go func() {
					time.Sleep(10 * time.Second)
					settle(work[0], c.ends)
				}()
				r := waiting.ActRequest{Kind: queue.Cancel, Domains: []string{"clinic.test"}, Wait: c.wait}
				got, err := s.For(access.Root("anna")).Act(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				names := got.PendingMessages
				if (len(names) > 0) != (c.want.Pending > 0) {
					t.Errorf("names %q", names)
				}
				if got.Changed != c.want.Changed || got.Pending != c.want.Pending || got.TooLate != c.want.TooLate {
					t.Errorf("%+v, want %+v", got, c.want)
				}
				if said := got.Say(&r); strings.Join(said, "|") != strings.Join(c.said, "|") {
					t.Errorf("said %q", said)
				}
				e := entries(t, s)
				if first := e[len(e)-1]; first.After != "2 more being sent, to be cancelled when that ends" || first.Count != 0 {
					t.Errorf("the audit trail: %+v", first)
				}
				if tr := traces(t, s, trace.Query{Messages: []string{string(work[0].Message.ID)}, Recipient: work[0].Recipient.Address.String()}); tr[0].Wish == nil || tr[0].Wish.State != c.state || tr[0].Wish.By != "anna" {
					t.Errorf("the trace: %+v", tr[0].Wish)
				}
				time.Sleep(time.Minute) // the other side ends
			})
		})
	}
	s, _, _ := service(t)
	if _, err := s.For(access.Root("anna")).Act(t.Context(), waiting.ActRequest{Kind: queue.Cancel, All: true, Wait: waiting.MostWait + 1}); err == nil {
		t.Error("a wait without end was taken")
	}
}
