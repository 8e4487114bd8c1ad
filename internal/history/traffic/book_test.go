package traffic_test

import (
	"reflect"
	"testing"
	"time"

	"postern/internal/history/traffic"
	"postern/internal/lab/testkit/stores"
	"postern/internal/platform/records"
)

func TestBook(t *testing.T) { stores.Each(t, testBook) }

func testBook(t *testing.T, s records.Store, again func() records.Store) {
	b := traffic.NewBook(s)
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	no := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	sum := func(at time.Time, kind traffic.Kind, name, outcome string, n int64) traffic.Sum {
		return traffic.Sum{At: at, Kind: kind, Name: name, Level: "encrypted", Outcome: outcome, Count: n}
	}
	list := func(q traffic.Query) []traffic.Sum {
		t.Helper()
		out, err := b.Traffic(t.Context(), q)
		no(err)
		return out
	}
	expect := func(what string, got []traffic.Sum, want ...traffic.Sum) {
		t.Helper()
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	expect("nothing", list(traffic.Query{Kind: traffic.OfLeg}))
	no(b.AddTraffic(t.Context(), nil))
	no(b.AddTraffic(t.Context(), []traffic.Sum{sum(hour(1), traffic.OfLeg, "b", "delivered", 3), sum(hour(0),
		traffic.OfLeg, "b", "delivered", 1),
		sum(hour(0), traffic.OfLeg, "a", "failed", 2), sum(hour(0), traffic.OfRule, "a", "delivered", 9)}))
	no(b.AddTraffic(t.Context(), []traffic.Sum{sum(hour(1), traffic.OfLeg, "b", "delivered", 4)}))
	all := []traffic.Sum{sum(hour(0), traffic.OfLeg, "a", "failed", 2), sum(hour(0), traffic.OfLeg, "b", "delivered", 1),
		sum(hour(1), traffic.OfLeg, "b", "delivered", 7)}
	expect("added up and in order", list(traffic.Query{Kind: traffic.OfLeg}), all...)
	expect("one name", list(traffic.Query{Kind: traffic.OfLeg, Name: "b"}), all[1:]...)
	expect("since", list(traffic.Query{Kind: traffic.OfLeg, Since: hour(0).Add(time.Nanosecond)}), all[2])
	expect("until", list(traffic.Query{Kind: traffic.OfLeg, Until: hour(1)}), all[:2]...)
	expect("the first two", list(traffic.Query{Kind: traffic.OfLeg, Limit: 2}), all[:2]...)
	b = traffic.NewBook(again())
	expect("kept", list(traffic.Query{Kind: traffic.OfLeg, Since: hour(0), Until: hour(2)}), all...)
	no(b.ForgetTraffic(t.Context(), traffic.OfLeg, hour(1)))
	expect("forgotten", list(traffic.Query{Kind: traffic.OfLeg}), all[2])
	if len(list(traffic.Query{Kind: traffic.OfRule})) != 1 {
		t.Error("another kind was forgotten too")
	}
}
