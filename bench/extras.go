package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"postern/bench/backlog"
	"postern/bench/rig"
	"postern/bench/source"
	"postern/bench/wire"
)

// Idle is what TLS sessions cost that do nothing.
type Idle struct {
	Kind     string `json:"kind"`
	Sessions int    `json:"sessions"`
	// Each is KiB of resident memory for one session.
	Each float64 `json:"each_kib"`
}

// String is a line for people.
func (i Idle) String() string {
	return fmt.Sprintf("%s: an idle TLS session takes %.1f KiB (%d of them)", i.Kind, i.Each, i.Sessions)
}

// idle opens sessions at a server, each with its handshake and EHLO behind it, and looks what they take.
func (b *bench) idle(ctx context.Context, kind string, sessions int) (Idle, error) {
	w := ordinary()
	s, err := b.start(ctx, Contestant{Kind: kind}, w)
	if err != nil {
		return Idle{}, err
	}
	defer s.Stop()
	if _, err := b.round(ctx, s, w, warmUp); err != nil {
		return Idle{}, err
	}
	before := s.Tree.Memory()
	conns, err := b.openSessions(ctx, s, sessions)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err != nil {
		return Idle{}, err
	}
	s.Quiet(ctx, 10*time.Second)
	return Idle{kind, sessions, float64(s.Tree.Memory()-before) / float64(sessions) / 1024}, nil
}

// openSessions opens sessions, a few at a time.
func (b *bench) openSessions(ctx context.Context, s *rig.Server, n int) (conns []*wire.Conn, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				enough := n <= 0 || err != nil
				n--
				mu.Unlock()
				if enough {
					return
				}
				c, failed := wire.Dial(s.Address(), "idle.test", clientTLS())
				mu.Lock()
				if failed != nil {
					err = failed
				} else {
					conns = append(conns, c)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return conns, err
}

// Large is what the largest message costs.
type Large struct {
	Kind string `json:"kind"`
	// AtOnce messages of largeSize bytes on as many connections.
	AtOnce int `json:"at_once"`
	// Growth of resident memory at its highest, in MiB, over what it was before.
	Growth  float64 `json:"growth_mib"`
	Seconds float64 `json:"seconds"`
}

// String is a line for people.
func (l Large) String() string {
	return fmt.Sprintf("%s: %d message(s) of %d bytes at once: memory grew by %.1f MiB; %.1f s", l.Kind, l.AtOnce,
		largeSize, l.Growth, l.Seconds)
}

// largeSize is the limit that Postern advertises.
const largeSize = 150_000_000

// large sends the largest message there may be, or several at once.
func (b *bench) large(ctx context.Context, c Contestant, atOnce int) (Large, error) {
	w := ordinary()
	s, err := b.start(ctx, c, w)
	if err != nil {
		return Large{}, err
	}
	defer s.Stop()
	if _, err := b.round(ctx, s, w, 5*warmUp); err != nil {
		return Large{}, err
	}
	b.run++
	target := b.sink(true)
	expected := target.Expect(b.run, atOnce, 1)
	s.Tree.ResetPeak()
	before, start := s.Tree.Resident(), time.Now()
	// Some bytes are left for the server's own line.
	_, err = source.Run(ctx, source.Load{Address: s.Address(), TLS: clientTLS(), Run: b.run, Messages: atOnce,
		Connections: atOnce, PerConnection: 1, Recipients: 1, Domains: 1, Size: largeSize - 1000})
	if err == nil {
		err = expected.Wait(ctx, b.patience)
	}
	runtime.GC()
	return Large{c.Kind, atOnce, float64(max(0, s.Tree.Peak()-before)) / (1 << 20), time.Since(start).Seconds()}, err
}

// extras measures what is not a rate.
func (b *bench) extras(ctx context.Context, s suite, report *Report) error {
	if s.sessions > 0 {
		// Postfix has a process for each session, so there are few of them.
		for kind, n := range map[string]int{rig.Postern: s.sessions, rig.Postfix: min(s.sessions, 100)} {
			b.progress("== %d idle sessions at %s\n", n, kind)
			i, err := b.idle(ctx, kind, n)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				b.progress("not measured: %v\n", err)
				continue
			}
			report.Idle = append(report.Idle, i)
		}
	}
	if s.large {
		c := Contestant{Name: "postern", Kind: rig.Postern}
		if s.shared {
			clean, err := b.fill(ctx, &c, backlog.Config{}, true)
			if err != nil {
				return err
			}
			defer clean()
		}
		for _, n := range []int{1, 4} {
			b.progress("== %d of %d bytes\n", n, largeSize)
			l, err := b.large(ctx, c, n)
			if err != nil {
				return err
			}
			report.Large = append(report.Large, l)
		}
	}
	return b.backlogs(ctx, s, report)
}
