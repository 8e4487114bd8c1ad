package rulevalue

import (
	"testing"
	"time"
)

func TestDurationsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24h", 90 * time.Minute: "1h30m", time.Minute: "1m", 10 * time.Minute: "10m", 30 * time.Second: "30s",
		61 * time.Second: "1m1s", time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s", 100 * time.Hour: "100h",
	} {
		if got := DurationText(d); got != want {
			t.Errorf("%v is printed %q, want %q", d, got, want)
		}
		if back, err := time.ParseDuration(DurationText(d)); err != nil || back != d {
			t.Errorf("%v comes back as %v", d, back)
		}
	}
}
