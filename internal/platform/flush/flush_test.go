package flush_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/platform/flush"
)

func TestItIsWrittenAtEveryIntervalAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		flushed, swept := 0, 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			flush.Run(ctx, time.Hour, func(ctx context.Context) {
				if ctx.Err() != nil {
					t.Error("no time is left to write")
				}
				flushed++
			}, func(context.Context, time.Time) { swept++ })
		}()
		time.Sleep(49*time.Hour + time.Minute)
		stop()
		<-done
		if flushed != 50 || swept != 2 {
			t.Errorf("written %d times, swept %d times", flushed, swept)
		}
	})
}
