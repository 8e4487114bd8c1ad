package deliver

import (
	"net/netip"
	"time"

	"postern/internal/attempt"
	"postern/internal/history/peers"
	"postern/internal/policy"
)

// missing asks what is remembered of a target that has no TLS now.
func (d *Deliverer) missing(t *target) peers.Stand {
	if d.cfg.Memory == nil {
		return peers.Stand{}
	}
	return d.cfg.Memory.Missing(t.hop.Host.String(), netip.AddrPortFrom(t.addr, t.hop.Port))
}

// held reports whether the ratchet keeps this mail from going in plaintext, and names the try because of which. One
// host that lost its TLS holds the whole destination: whoever can take STARTTLS out of one conversation can make
// another host the only one that answers. A host that could not be reached lost nothing; one that demands TLS itself
// and has none did.
func (l *ladder) held() bool {
	for _, t := range l.targets {
		if !t.answered || t.dead && !t.bare {
			continue
		}
		until := l.d.missing(t).HoldUntil
		if until.IsZero() {
			continue
		}
		if try := l.last(t); try != nil {
			if try.Reason == "" {
				try.Reason = policy.StartTLSStripped
			}
			try.Text += "; it always had TLS before, so the ratchet lets nothing go in plaintext until " +
				until.UTC().Format(time.RFC3339)
			l.ratchet = try
			return true
		}
	}
	return false
}

// last is the newest try at a target that says what fell short.
func (l *ladder) last(t *target) *attempt.Try {
	for i := len(l.tries) - 1; i >= 0; i-- {
		try := &l.tries[i]
		if try.IP == t.addr && try.Port == t.hop.Port && try.Host == t.hop.Host.String() && try.Offer != nil {
			return try
		}
	}
	return nil
}
