package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"postern/internal/access"
	"postern/internal/admin"
)

const (
	// livePause is the least time between two words to one page.
	livePause = time.Second
	// liveBreath is how often a quiet stream says that it is alive, and looks whether the session is.
	liveBreath = 20 * time.Second
	// liveMost bounds the streams of everybody.
	liveMost = 200
)

// live tells a page that something happened, as server-sent events: script then asks for the page again. It says nothing
// about what happened, so it needs no more than a session.
func (c *Console) live(r *request) error {
	if !r.who.May(access.ReadStatus) {
		return admin.ErrForbidden
	}
	if c.cfg.Pulse == nil {
		return admin.ErrNotFound
	}
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		return admin.ErrBusy
	}
	r.w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(r.w)
	say := func(text string) error {
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second)) // not every writer can; then its own holds
		if _, err := fmt.Fprint(r.w, text); err != nil {
			return err
		}
		return out.Flush()
	}
	// The first word comes at once: what happened between the page and this stream is seen by asking again.
	seen := c.cfg.Pulse.Beats()
	if say(fmt.Sprintf("data: %d\n\n", seen)) != nil {
		return nil
	}
	for {
		breath, cancel := context.WithTimeout(r.ctx(), liveBreath)
		next, err := c.cfg.Pulse.After(breath, seen)
		cancel()
		word := ": here\n\n"
		switch {
		case r.ctx().Err() != nil:
			return nil
		case err == nil:
			seen, word = next, fmt.Sprintf("data: %d\n\n", next)
		case !errors.Is(err, context.DeadlineExceeded):
			return nil
		}
		if !c.door.Still(r.Request) || say(word) != nil {
			return nil
		}
		select {
		case <-time.After(livePause):
		case <-r.ctx().Done():
			return nil
		}
	}
}
