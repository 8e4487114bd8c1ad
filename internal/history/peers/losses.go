package peers

import (
	"strings"
	"time"
)

// Losses watches for TLS being lost everywhere at once, which no partner can be to blame for. The zero value is ready.
type Losses struct {
	lost map[string]time.Time // organisation -> when
	told time.Time
}

// Three unrelated peers within an hour, and none with TLS in between; told once a day.
const (
	lossesNeeded = 3
	lossesWithin = time.Hour
	lossesPause  = 24 * time.Hour
)

// Add takes what was observed and reports whether it is time to say that the fault is our own. lost says that the
// observation was of a loss.
func (l *Losses) Add(o Observation, lost bool) bool {
	if o.TLS != nil {
		clear(l.lost)
		return false
	}
	if !lost {
		return false
	}
	if l.lost == nil {
		l.lost = map[string]time.Time{}
	}
	for name, at := range l.lost {
		if o.At.Sub(at) > lossesWithin {
			delete(l.lost, name)
		}
	}
	if len(l.lost) < 10*lossesNeeded {
		l.lost[organisation(o.Key)] = o.At
	}
	if len(l.lost) < lossesNeeded || !l.told.IsZero() && o.At.Sub(l.told) < lossesPause {
		return false
	}
	l.told = o.At
	return true
}

// organisation is what hosts of one operator have in common: the last two labels of the name. Where that takes two
// organisations for one, the warning only comes later.
func organisation(k Key) string {
	labels := strings.Split(k.Host, ".")
	if k.Host == "" {
		return k.Addr.Addr().String()
	}
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}
