package peers_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/history/peers"
	"postern/internal/mail"
	"postern/internal/policy"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func key(host string) peers.Key {
	return peers.Key{Host: host, Addr: netip.MustParseAddrPort("192.0.2.10:25")}
}

// with is an observation with TLS and certificate n; without is one that lacks it.
func with(at time.Time, n int) peers.Observation {
	return peers.Observation{Key: key("mx.clinic.test"), At: at, Offered: true, Keywords: []string{"PIPELINING"}, Level: policy.Authenticated,
		TLS:         &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519"},
		Certificate: &peers.Certificate{Subject: "CN=mx", Issuer: "CN=CA", NotAfter: start.AddDate(0, 3, n), SHA256: fmt.Sprint("sha", n), SPKI: fmt.Sprint("key", n/2)}}
}

func without(at time.Time, plain bool) peers.Observation {
	return peers.Observation{Key: key("mx.clinic.test"), At: at, Keywords: []string{"PIPELINING"}, Reason: policy.StartTLSNotOffered, Plain: plain}
}

func kinds(changes []peers.Change) (out []peers.ChangeKind) {
	for _, c := range changes {
		out = append(out, c.Kind)
	}
	return out
}

// TestObserveKeepsItsLaws plays random worlds: the first observation and a repeated one change nothing, losses and
// returns alternate, what was given is left alone, and a record never grows without bound.
func TestObserveKeepsItsLaws(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var r peers.Record
		lost, at := false, start
		for step := range 60 {
			at = at.Add(time.Duration(rng.IntN(40)) * time.Hour)
			o := with(at, rng.IntN(4))
			if rng.IntN(3) == 0 {
				o = without(at, rng.IntN(2) == 0)
			}
			if rng.IntN(5) == 0 {
				o.Keywords = []string{"SIZE"}
			}
			before := r
			before.Changes = slices.Clone(r.Changes)
			given := r
			next, changes := peers.Observe(r, o)
			if !reflect.DeepEqual(given.Changes, before.Changes) || !reflect.DeepEqual(given.Certificate, before.Certificate) {
				t.Fatalf("seed %d, step %d: the record given was changed", seed, step)
			}
			if step == 0 && len(changes) > 0 {
				t.Fatalf("seed %d: the first observation changed %v", seed, changes)
			}
			for _, c := range changes {
				switch {
				case c.Kind == peers.TLSLost && lost, c.Kind == peers.TLSReturned && !lost:
					t.Fatalf("seed %d, step %d: %s out of turn", seed, step, c.Kind)
				case c.Kind == peers.TLSLost:
					lost = true
				case c.Kind == peers.TLSReturned:
					lost = false
				}
				if c.Before == c.After {
					t.Fatalf("seed %d: a change to the same: %+v", seed, c)
				}
			}
			if lost == next.LostAt.IsZero() {
				t.Fatalf("seed %d, step %d: lost is %v and the record says %v", seed, step, lost, next.LostAt)
			}
			if again, more := peers.Observe(next, o); len(more) > 0 || again.TLSDays != next.TLSDays {
				t.Fatalf("seed %d, step %d: the same again changed %v", seed, step, more)
			}
			if next.Streak > next.TLS || next.TLSDays > next.TLS || len(next.Changes) > 10 || next.LastSeen.Before(next.LastTLS) {
				t.Fatalf("seed %d, step %d: %+v", seed, step, next)
			}
			r = next
		}
	}
}

func TestEachChangeHasItsKind(t *testing.T) {
	r, _ := peers.Observe(peers.Record{}, with(start, 0))
	for _, c := range []struct {
		name string
		o    func(*peers.Observation)
		want []peers.ChangeKind
	}{
		{"nothing", func(*peers.Observation) {}, nil},
		{"a new certificate for the same key", func(o *peers.Observation) { o.Certificate = with(start, 1).Certificate }, []peers.ChangeKind{peers.NewCert}},
		{"a new key", func(o *peers.Observation) { o.Certificate = with(start, 2).Certificate }, []peers.ChangeKind{peers.NewKey}},
		{"another version", func(o *peers.Observation) { o.TLS.Version = "TLSv1.2" }, []peers.ChangeKind{peers.NewVersion}},
		{"another group", func(o *peers.Observation) { o.TLS.Group = "X25519MLKEM768" }, []peers.ChangeKind{peers.NewGroup}},
		{"other keywords", func(o *peers.Observation) { o.Keywords = []string{"SIZE"} }, []peers.ChangeKind{peers.NewKeywords}},
		{"no TLS", func(o *peers.Observation) { o.TLS, o.Offered = nil, false }, []peers.ChangeKind{peers.TLSLost}},
	} {
		o := with(start.Add(time.Hour), 0)
		c.o(&o)
		if _, changes := peers.Observe(r, o); !slices.Equal(kinds(changes), c.want) {
			t.Errorf("%s: changes %v, want %v", c.name, kinds(changes), c.want)
		}
	}
}

