package examiner

import (
	"context"
	"crypto/tls"
	"math"
	"net/netip"
	"time"

	"postern/internal/attempt"
	"postern/internal/check"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
)

// viewer looks at one address in several ways. The requirement names what certificates are held against and demands
// nothing of the channel, so that every rung can be looked at.
type viewer struct {
	c       *Checker
	plan    *route.Plan
	hop     *route.Hop
	ip      netip.Addr
	require policy.Requirement
}

func (v *viewer) open(ctx context.Context, rung attempt.Rung, alter func(*tls.Config)) *deliver.Look {
	return v.c.deliverer.Look(ctx, v.plan, v.hop, v.ip, v.require, rung, alter)
}

// look tells what one connection shows.
func (v *viewer) look(ctx context.Context, rung attempt.Rung) *check.Look {
	seen := v.open(ctx, rung, nil)
	l := &check.Look{Rung: rung, Greeting: seen.Greeting, Offered: seen.Offered, StartTLS: seen.StartTLS,
		Masked: seen.Masked,
		Inside: seen.Inside, Asked: seen.Asked, Reason: seen.Reason, Text: seen.Text, Remote: seen.Remote,
		Alert: seen.Alert}
	for _, s := range seen.Steps {
		l.Steps = append(l.Steps, check.Step{Name: s.Name, TookMS: milliseconds(s.Took)})
	}
	if e := seen.Evidence; e != nil {
		l.TLS, l.Chain, l.Expected = e.TLS, e.Chain, e.Expected
	}
	return l
}

// facts is the TLS of a look, nil where no handshake completed.
func facts(seen *deliver.Look) *mail.TLS {
	if seen.Evidence == nil {
		return nil
	}
	return seen.Evidence.TLS
}

// milliseconds is d with one decimal.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}
