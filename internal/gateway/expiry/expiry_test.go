package expiry_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/expiry"
)

const day = 24 * time.Hour

func TestWhatIsDue(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		what       string
		life, left time.Duration
		renews     bool
		fault      string
		want       int
	}{
		{"a year, 40 days left", 365 * day, 40 * day, false, "", 0},
		{"a year, 30 days left", 365 * day, 30 * day, false, "", 30},
		{"a year, 13 days left", 365 * day, 13 * day, false, "", 14},
		{"a year, 25 hours left", 365 * day, 25 * time.Hour, false, "", 7},
		{"a year, an hour left", 365 * day, time.Hour, false, "", 1},
		{"a year, over", 365 * day, -time.Hour, false, "", -1},
		{"90 days of a file: certbot renews when 30 are left", 90 * day, 29 * day, false, "", 0},
		{"90 days of a file, 14 left", 90 * day, 14 * day, false, "", 14},
		{"45 days of a file, 14 left", 45 * day, 14 * day, false, "", 0},
		{"45 days of a file, 7 left", 45 * day, 7 * day, false, "", 7},
		{"six days of a file", 6 * day, 1 * day, false, "", 1},
		{"ours to renew, and it works", 90 * day, 5 * day, true, "", 0},
		{"ours to renew, and it fails", 90 * day, 29 * day, true, "no", 30},
		{"six days, ours to renew, and it fails", 6 * day, 2 * day, true, "no", 7},
		{"ours to renew, over", 90 * day, -1, true, "", -1},
	} {
		o := expiry.Own{Begin: now.Add(c.left - c.life), End: now.Add(c.left), Renews: c.renews, Fault: c.fault}
		if got := expiry.Due(o, now); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// steps keeps the steps that were told.
type steps struct {
	mu   sync.Mutex
	list []int
}

func (s *steps) all() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func (s *steps) Emit(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, e.(event.CertificateEnding).Step)
}

func TestEachStepIsToldOnceAndAnotherCertificateBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		set := func(change func()) { mu.Lock(); defer mu.Unlock(); change() }
		own, heard := expiry.Own{Kind: "server", Begin: time.Now(), End: time.Now().Add(100 * day), Renews: true}, &steps{}
		w := expiry.New(func() []expiry.Own { mu.Lock(); defer mu.Unlock(); return []expiry.Own{own} }, heard)
		done := make(chan struct{})
		go func() { defer close(done); _ = w.Run(ctx) }()
		time.Sleep(75 * day)
		set(func() { own.Fault = "one reason" })
		time.Sleep(day)
		set(func() { own.Fault = "another reason" })
		time.Sleep(26 * day)
		if want := []int{30, 14, 7, 1, 0}; !slices.Equal(heard.all(), want) {
			t.Errorf("told %v, want %v", heard.all(), want)
		}
		set(func() { own.End, own.Fault = own.End.Add(90*day), "" })
		time.Sleep(65 * day)
		set(func() { own.Fault = "again" })
		time.Sleep(5 * day)
		if want := []int{30, 14, 7, 1, 0, 30}; !slices.Equal(heard.all(), want) {
			t.Errorf("after a renewal told %v, want %v", heard.all(), want)
		}
		stop()
		<-done
	})
}