// proven is a record of TLS n times, a day apart.
func proven(n int) (r peers.Record, last time.Time) {
	for i := range n {
		last = start.AddDate(0, 0, i)
		r, _ = peers.Observe(r, with(last, 0))
	}
	return r, last
}

func TestTheRatchetHoldsOnlyWhatAlwaysHadTLS(t *testing.T) {
	hold := peers.Ratchet{Mode: peers.Hold, After: 5, Days: 3, Hold: 4 * time.Hour}
	five, last := proven(5)
	if s := peers.Judge(five, hold, last.Add(time.Hour)); !s.HoldUntil.Equal(last.Add(5*time.Hour)) || s.Offered.IsZero() {
		t.Errorf("a loss not yet seen is held until %v", s.HoldUntil)
	}
	lost, _ := peers.Observe(five, without(last.Add(time.Hour), false))
	again, _ := peers.Observe(lost, without(last.Add(3*time.Hour), false))
	if s := peers.Judge(again, hold, last.Add(3*time.Hour)); !s.HoldUntil.Equal(last.Add(5 * time.Hour)) {
		t.Errorf("the hold does not count from the first loss: until %v", s.HoldUntil)
	}
	if s := peers.Judge(again, hold, last.Add(5*time.Hour)); !s.HoldUntil.IsZero() || s.Offered.IsZero() {
		t.Errorf("after the hold: %+v", s)
	}
	gaveUp, _ := peers.Observe(again, without(last.Add(6*time.Hour), true))
	back, changes := peers.Observe(gaveUp, with(last.Add(7*time.Hour), 0))
	if !slices.Equal(kinds(changes), []peers.ChangeKind{peers.TLSReturned}) {
		t.Errorf("changes at the return: %v", kinds(changes))
	}
	if s := peers.Judge(back, hold, last.Add(8*time.Hour)); !s.HoldUntil.IsZero() {
		t.Errorf("after plaintext, consistency is not counted anew: %+v", s)
	}
	four, last := proven(4)
	if s := peers.Judge(four, hold, last); !s.HoldUntil.IsZero() || s.Offered.IsZero() {
		t.Errorf("four times are enough: %+v", s)
	}
	var quick peers.Record
	for i := range 50 {
		quick, _ = peers.Observe(quick, with(start.Add(time.Duration(i)*time.Minute), 0))
	}
	if s := peers.Judge(quick, hold, start.Add(time.Hour)); !s.HoldUntil.IsZero() {
		t.Errorf("fifty times within an hour are enough: %+v", s)
	}
	for _, mode := range []peers.Mode{peers.Off, peers.Warn, ""} {
		c := hold
		c.Mode = mode
		if s := peers.Judge(five, c, last); !s.HoldUntil.IsZero() {
			t.Errorf("mode %q holds", mode)
		}
	}
	if s := peers.Judge(five, hold, last.Add(60*24*time.Hour)); s != (peers.Stand{}) {
		t.Errorf("an offer of two months ago counts: %+v", s)
	}
	if s := peers.Judge(peers.Record{}, hold, last); s != (peers.Stand{}) {
		t.Errorf("a stranger: %+v", s)
	}
}

func TestEachExpiryIsToldOnce(t *testing.T) {
	o := with(start, 0)
	o.Forced = true
	r, _ := peers.Observe(peers.Record{}, o)
	end := r.Certificate.NotAfter
	var told []int
	for hour := end.Add(-40 * 24 * time.Hour); hour.Before(end.Add(48 * time.Hour)); hour = hour.Add(time.Hour) {
		r.UnderRule = hour
		next, _, due := peers.Expiring(r, hour)
		if due {
			told = append(told, next.Warned)
		}
		r = next
	}
	if !slices.Equal(told, []int{30, 14, 7, 1}) {
		t.Errorf("told at %v days", told)
	}
	renewed := with(end, 1)
	renewed.Certificate.NotAfter = end.AddDate(0, 0, 10)
	r, _ = peers.Observe(r, renewed)
	if next, c, due := peers.Expiring(r, end); !due || next.Warned != 14 || c.Kind != peers.RunsOut {
		t.Errorf("the next certificate, ten days before its end: %v, %+v", due, c)
	}
	r.UnderRule = time.Time{}
	if _, _, due := peers.Expiring(r, end); due {
		t.Error("a partner under no rule is warned of")
	}
}

