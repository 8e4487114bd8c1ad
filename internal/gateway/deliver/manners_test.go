package deliver

import (
	"net/netip"
	"testing"
	"time"

	"postern/internal/smtp/smtpclient"
)

func TestAServerIsSpokenToPlainlyForADay(t *testing.T) {
	var m manners
	a, b := netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("192.0.2.2:25")
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	m.note(a, smtpclient.DSN, now)
	m.note(a, smtpclient.Size, now.Add(time.Hour))
	m.note(b, 0, now)
	for _, c := range []struct {
		server netip.AddrPort
		after  time.Duration
		want   smtpclient.Feature
	}{{a, 2 * time.Hour, smtpclient.DSN | smtpclient.Size}, {b, 2 * time.Hour, 0}, {a, 26 * time.Hour, 0}, {a, time.Hour, 0}} {
		if got := m.of(c.server, now.Add(c.after)); got != c.want {
			t.Errorf("%v after %v: %q, want %q", c.server, c.after, got, c.want)
		}
	}
	for i := range maxPlain + 10 {
		m.note(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 25), smtpclient.DSN, now)
	}
	if len(m.plain) != maxPlain {
		t.Errorf("%d servers are remembered", len(m.plain))
	}
}
