package deliver

import (
	"net/netip"
	"sync"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/smtp/smtpclient"
)

// manners remembers which features a server offered and then refused, so that the next message there is not refused
// first. It says nothing about trust and takes no protection away. The zero value is ready; safe for concurrent use.
type manners struct {
	mu    sync.Mutex
	plain map[netip.AddrPort]plain
}

type plain struct {
	features smtpclient.Feature
	until    time.Time
}

// A server is spoken to plainly for plainFor; of at most maxPlain servers that is remembered.
const (
	plainFor = 24 * time.Hour
	maxPlain = 10_000
)

// of is what is not said to a server at now.
func (m *manners) of(server netip.AddrPort, now time.Time) smtpclient.Feature {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.plain[server]
	if !ok {
		return 0
	}
	if !now.Before(p.until) {
		delete(m.plain, server)
		return 0
	}
	return p.features
}

// note adds features that a server refused.
func (m *manners) note(server netip.AddrPort, f smtpclient.Feature, now time.Time) {
	if f == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.plain == nil {
		m.plain = make(map[netip.AddrPort]plain)
	}
	if len(m.plain) >= maxPlain {
		for old := range m.plain { // any: it is learnt again at the price of a round trip
			delete(m.plain, old)
			break
		}
	}
	m.plain[server] = plain{m.plain[server].features | f, now.Add(plainFor)}
}

// smtp is how the engine speaks to a server of a plan.
func (d *Deliverer) smtp(plan *route.Plan, server netip.AddrPort) smtpclient.Config {
	cfg := d.cfg.SMTP
	cfg.Without |= d.manners.of(server, time.Now())
	for _, keyword := range plan.Manner.Without {
		f, _ := smtpclient.ParseFeature(keyword) // checked with the configuration
		cfg.Without |= f
	}
	cfg.KeepSigned = plan.Manner.Signed == route.Bounce
	return cfg
}
