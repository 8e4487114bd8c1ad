package sqlstore

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"postern/internal/queue"
)

// TestExtendOrClaim: a lease that ran out is prolonged or claimed by another, never both (G4).
func TestExtendOrClaim(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	if err := put(t, s, "m", 10); err != nil {
		t.Fatal(err)
	}
	now := testTime
	claim := func() []queue.Work {
		work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: now, Until: now.Add(time.Second)})
		if err != nil {
			t.Error(err)
		}
		return work
	}
	work := claim()
	for range 3000 {
		now = now.Add(time.Minute)
		var extended error
		var claimed []queue.Work
		var wg sync.WaitGroup
		wg.Go(func() { extended = s.Extend(t.Context(), []queue.Lease{work[0].Lease}, now.Add(time.Second)) })
		wg.Go(func() {
			runtime.Gosched()
			claimed = claim()
		})
		wg.Wait()
		if (extended == nil) == (len(claimed) == 1) {
			t.Fatalf("prolonged: %v, claimed by another: %d", extended, len(claimed))
		}
		if len(claimed) == 1 {
			work = claimed
		}
	}
}
