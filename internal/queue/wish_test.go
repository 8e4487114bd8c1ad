package queue

import (
	"testing"
	"time"
)

// TestAsk: each action on a delivery under a lease, by what waits there and what was wished before.
func TestAsk(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		state  State
		wished ActionKind
		kind   ActionKind
		asked  Asked
		after  ActionKind
	}{
		{Queued, "", Retry, AskedNothing, ""},
		{Queued, "", Hold, AskedPending, Hold},
		{Queued, "", Release, AskedNothing, ""},
		{Queued, "", Cancel, AskedPending, Cancel},
		{Held, "", Retry, AskedNothing, ""},
		{Held, "", Hold, AskedPending, Hold},
		{Held, "", Release, AskedPending, Release},
		{Held, "", Cancel, AskedPending, Cancel},
		{Queued, Hold, Retry, AskedUndone, ""},
		{Queued, Hold, Hold, AskedPending, Hold},
		{Queued, Hold, Release, AskedUndone, ""},
		{Queued, Hold, Cancel, AskedPending, Cancel},
		{Held, Hold, Retry, AskedUndone, ""},
		{Held, Hold, Release, AskedPending, Release},
		{Held, Release, Retry, AskedNothing, Release},
		{Held, Release, Hold, AskedPending, Hold},
		{Held, Release, Release, AskedPending, Release},
		{Held, Release, Cancel, AskedPending, Cancel},
		{Queued, Hold, "gentle", AskedNothing, Hold},
		{Queued, Cancel, Retry, AskedNothing, Cancel},
		{Queued, Cancel, Hold, AskedNothing, Cancel},
		{Held, Cancel, Release, AskedNothing, Cancel},
		{Queued, Cancel, Cancel, AskedPending, Cancel},
	} {
		d := Delivery{State: c.state}
		if c.wished != "" {
			d.Wish = &Wish{Kind: c.wished, By: "first"}
		}
		a := Action{Kind: c.kind, Now: now, By: "second"}
		if c.kind == "gentle" {
			a.Kind, a.KeepHolds = Retry, true
		}
		asked, after := a.Ask(&d), ActionKind("")
		if d.Wish != nil {
			after = d.Wish.Kind
		}
		if asked != c.asked || after != c.after {
			t.Errorf("%s of a %s delivery with %q wished: %d and %q wished, want %d and %q", c.kind, c.state, c.wished, asked,
				after, c.asked, c.after)
		}
		if by := "second"; d.Wish != nil && c.wished != c.after && (d.Wish.By != by || !d.Wish.At.Equal(now)) {
			t.Errorf("%s: wished %+v", c.kind, d.Wish)
		}
	}
}

// TestSettledWithWish: what a settlement comes to by what was wished meanwhile.
func TestSettledWithWish(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	due := now.Add(time.Hour)
	for _, c := range []struct {
		wished  ActionKind
		state   State
		became  State
		due     time.Time
		tooLate bool
	}{
		{"", Queued, Queued, due, false},
		{Cancel, Queued, Cancelled, time.Time{}, false},
		{Cancel, Held, Cancelled, time.Time{}, false},
		{Cancel, Delivered, Delivered, time.Time{}, true},
		{Cancel, Failed, Failed, time.Time{}, true},
		{Hold, Queued, Held, time.Time{}, false},
		{Hold, Held, Held, time.Time{}, false},
		{Hold, Delivered, Delivered, time.Time{}, true},
		{Hold, Failed, Failed, time.Time{}, true},
		{Release, Held, Queued, now, false},
		{Release, Queued, Queued, due, false},
		{Release, Delivered, Delivered, time.Time{}, false},
	} {
		d := Delivery{State: Queued, ExpiresAt: now.Add(24 * time.Hour)}
		if c.wished != "" {
			d.Wish = &Wish{Kind: c.wished, By: "x"}
		}
		wish := d.Wish
		s := Settlement{State: c.state, Due: due, Deadline: due}
		s.Apply(&d, now)
		if d.State != c.became || s.Became != c.became || !d.Due.Equal(c.due) || d.TooLate() != c.tooLate || s.Wished != wish {
			t.Errorf("%s with %q wished: %+v, became %s", c.state, c.wished, d, s.Became)
		}
		if d.State.Waiting() && d.Wish != nil {
			t.Errorf("%s with %q wished: waits with a wish", c.state, c.wished)
		}
		if d.State == Held && !d.Deadline.IsZero() {
			t.Errorf("%s with %q wished: held until %s", c.state, c.wished, d.Deadline)
		}
		if !d.State.Waiting() && !d.FinishedAt.Equal(now) {
			t.Errorf("%s with %q wished: finished at %s", c.state, c.wished, d.FinishedAt)
		}
	}
}
