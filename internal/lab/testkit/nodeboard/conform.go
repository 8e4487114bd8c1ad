package nodeboard

import (
	"errors"
	"testing"
	"time"

	"postern/internal/gateway/nodes"
)

// Conform holds a Registry that is empty to what the port says. sleep lets time pass at the registry; store puts a
// revision of the rules into the store, and may be nil.
func Conform(t *testing.T, r nodes.Registry, sleep func(time.Duration), store func(revision int64)) {
	t.Run("nodes", func(t *testing.T) { conformNodes(t, r, sleep) })
	t.Run("marks", func(t *testing.T) { conformMarks(t, r, store) })
	t.Run("turns", func(t *testing.T) { conformTurns(t, r, sleep) })
}

// roster is a Registry as its gateways see it.
type roster struct {
	*testing.T
	r     nodes.Registry
	begun map[string]bool // sessions
}

// renew renews a gateway's lease of two seconds, and begins it where it has none.
func (r *roster) renew(session, name string, mark nodes.Mark) nodes.Answer {
	r.Helper()
	anew := !r.begun[session]
	r.begun[session] = true
	a, err := r.r.Renew(r.Context(), nodes.Report{Session: session, Name: name, Release: "1", API: "gw:8025",
		Lease: 2 * time.Second, InForce: mark, Latency: time.Millisecond, Held: 7, Anew: anew})
	if err != nil {
		r.Fatal(err)
	}
	return a
}

// roll is what the Registry knows, by "session state".
func (r *roster) roll() map[string]nodes.Entry {
	r.Helper()
	all, err := r.r.Nodes(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]nodes.Entry{}
	for _, e := range all.Nodes {
		out[e.Session+" "+string(e.StateAt(all.Now))] = e
	}
	return out
}

// among wants so many to live, and the gateway to have a rank among them.
func (r *roster) among(a nodes.Answer, live, rank int) {
	r.Helper()
	if a.Live != live || a.Rank != rank {
		r.Errorf("%d live, and it is number %d of them; want %d and %d", a.Live, a.Rank, live, rank)
	}
}

func (r *roster) leave(session string) {
	r.Helper()
	if err := r.r.Leave(r.Context(), session); err != nil {
		r.Fatal(err)
	}
}

func conformNodes(t *testing.T, registry nodes.Registry, sleep func(time.Duration)) {
	r := &roster{t, registry, map[string]bool{}}
	unknown := nodes.Report{Session: "x", Name: "x", Lease: time.Second}
	if _, err := registry.Renew(t.Context(), unknown); !errors.Is(err, nodes.ErrEnded) {
		t.Errorf("a lease that nobody knows was prolonged: %v", err)
	}
	first := r.renew("b1", "gw-b", nodes.Mark{Rules: 3, Number: 9})
	r.among(first, 1, 0)
	r.among(r.renew("a1", "gw-a", nodes.Mark{}), 2, 0)
	got := r.roll()
	if e, ok := got["b1 live"]; !ok || len(got) != 2 || e.Name != "gw-b" || e.Release != "1" || e.API != "gw:8025" ||
		e.Held != 7 || e.Latency != time.Millisecond || e.Lease != 2*time.Second ||
		e.InForce != (nodes.Mark{Rules: 3, Number: 9}) || e.Until.Sub(e.Renewed) != 2*time.Second {
		t.Errorf("after two joined: %+v", got)
	}
	sleep(1200 * time.Millisecond)
	if again := r.renew("b1", "gw-b", nodes.Mark{Rules: 2, Number: 10}); !again.Now.After(first.Now) {
		t.Errorf("the clock went from %v to %v", first.Now, again.Now)
	} else {
		r.among(again, 2, 1)
	}
	got = r.roll()
	if e := got["b1 live"]; e.InForce != (nodes.Mark{Rules: 3, Number: 10}) || !e.Joined.Before(e.Renewed) {
		t.Errorf("what was acknowledged went down, or the beginning was forgotten: %+v", e)
	}
	if _, doubtful := got["a1 doubtful"]; !doubtful {
		t.Errorf("a gateway that is silent for more than half its lease: %+v", got)
	}
	conformEnds(r)
}

