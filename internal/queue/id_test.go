package queue

import (
	"testing"
	"time"
)

func TestNewIDOrder(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	a, b := NewID(now, 0xffffffff), NewID(now.Add(time.Millisecond), 0)
	if len(a) != 16 || a >= b {
		t.Fatalf("IDs %q and %q: want 16 characters in order of time", a, b)
	}
	if a == NewID(now, 1) {
		t.Fatal("the random bits do not reach the ID")
	}
}
