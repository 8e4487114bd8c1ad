package pause_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/platform/pause"
)

func TestAPauseLastsUntilItsTimeOrUntilNobodyWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		began := time.Now()
		if !pause.For(ctx, time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("after %v", time.Since(began))
		}
		if pause.For(ctx, time.Minute) || time.Since(began) != 90*time.Second {
			t.Errorf("its end is not told, after %v", time.Since(began))
		}
	})
}
