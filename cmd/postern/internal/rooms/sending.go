package rooms

import (
	"time"

	"postern/internal/config"
	"postern/internal/queue/schedule"
)

// Pacing is how deliveries are tried and how the connections are divided.
func Pacing(c *config.Delivery) schedule.Config {
	s := schedule.Config{
		Jitter: 0.1, PerSite: c.ConnectionsPerSite, Total: c.Connections, Own: c.ConnectionsOwn, Unproven: c.ConnectionsUnproven,
		Reports: c.ConnectionsReports, Family: c.ConnectionsPerHost, Overtime: c.ConnectionsOvertime,
		SlowAfter: c.SlowAfter.Duration, Lately: c.ProvenFor.Duration,
	}
	for _, step := range c.Retry {
		s.Retry = append(s.Retry, step.Duration)
	}
	return s
}

// NeverIfZero is a duration of which 0 means "never" in the configuration and "the default" in a room.
func NeverIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
