package figures

import (
	"testing"
	"time"

	"postern/internal/history/traffic"
)

var plotNow = time.Date(2026, 11, 26, 16, 20, 0, 0, time.UTC)

func TestABarIsASpanAndItsPiecesFillIt(t *testing.T) {
	sum := func(back time.Duration, level, outcome string, n int64) traffic.Sum {
		return traffic.Sum{At: traffic.Bucket(traffic.OfLeg, plotNow.Add(-back)), Level: level, Outcome: outcome, Count: n}
	}
	p := Draw([]traffic.Sum{sum(0, "authenticated", "delivered", 6), sum(0, "plaintext", "delivered", 2), sum(0, "authenticated", "deferred", 50), sum(0, "encrypted", "accepted", 70),
		sum(5*time.Hour, "authenticated", "failed", 4), sum(30*time.Hour, "authenticated", "delivered", 1000), sum(-2*time.Hour, "encrypted", "delivered", 1000)}, PeriodOf("day"), plotNow)
	if len(p.Bars) != 24 || p.Most != 8 || len(p.Table) != 2 || len(p.Marks) != 24 {
		t.Fatalf("%d bars, most %d, %d in the table, %d marks", len(p.Bars), p.Most, len(p.Table), len(p.Marks))
	}
	last := p.Bars[23]
	if last.Total != 8 || last.Authenticated != 6 || last.Plaintext != 2 || last.Since != "2026-11-26T16:00:00Z" || last.Until != "2026-11-26T17:00:00Z" || last.Percent != "75.0 %" {
		t.Errorf("the last bar: %+v", last)
	}
	if b := p.Bars[18]; b.Failed != 4 || b.Total != 4 {
		t.Errorf("the bar of five hours ago: %+v", b)
	}
	for _, b := range p.Bars {
		high := 0.0
		for _, piece := range b.Pieces {
			high += piece.High
		}
		if high > plotHeight || b.X < 0 || b.X+b.Wide > plotWidth {
			t.Errorf("a bar outside the picture: %+v", b)
		}
	}
}

func TestSharesAreNotRoundedToAll(t *testing.T) {
	for _, c := range []struct {
		part, whole int64
		want        string
	}{{0, 0, "–"}, {0, 9, "0.0 %"}, {9, 9, "100 %"}, {99_999, 100_000, "99.9 %"}, {1, 100_000, "< 0.1 %"}, {1, 3, "33.3 %"}} {
		if got := share(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.part, c.whole, got, c.want)
		}
	}
}
