package stored

import "postern/internal/queue"

// Stored states. They differ from queue.State: there is no Sending, because leases are not part of the form.
const (
	Queued    = 1
	Held      = 2
	Delivered = 3
	Failed    = 4
	Cancelled = 5
)

// State is a state as it is stored.
func State(s queue.State) int64 {
	switch s {
	case queue.Held:
		return Held
	case queue.Delivered:
		return Delivered
	case queue.Failed:
		return Failed
	case queue.Cancelled:
		return Cancelled
	}
	return Queued
}

// LoadState is a stored state; 0 for a number that is none.
func LoadState(n int64) queue.State {
	switch n {
	case Queued:
		return queue.Queued
	case Held:
		return queue.Held
	case Delivered:
		return queue.Delivered
	case Failed:
		return queue.Failed
	case Cancelled:
		return queue.Cancelled
	}
	return 0
}

// Flag is a truth as it is stored.
func Flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
