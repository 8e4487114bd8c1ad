package intake_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/intake"
)

// beside is the others of a gateway that is cut off from them when the test says so.
type beside struct {
	dead, behind atomic.Bool
	begun, ended atomic.Int32
}

func (b *beside) Live() bool { return !b.dead.Load() }

func (b *beside) Begin(context.Context) (func(), error) {
	if b.dead.Load() || b.behind.Load() {
		return nil, errors.New("not now")
	}
	b.begun.Add(1)
	return func() { b.ended.Add(1) }, nil
}

// TestAGatewayThatMayTakeNoMailAnswers451, at MAIL and for what was in DATA already, and takes mail again by itself.
func TestAGatewayThatMayTakeNoMailAnswers451(t *testing.T) {
	const mail, rcpt, text = "MAIL FROM:<a@far.test>", "RCPT TO:<x@example.test>", "Subject: x\r\n\r\nx\r\n."
	for name, c := range map[string]struct {
		before func(b *beside) // MAIL
		during func(b *beside) // after 354
		codes  string
	}{
		"all is well":                 {nil, nil, "250 250 354 250"},
		"cut off before MAIL":         {func(b *beside) { b.dead.Store(true) }, nil, "451 503 503"},
		"cut off during DATA":         {nil, func(b *beside) { b.dead.Store(true) }, "250 250 354 451"},
		"newer rules cannot be read":  {nil, func(b *beside) { b.behind.Store(true) }, "250 250 354 451"},
		"behind at MAIL is no reason": {func(b *beside) { b.behind.Store(true) }, func(b *beside) { b.behind.Store(false) }, "250 250 354 250"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &beside{}
				w := newWorld(t, "", "")
				w.reload(func(cfg *intake.Config) { cfg.Others = b })
				s := w.come("198.51.100.7")
				if c.before != nil {
					c.before(b)
				}
				got := codes(s, mail, rcpt, "DATA")
				if got == "250 250 354" {
					if c.during != nil {
						c.during(b)
					}
					got += " " + codes(s, text)
				}
				if got != c.codes {
					t.Errorf("%s, want %s", got, c.codes)
				}
				b.dead.Store(false)
				b.behind.Store(false)
				time.Sleep(time.Second) // for another id
				if again := codes(s, "RSET", mail, rcpt, "DATA", text); again != "250 250 250 354 250" {
					t.Errorf("afterwards %s", again)
				}
				s.Close()
				w.close()
				if b.begun.Load() != b.ended.Load() || b.begun.Load() == 0 {
					t.Errorf("%d judgements began, %d ended", b.begun.Load(), b.ended.Load())
				}
			})
		})
	}
}
