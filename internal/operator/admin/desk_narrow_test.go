package admin

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/history/traffic"
	"postern/internal/operator/access"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// full is a store so full that only an index comes to the end of anything.
type full struct{ *memstore.Store }

// List looks at one message and has more, where no index says which to take.
func (s full) List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Record, error] {
	if f.Domain != "" || f.Recipient != "" || len(f.IDs) > 0 {
		return s.Store.List(ctx, f)
	}
	return func(yield func(queue.Record, error) bool) {
		time.Sleep(time.Second)
		yield(queue.Record{}, &queue.Unfinished{After: 1 << 50, AcceptedAt: time.Now()})
	}
}

// TestAPreviewByRecipientSeesAllDays: however much other mail there is, a rule by recipient is shown all it would have
// been about, each message with all of its recipients; what no index finds is said to be a part.
func TestAPreviewByRecipientSeesAllDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store, _ := service(t)
		book := traffic.NewBook(store)
		now := time.Now()
		if err := book.AddTraffic(t.Context(), []traffic.Sum{
			{At: traffic.Bucket(traffic.OfLeg, now), Kind: traffic.OfLeg, Name: "gateway-world", Level: "plaintext", Outcome: traffic.Delivered, Count: 90_000},
			{At: traffic.Bucket(traffic.OfDomain, now), Kind: traffic.OfDomain, Name: "good.test", Level: "plaintext", Outcome: traffic.Delivered, Count: 1}}); err != nil {
			t.Fatal(err)
		}
		s = changed(s, func(c *Config) { c.Store, c.Traffic = full{store}, book })
		d := s.For(everywhere(access.Administrator))
		for value, want := range map[string]struct {
			rows  int
			whole bool
		}{
			"good.test": {1, true}, "p@good.test": {1, true}, "P@Good.Test.": {1, true}, "p*@good.test": {1, true}, "dr@clinic.test": {2, true},
			"*.test": {1, false}, "re:good": {0, false}, "*@good.*": {0, false},
		} {
			p, err := d.Preview(t.Context(), RuleEdit{Rule: ruleText("x", value, "")}, 3*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Rows) != want.rows || p.Complete != want.whole || p.ByRecipient != want.whole || p.About != 90_000 {
				t.Errorf("%s: %d rows, complete %v, by recipient %v, of about %d", value, len(p.Rows), p.Complete, p.ByRecipient, p.About)
			}
		}
		more, err := d.Preview(t.Context(), RuleEdit{Rule: ruleText("x", "good.test", "literals = true\n")}, 3*time.Second)
		if err != nil || more.Complete || len(more.Rows) != 1 {
			t.Errorf("with address literals: %+v, %v", more, err)
		}
		all, err := d.Preview(t.Context(), RuleEdit{Rule: "[[rule]]\nname = \"x\"\naction = \"force-tls\"\n"}, 3*time.Second)
		if err != nil || all.Complete || all.ByRecipient {
			t.Errorf("a rule for everybody: %+v, %v", all, err)
		}
	})
}
