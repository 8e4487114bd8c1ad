package server

import (
	"fmt"
	"testing"
	"time"
)

func TestADomainIsWarnedOfOnceADay(t *testing.T) {
	var l lately
	now := time.Now()
	for _, c := range []struct {
		what  string
		after time.Duration
		want  bool
	}{{"a.test", 0, true}, {"a.test", time.Hour, false}, {"b.test", time.Hour, true}, {"a.test", 23 * time.Hour, false}, {"a.test", 24 * time.Hour, true}, {"a.test", 25 * time.Hour, false}} {
		if got := l.first(c.what, now.Add(c.after)); got != c.want {
			t.Errorf("%s after %v: %v", c.what, c.after, got)
		}
	}
	for i := range 3 * mostLately {
		l.first(fmt.Sprintf("%d.test", i), now)
	}
	if len(l.told) > mostLately {
		t.Errorf("%d are remembered", len(l.told))
	}
}
