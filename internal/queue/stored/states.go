package stored

import (
	"postern/internal/queue"
	"postern/internal/queue/database"
)

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

// Counts count deliveries by their stored state.
type Counts [Cancelled + 1]int64

// CountColumns are the columns of Counts, as Values fills and ScanCounts reads them.
const CountColumns = "queued, held, delivered, failed, cancelled"

// Values are the values of CountColumns.
func (c *Counts) Values() []any {
	return []any{c[Queued], c[Held], c[Delivered], c[Failed], c[Cancelled]}
}

// ScanCounts reads CountColumns, of which the first is column at of the row.
func ScanCounts(r database.Row, at int) (c Counts) {
	for i := range Cancelled {
		c[Queued+i] = r.Int(at + i)
	}
	return c
}

// Move counts a delivery that had another state before.
func (c *Counts) Move(from, to queue.State) {
	c[State(from)]--
	c[State(to)]++
}

// States are the counts that are not 0.
func (c *Counts) States() map[queue.State]int64 {
	out := map[queue.State]int64{}
	for n := int64(Queued); n <= Cancelled; n++ {
		if c[n] > 0 {
			out[LoadState(n)] = c[n]
		}
	}
	return out
}

// Lease counts in such States deliveries that are leased: they are Sending, and not what they were.
func Lease(states map[queue.State]int64, was queue.State, n int64) {
	states[queue.Sending] += n
	if states[was] -= n; states[was] <= 0 {
		delete(states, was)
	}
}

// Flag is a truth as it is stored.
func Flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
