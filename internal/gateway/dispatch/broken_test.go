package dispatch

import (
	"testing"
	"time"

	"postern/internal/policy"
)

func TestSitesThatBrokeLongAgoAreForgotten(t *testing.T) {
	d := New(Config{})
	d.markBroken(serversOf("mx:dead.test"), "mx:dead.test", policy.Requirement{})
	d.forgetBroken(time.Now().Add(time.Hour))
	if len(d.broken) != 1 {
		t.Fatal("forgotten while it may still be waiting for its next probe")
	}
	d.forgetBroken(time.Now().Add(48 * time.Hour))
	if len(d.broken) != 0 {
		t.Fatalf("still remembered: %v", d.broken)
	}
}
