package stored

import (
	"time"

	"postern/internal/queue"
)

// Settlement is a queue.Settlement made ready for a transaction.
type Settlement struct {
	*queue.Settlement
	Facts any   // argument of its attempt
	To    *Site // nil: stays
}

// SiteState is the state of a site made ready for a transaction.
type SiteState struct {
	Key queue.SiteKey
	queue.SiteState
	Facts any // argument of the last attempt
}

// Sets reports whether there is a state at all.
func (s *SiteState) Sets() bool {
	return s.Failures != 0 || !s.Since.IsZero() || !s.RetryAt.IsZero() || s.Facts != nil
}

// Batch is a queue.Batch made ready for a transaction.
type Batch struct {
	Settlements []Settlement
	Leases      []queue.Lease
	Messages    []*Message
	States      []SiteState
	Now         time.Time
	Bytes       int // of bodies
}

// ReadyBatch does what can be done before the transaction; ready is how the store makes its messages ready.
func ReadyBatch(b *queue.Batch, ready func(*queue.Submission) (*Message, error)) (*Batch, error) {
	out := &Batch{Now: b.Now}
	for i := range b.Settlements {
		st := Settlement{Settlement: &b.Settlements[i]}
		err := st.Check()
		if err == nil {
			st.Facts, err = EncodeAttempt(st.Attempt)
		}
		if m := st.Move; m != nil && err == nil {
			st.To, err = NewSite(m.NextHop, m.Requirement)
		}
		if err != nil {
			return nil, err
		}
		out.Settlements, out.Leases = append(out.Settlements, st), append(out.Leases, st.Lease)
	}
	for _, sub := range b.New {
		n, err := ready(sub)
		if err != nil {
			return nil, err
		}
		out.Messages, out.Bytes = append(out.Messages, n), out.Bytes+len(n.Body.Data)
	}
	for key, state := range b.Sites {
		last, err := EncodeAttempt(state.Last)
		if err != nil {
			return nil, err
		}
		out.States = append(out.States, SiteState{key, state, last})
	}
	return out, nil
}

// OnlyDelivered reports whether some deliveries were delivered, and nothing else happened.
func (b *Batch) OnlyDelivered() bool {
	if len(b.Settlements) == 0 || len(b.Messages)+len(b.States) > 0 {
		return false
	}
	for i := range b.Settlements {
		if st := &b.Settlements[i]; st.State != queue.Delivered || st.To != nil {
			return false
		}
	}
	return true
}
