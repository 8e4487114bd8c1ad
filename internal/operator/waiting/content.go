package waiting

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/queue"
)

// Content is what a message in quarantine says, for whoever decides what becomes of it.
type Content struct {
	Message string `json:"message"`
	// Text is the stored message, header first, octet by octet; at most the first MostContent of Size.
	Text []byte `json:"text"`
	Size int64  `json:"size"`
}

// MostContent bounds what is shown of a message, in bytes.
const MostContent = 1 << 20

// Content reads a message that a rule holds. It is a capability of its own, and who read what is in the audit trail
// before a byte is given out. Of mail that is not in quarantine nobody reads anything here.
func (d QueueDesk) Content(ctx context.Context, id string) (Content, error) {
	if err := d.who.Need(access.ReadContent); err != nil {
		return Content{}, err
	}
	by, err := d.who.Author()
	if err != nil {
		return Content{}, err
	}
	there, held := false, false
	for rec, err := range d.s.cfg.Store.List(ctx, queue.Filter{IDs: []queue.ID{queue.ID(id)}, Brief: true}) {
		if err != nil {
			return Content{}, fmt.Errorf("cannot look for the message: %w", err)
		}
		there = there || d.who.Sees(&rec)
		held = held || rec.State == queue.Held && rec.Quarantine() != nil && d.who.Sees(&rec)
	}
	switch {
	case !there:
		return Content{}, noMessage(id)
	case !held:
		return Content{}, access.NotFound("message %s is not in quarantine, and of no other mail is the content shown",
			id)
	}
	if err := d.who.Record(ctx, audit.Entry{At: time.Now(), By: by, Action: "queue read", Target: id,
		Count: 1}); err != nil {
		return Content{}, err
	}
	body, err := d.s.cfg.Store.Open(ctx, queue.ID(id))
	if errors.Is(err, queue.ErrNotFound) {
		return Content{}, access.NotFound("the content of message %s is gone", id)
	}
	if err != nil {
		return Content{}, fmt.Errorf("cannot read the message: %w", err)
	}
	defer body.Close()
	out := Content{Message: id}
	if out.Text, err = io.ReadAll(io.LimitReader(body, MostContent)); err == nil {
		out.Size, err = body.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return Content{}, fmt.Errorf("cannot read the message: %w", err)
	}
	return out, nil
}

func noMessage(id string) error { return access.NotFound("there is no message %q", id) }
