package dispatch

import (
	"context"
	"errors"
	"io"
	"time"

	"postern/internal/gateway/fate"
	"postern/internal/queue"
)

// Of what rules did with a delivery when it was accepted (gateway/fate/effects.go) two things are seen to here: what is
// rejected is never sent, and header fields go out above the stored header, in a transaction of recipients with the
// same fields. Where redirected mail goes is its next hop (channel.go).

// refused ends those of a group that a rule rejected; nil where there are none.
func (r *run) refused(_ context.Context, group []queue.Work) *step {
	var s step
	for i := range group {
		if w := &group[i]; w.Rejected() != nil {
			s.fates = append(s.fates, r.d.fates.EndedByRule(w, w.Rejected()))
		} else {
			s.left = append(s.left, *w)
		}
	}
	if len(s.fates) == 0 {
		return nil
	}
	return &s
}

// ErrNotHeld: nothing of what was named is in quarantine now.
var ErrNotHeld = errors.New("nothing of it is in quarantine, or it is being changed right now")

// Return ends the quarantine of some deliveries with a notice to their senders, and says how many. Whoever asks has it
// in the audit trail first. Those that are not in quarantine are left alone.
func (d *Dispatcher) Return(ctx context.Context, ids []queue.DeliveryID) (returned int, err error) {
	now := time.Now()
	works, err := d.cfg.Store.Claim(ctx,
		queue.Claim{IDs: ids, Worker: d.cfg.Worker, Now: now, Until: now.Add(d.cfg.Lease), Limit: len(ids)})
	if err != nil {
		return 0, err
	}
	for group := range byMessage(works) {
		n := 0
		fates := all(group, func(w *queue.Work) fate.Fate {
			if e := w.Quarantine(); e != nil && w.Was == queue.Held {
				n++
				return d.fates.EndedByRule(w, e)
			}
			return d.fates.Untouched(w)
		})
		if err := d.conclude(ctx, fates, nil); err != nil {
			return returned, err
		}
		returned += n
	}
	if returned == 0 {
		return 0, ErrNotHeld
	}
	return returned, nil
}

// headed is content with lines above it.
type headed struct {
	io.ReadSeeker
	head string
	at   int // of the head, read so far
}

func withHead(body io.ReadSeeker, head string) io.ReadSeeker {
	if head == "" {
		return body
	}
	return &headed{ReadSeeker: body, head: head}
}

// Read reads the head first.
func (h *headed) Read(p []byte) (int, error) {
	if h.at < len(h.head) {
		n := copy(p, h.head[h.at:])
		h.at += n
		return n, nil
	}
	return h.ReadSeeker.Read(p)
}

// Seek goes to an offset from the start, or to the end, which is all that is asked for.
func (h *headed) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekEnd && offset == 0:
		h.at = len(h.head)
		end, err := h.ReadSeeker.Seek(0, io.SeekEnd)
		return end + int64(len(h.head)), err
	case whence != io.SeekStart || offset < 0:
		return 0, errors.New("dispatch: content is sought from its start, or to its end")
	}
	h.at = int(min(offset, int64(len(h.head))))
	_, err := h.ReadSeeker.Seek(offset-int64(h.at), io.SeekStart)
	return offset, err
}

// alike reports whether two deliveries go in one transaction: of one message, with the same above its header.
func alike(a, b *queue.Work) bool {
	return a.Message.ID == b.Message.ID && (len(a.Effects) == 0 && len(b.Effects) == 0 ||
		a.Effects.Head() == b.Effects.Head())
}