func TestOnlyLossesOfUnrelatedPeersAreOurs(t *testing.T) {
	lose := func(l *peers.Losses, host string, at time.Time) bool {
		o := without(at, false)
		o.Host = host
		return l.Add(o, true)
	}
	var l peers.Losses
	for i, host := range []string{"mx1.a.test", "mx2.a.test", "x.mx.a.test", "mx.b.test"} {
		if lose(&l, host, start.Add(time.Duration(i)*time.Minute)) {
			t.Fatalf("told at %s", host)
		}
	}
	if !lose(&l, "mx.c.test", start.Add(5*time.Minute)) {
		t.Error("three organisations are not enough")
	}
	if lose(&l, "mx.d.test", start.Add(6*time.Minute)) {
		t.Error("told twice a day")
	}
	l = peers.Losses{}
	lose(&l, "mx.a.test", start)
	lose(&l, "mx.b.test", start.Add(time.Minute))
	l.Add(with(start.Add(2*time.Minute), 0), false)
	if lose(&l, "mx.c.test", start.Add(3*time.Minute)) {
		t.Error("told although somebody had TLS in between")
	}
	if lose(&l, "mx.d.test", start.Add(3*time.Hour)) || lose(&l, "mx.e.test", start.Add(3*time.Hour)) {
		t.Error("told although the losses are hours apart")
	}
}

func TestAServerThatOnlyForcedMailCannotUseLostNothing(t *testing.T) {
	old := with(start, 0)
	old.TLS.Version = "TLSv1"
	r, _ := peers.Observe(peers.Record{}, old)
	for _, reason := range []policy.Reason{policy.TLSVersion, policy.TLSAlert, policy.TLSClosed} {
		o := without(start.Add(time.Hour), false)
		o.Forced, o.Offered, o.Reason = true, true, reason
		if _, changes := peers.Observe(r, o); len(changes) > 0 {
			t.Errorf("%s: changes %v", reason, changes)
		}
	}
	gone := without(start.Add(time.Hour), false)
	gone.Forced = true
	if _, changes := peers.Observe(r, gone); !slices.Equal(kinds(changes), []peers.ChangeKind{peers.TLSLost}) {
		t.Errorf("an offer that is gone: changes %v", kinds(changes))
	}
}

func TestAnAttemptIsOneObservationOfEachAddress(t *testing.T) {
	ip, other := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")
	offer := &attempt.Offer{StartTLS: true, Keywords: []string{"pipelining", "XEVIL \x1b", "SIZE 100", "STARTTLS"}}
	ev := &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.2"}, Chain: []policy.Certificate{{Subject: "CN=x", SHA256: "s"}}}
	got := peers.Gather(&attempt.Attempt{Tries: []attempt.Try{
		{At: start, Host: "mx.a.test", Reason: policy.DNSServfail},
		{At: start, Host: "mx.a.test", IP: ip, Port: 25, Rung: attempt.Modern, Reason: policy.TLSClosed, Offer: offer},
		{At: start, Host: "mx.a.test", IP: other, Port: 25, Reason: policy.ConnectTimeout},
		{At: start, Host: "mx.a.test", IP: ip, Port: 25, Rung: attempt.Legacy, Reached: policy.Encrypted, Evidence: ev, Used: true, Offer: offer},
	}}, true)
	if len(got) != 1 || got[0].TLS == nil || got[0].Reason != "" || got[0].Plain || !got[0].Forced || !got[0].Offered ||
		!slices.Equal(got[0].Keywords, []string{"PIPELINING", "SIZE"}) || got[0].Certificate.SHA256 != "s" {
		t.Errorf("%+v", got)
	}
	got = peers.Gather(&attempt.Attempt{Tries: []attempt.Try{
		{At: start, Host: "mx.a.test", IP: ip, Port: 25, Reason: policy.TLSClosed, Evidence: ev, Offer: offer},
		{At: start, Host: "mx.a.test", IP: ip, Port: 25, Rung: attempt.Plain, Used: true, Offer: offer},
	}}, false)
	if len(got) != 1 || got[0].TLS != nil || got[0].Reason != policy.TLSClosed || !got[0].Plain {
		t.Errorf("a handshake whose connection broke is TLS that works: %+v", got)
	}
}
