package web

import (
	"fmt"
	"net/http"
	"time"
)

// liveBreath is how often a quiet stream says that it is alive, and looks whether the session is.
const liveBreath = 20 * time.Second

// live tells a page that something happened, as server-sent events: script then asks for the page again. The first word
// comes at once, so that what happened between the page and this stream is seen.
func (c *Console) live(r *request) error {
	out, begun := http.NewResponseController(r.w), false
	return r.desk.Watch(r.ctx(), liveBreath, func(beats uint64, beat bool) bool {
		if !begun {
			r.w.Header().Set("Content-Type", "text/event-stream")
			begun = true
		}
		text := "event: here\ndata:\n\n" // so that a page knows that it is up to date
		if beat {
			text = fmt.Sprintf("data: %d\n\n", beats)
		}
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second)) // not every writer can; then its own holds
		if !c.door.Still(r.Request) {
			return false
		}
		if _, err := fmt.Fprint(r.w, text); err != nil {
			return false
		}
		return out.Flush() == nil
	})
}
