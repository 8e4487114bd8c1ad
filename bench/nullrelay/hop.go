package nullrelay

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"postern/bench/wire"
)

// hop is a next server with what waits for it. Its senders start when there is work and stay for a while.
type hop struct {
	address string
	// relay.mu guards these.
	queue   []*message
	senders int
	idle    int // senders that wait
	some    sync.Cond
}

// stay is how long a sender keeps its connection without work.
const stay = 10 * time.Second

// hop returns where mail for a domain goes.
func (r *relay) hop(domain string) *hop {
	address, ok := r.config.Hops[domain]
	if !ok {
		address = r.config.Next
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hops[address]
	if h == nil {
		h = &hop{address: address}
		h.some.L = &r.mu
		r.hops[address] = h
	}
	return h
}

// accepted gives a durable message to a sender.
func (r *relay) accepted(m *message) {
	if m.hop == nil { // from a log of before
		_, rest, _ := bytes.Cut(m.envelope, []byte("\r\nRCPT TO:"))
		_, rest, _ = bytes.Cut(rest, []byte("@"))
		domain, _, _ := bytes.Cut(rest, []byte(">"))
		m.hop = r.hop(string(domain))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held+len(m.content) > memory {
		m.content = nil
	}
	r.held += len(m.content)
	h := m.hop
	h.queue = append(h.queue, m)
	switch {
	case r.ended:
	case h.idle > 0:
		h.some.Signal()
	case h.senders < r.config.Connections:
		h.senders++
		r.senders.Go(func() { r.send(h) })
	}
}

// next waits for a message for a hop; nil when the sender should go.
func (r *relay) next(h *hop) *message {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(h.queue) == 0 && !r.ended {
		late := false
		timer := time.AfterFunc(stay, func() {
			r.mu.Lock()
			late = true
			r.mu.Unlock()
			h.some.Broadcast()
		})
		for h.idle++; len(h.queue) == 0 && !r.ended && !late; {
			h.some.Wait()
		}
		h.idle--
		timer.Stop()
	}
	if len(h.queue) == 0 || r.ended {
		h.senders--
		return nil
	}
	m := h.queue[0]
	h.queue[0] = nil
	h.queue = h.queue[1:]
	r.held -= len(m.content)
	return m
}

// end makes all senders go and waits for them.
func (r *relay) end() {
	r.mu.Lock()
	r.ended = true
	for _, h := range r.hops {
		h.some.Broadcast()
	}
	r.mu.Unlock()
	r.senders.Wait()
}

func (r *relay) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// send is one sender with its connection. What fails is sent again over a new connection until it goes: there is no
// schedule and there are no reports.
func (r *relay) send(h *hop) {
	var c *wire.Conn
	defer func() {
		if c != nil {
			c.Quit()
		}
	}()
	for m := r.next(h); m != nil; m = r.next(h) {
		for r.transfer(&c, m) != nil {
			if c != nil {
				c.Close()
				c = nil
			}
			if r.over() {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		r.journal.forget(m)
		r.release(m.content)
	}
}

func (r *relay) transfer(c **wire.Conn, m *message) (err error) {
	if *c == nil {
		if *c, err = wire.Dial(m.hop.address, "null.test", r.config.Client); err != nil {
			return err
		}
	}
	content := m.content
	if content == nil {
		if content, err = r.journal.read(m); err != nil {
			return err
		}
	}
	if err := (*c).Send(m.envelope); err != nil {
		return err
	}
	for {
		code, text, err := (*c).Reply()
		if err != nil {
			return err
		}
		if code == 354 {
			break
		}
		if code != 250 {
			return fmt.Errorf("refused: %q", text)
		}
	}
	if err := (*c).Send(content); err != nil {
		return err
	}
	return (*c).Expect(250)
}
