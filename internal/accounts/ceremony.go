package accounts

import (
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
)

const (
	// ceremonyTime is how long somebody may take to answer his device.
	ceremonyTime = 5 * time.Minute
	// ceremoniesMost bounds those that were begun; the oldest make room.
	ceremoniesMost = 5000
)

// ceremonies are the questions that were put to browsers and not answered yet, by challenge. Each is answered once. The
// zero value is ready; safe for concurrent use.
type ceremonies struct {
	mu    sync.Mutex
	open  map[string]ceremony
	order []string // by age
}

type ceremony struct {
	state   webauthn.SessionData
	account string // that makes a passkey; "" for a proof
	ends    time.Time
}

func (c *ceremonies) begin(state *webauthn.SessionData, account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[string]ceremony{}
	}
	now := time.Now()
	for len(c.order) > 0 && (len(c.order) >= ceremoniesMost || now.After(c.open[c.order[0]].ends)) {
		delete(c.open, c.order[0])
		c.order = c.order[1:]
	}
	c.open[state.Challenge] = ceremony{*state, account, now.Add(ceremonyTime)}
	c.order = append(c.order, state.Challenge)
}

// end returns a question that is answered now; nobody can answer it again.
func (c *ceremonies) end(challenge string) (state webauthn.SessionData, account string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.open[challenge]
	delete(c.open, challenge)
	return one.state, one.account, ok && time.Now().Before(one.ends)
}