// conformEnds goes on where gw-b lives in the session b1.
func conformEnds(r *roster) {
	r.leave("b1")
	if _, gone := r.roll()["b1 gone"]; !gone {
		r.Errorf("after it left: %+v", r.roll())
	}
	late := nodes.Report{Session: "b1", Name: "gw-b", Lease: 2 * time.Second}
	if _, err := r.r.Renew(r.Context(), late); !errors.Is(err, nodes.ErrEnded) {
		r.Errorf("a lease that has ended was prolonged: %v", err)
	}
	if _, gone := r.roll()["b1 gone"]; !gone {
		r.Errorf("a renewal that came too late: %+v", r.roll())
	}
	late.Anew = true
	if _, err := r.r.Renew(r.Context(), late); err != nil || r.roll()["b1 live"].InForce.Rules != 3 {
		r.Errorf("begun anew: %+v, %v", r.roll(), err)
	}
	r.leave("b1")
	r.renew("b2", "gw-b", nodes.Mark{})
	if got := r.roll(); len(got) != 2 || got["b2 live"].Session == "" {
		r.Errorf("the session before of the same name stays: %+v", got)
	}
	if err := r.r.Leave(r.Context(), "nobody"); err != nil {
		r.Errorf("a session that is not there: %v", err)
	}
}

func conformMarks(t *testing.T, r nodes.Registry, store func(int64)) {
	ctx := t.Context()
	newest := func() nodes.Mark {
		t.Helper()
		a, err := r.Renew(ctx, nodes.Report{Session: "m", Name: "m", Lease: time.Second, Anew: true})
		if err != nil {
			t.Fatal(err)
		}
		return a.Newest
	}
	before := newest()
	for _, number := range []int64{before.Number + 5, before.Number + 2} {
		if err := r.Raise(ctx, nodes.Mark{Number: number}); err != nil {
			t.Fatal(err)
		}
	}
	if now := newest(); now.Number != before.Number+5 {
		t.Errorf("raised by 5, then by 2: from %+v to %+v", before, now)
	}
	if store != nil {
		store(before.Rules + 1)
		if now := newest(); now.Rules != before.Rules+1 {
			t.Errorf("a revision was stored: from %+v to %+v", before, now)
		}
	}
}

func conformTurns(t *testing.T, r nodes.Registry, sleep func(time.Duration)) {
	ctx := t.Context()
	take := func(session string, wake bool) (wait time.Duration) {
		t.Helper()
		wait, err := r.Take(ctx, nodes.Turn{Name: "site x", Session: session, For: 2 * time.Second, Wake: wake})
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	rest := func(session string, d time.Duration) {
		t.Helper()
		if err := r.Rest(ctx, nodes.Turn{Name: "site x", Session: session, For: d}); err != nil {
			t.Fatal(err)
		}
	}
	within := func(what string, wait, most time.Duration) {
		t.Helper()
		if wait <= 0 || wait > most {
			t.Errorf("%s: wait %v", what, wait)
		}
	}
	for range 2 {
		if wait := take("a", false); wait != 0 {
			t.Errorf("a turn that nobody has, or who asks has: %v", wait)
		}
	}
	within("another has it", take("b", false), 2*time.Second)
	within("another has it, and somebody says so", take("b", true), 2*time.Second)
	rest("b", time.Hour)
	if wait := take("a", false); wait != 0 {
		t.Errorf("somebody else had it rest: %v", wait)
	}
	rest("a", 9*time.Second)
	within("it rests", take("a", false), 9*time.Second)
	within("it has only begun to rest", take("b", true), 9*time.Second)
	rest("b", time.Hour)
	within("who comes later had it rest for longer", take("b", false), 9*time.Second)
	sleep(nodes.WakeAfter + 200*time.Millisecond)
	within("it still rests", take("b", false), 4*time.Second)
	if wait := take("b", true); wait != 0 {
		t.Errorf("somebody says so: %v", wait)
	}
	within("two say so", take("a", true), 2*time.Second)
	sleep(2100 * time.Millisecond)
	turns, err := r.Turns(ctx, []string{"site x", "site y"})
	if wait, there := turns["site x"]; err != nil || !there || wait != 0 || len(turns) != 1 {
		t.Errorf("after its end: %v, %v", turns, err)
	}
	if err := r.Drop(ctx, "site x"); err != nil {
		t.Fatal(err)
	}
	if turns, err := r.Turns(ctx, []string{"site x"}); err != nil || len(turns) != 0 {
		t.Errorf("after it was dropped: %v, %v", turns, err)
	}
	if err := r.Drop(ctx, "site x"); err != nil {
		t.Errorf("dropped twice: %v", err)
	}
}
