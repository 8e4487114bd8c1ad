// Package figures makes pictures and tables of sums of mail. A page draws them as they are.
//
// Ground room.
package figures

import (
	"fmt"
	"time"

	"postern/internal/history/traffic"
)

// Plot is a picture of sums over time: a bar for each span, with a piece for each level. It is drawn by the server, so
// that it needs no script, can be printed, and every bar leads to the mail behind it.
type Plot struct {
	Width, Height int
	Bars          []bar
	Marks         []string // below each bar, most of them empty
	Most          int64    // deliveries of the highest bar
	Table         []bar    // the same in figures, newest first, without empty ones
	Span          string   // what a bar stands for
}

// bar is one span of time.
type bar struct {
	At, End        time.Time
	X, Wide        float64
	Pieces         []piece
	Total          int64
	Authenticated  int64
	Encrypted      int64
	Plaintext      int64
	Failed         int64
	Since, Until   string // for a search
	Label, Percent string
}

// piece is one colour of a bar.
type piece struct {
	Y, High float64
	Class   string
}

// Period is what an overview looks back at.
type Period struct {
	Name, Title string
	Back        time.Duration
	Step        time.Duration // of a bar
	Mark        time.Duration // between labels
	Layout      string
}

// Periods are the choices, the shortest first.
func Periods() []Period {
	day := 24 * time.Hour
	return []Period{
		{"day", "24 hours", day, time.Hour, 6 * time.Hour, "15:04"},
		{"week", "7 days", 7 * day, 6 * time.Hour, day, "Jan 2"},
		{"month", "30 days", 30 * day, day, 5 * day, "Jan 2"},
		{"year", "a year", 364 * day, 7 * day, 56 * day, "Jan 2"},
	}
}

// PeriodOf is a period by its name, the week where there is none.
func PeriodOf(name string) Period {
	for _, p := range Periods() {
		if p.Name == name {
			return p
		}
	}
	return Periods()[1]
}

const (
	plotWidth  = 960
	plotHeight = 140
)

// Draw makes the plot of deliveries of some sums: what ended in each span, by level.
func Draw(sums []traffic.Sum, p Period, now time.Time) Plot {
	end := now.UTC().Truncate(p.Step).Add(p.Step)
	n := int(p.Back / p.Step)
	start := end.Add(-time.Duration(n) * p.Step)
	out := Plot{Width: plotWidth, Height: plotHeight, Bars: make([]bar, n), Marks: make([]string, n),
		Span: span(p.Step)}
	wide := float64(plotWidth) / float64(n)
	for i := range out.Bars {
		at := start.Add(time.Duration(i) * p.Step)
		out.Bars[i] = bar{At: at, End: at.Add(p.Step), X: float64(i)*wide + wide*.08, Wide: wide * .84,
			Since: at.Format(time.RFC3339), Until: at.Add(p.Step).Format(time.RFC3339)}
		if at.Equal(at.Truncate(p.Mark)) {
			out.Marks[i] = at.Format(p.Layout)
		}
	}
	for _, s := range sums {
		if s.At.Before(start) || !s.At.Before(end) {
			continue
		}
		out.Bars[int(s.At.Sub(start)/p.Step)].add(s)
	}
	for i := range out.Bars {
		out.Most = max(out.Most, out.Bars[i].Total)
	}
	for i := range out.Bars {
		out.Bars[i].stack(out.Most)
		if b := out.Bars[len(out.Bars)-1-i]; b.Total > 0 {
			out.Table = append(out.Table, b)
		}
	}
	return out
}

func span(step time.Duration) string {
	switch {
	case step < 24*time.Hour:
		return fmt.Sprintf("%d h", step/time.Hour)
	case step == 24*time.Hour:
		return "a day"
	}
	return fmt.Sprintf("%d days", step/(24*time.Hour))
}

func (b *bar) add(s traffic.Sum) {
	switch {
	case s.Outcome == traffic.Failed:
		b.Failed += s.Count
	case s.Outcome != traffic.Delivered:
		return
	case s.Level == "authenticated":
		b.Authenticated += s.Count
	case s.Level == "encrypted":
		b.Encrypted += s.Count
	default:
		b.Plaintext += s.Count
	}
	b.Total += s.Count
}

// stack places the pieces, the best below.
func (b *bar) stack(most int64) {
	y := float64(plotHeight)
	for _, p := range []struct {
		n     int64
		class string
	}{{b.Authenticated, "authenticated"}, {b.Encrypted, "encrypted"}, {b.Plaintext, "plaintext"},
		{b.Failed, "failed"}} {
		if p.n == 0 {
			continue
		}
		high := max(float64(plotHeight-6)*float64(p.n)/float64(most), 1)
		y -= high
		b.Pieces = append(b.Pieces, piece{y, high, p.class})
	}
	b.Label = fmt.Sprintf("%s UTC: %d authenticated, %d encrypted, %d plaintext, %d failed",
		b.At.Format("2006-01-02 15:04"), b.Authenticated, b.Encrypted, b.Plaintext, b.Failed)
	b.Percent = share(b.Authenticated, b.Total)
}

// share is a part of a whole as text, "–" of nothing. What is not all is never shown as 100 %.
func share(part, whole int64) string {
	switch {
	case whole == 0:
		return "–"
	case part == whole:
		return "100 %"
	case part > 0 && part*1000 < whole:
		return "< 0.1 %"
	}
	tenths := part * 1000 / whole
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

// Leg is one leg's figures of a period.
type Leg struct {
	Leg, Title                                                            string
	Total, Authenticated, Encrypted, Plaintext, Deferred, Failed, Through int64
	Share                                                                 string // of what came through that had TLS
}

// OfLegs sums up the four legs.
func OfLegs(sums []traffic.Sum) []Leg {
	out := []Leg{{Leg: "world-gateway", Title: "from the world to us"},
		{Leg: "gateway-own", Title: "on to our servers"},
		{Leg: "own-gateway", Title: "from our servers"}, {Leg: "gateway-world", Title: "out to the world"}}
	for _, s := range sums {
		for i := range out {
			if out[i].Leg == s.Name {
				out[i].add(s)
			}
		}
	}
	for i := range out {
		r := &out[i]
		r.Through = r.Authenticated + r.Encrypted + r.Plaintext
		r.Share = share(r.Authenticated+r.Encrypted, r.Through)
	}
	return out
}

func (r *Leg) add(s traffic.Sum) {
	switch s.Outcome {
	case traffic.Deferred:
		r.Deferred += s.Count
		return
	case traffic.Failed:
		r.Failed += s.Count
		return
	}
	switch s.Level {
	case "authenticated":
		r.Authenticated += s.Count
	case "encrypted":
		r.Encrypted += s.Count
	default:
		r.Plaintext += s.Count
	}
}

// Rule is what a rule did lately.
type Rule struct{ Delivered, Deferred, Failed, Would int64 }

// OfRule adds up what rules did, by their names.
func OfRule(sums []traffic.Sum) map[string]Rule {
	out := map[string]Rule{}
	for _, s := range sums {
		f := out[s.Name]
		switch s.Outcome {
		case traffic.Delivered:
			f.Delivered += s.Count
		case traffic.Deferred:
			f.Deferred += s.Count
		case traffic.Failed:
			f.Failed += s.Count
		case traffic.Would:
			f.Would += s.Count
		}
		out[s.Name] = f
	}
	return out
}
