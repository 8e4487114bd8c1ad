package deliver_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"postern/internal/gateway/deliver"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// fails is a Dialer of an address that this machine does not have, or that leads nowhere.
type fails struct {
	call string
	err  error
}

func (f fails) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError(f.call, f.err)}
}

// TestMailLeavesByItsSourceAlone: it comes from the address that the plan says, of the peer's family, or goes nowhere.
func TestMailLeavesByItsSourceAlone(t *testing.T) {
	for name, c := range map[string]struct {
		v4, v6 string
		from   func(w *world) func(netip.Addr) deliver.Dialer
		local  string // "": no connection
		text   string
	}{
		"none":                    {"", "", nil, "192.0.2.1", ""},
		"the other family's":      {"", "2001:db8::5", nil, "192.0.2.1", ""},
		"one":                     {"192.0.2.77", "", memory, "192.0.2.77", ""},
		"one that is not here":    {"192.0.2.77", "", fault("bind", syscall.EADDRNOTAVAIL), "", "from 192.0.2.77"},
		"one without a port left": {"192.0.2.77", "", fault("bind", syscall.EADDRINUSE), "", "from 192.0.2.77"},
		"one that leads nowhere":  {"127.0.0.1", "", fault("connect", syscall.EINVAL), "", "from 127.0.0.1"},
		"a peer that is down":     {"192.0.2.77", "", fault("connect", syscall.ECONNREFUSED), "", "no server listens"},
		"nobody who can":          {"192.0.2.77", "", nil, "", "from 192.0.2.77"},
	} {
		for _, r := range []policy.Requirement{{}, forced} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
				w.plan.Manner.Source.V4, _ = netip.ParseAddr(c.v4)
				w.plan.Manner.Source.V6, _ = netip.ParseAddr(c.v6)
				cfg := deliver.Config{Dialer: w.net.Dialer("192.0.2.1"), SMTP: smtpclient.Config{Hello: "gw.example.test"},
					Roots: func(...string) (map[string]*x509.CertPool, error) { return w.roots, nil }}
				if c.from != nil {
					cfg.From = c.from(w)
				}
				got := w.send(deliver.New(cfg), r)
				if c.local == "" {
					if got.Channel != nil || got.WithoutTLS || !strings.Contains(got.Attempt.Text, c.text) || len(w.partners["192.0.2.10"].Commands()) > 0 {
						t.Errorf("%s: %+v", name, got.Attempt)
					}
					if want := policy.ConnectUnreach; !strings.Contains(c.text, "listens") && got.Attempt.Reason != want {
						t.Errorf("%s: %s, want %s", name, got.Attempt.Reason, want)
					}
					return
				}
				if got.Channel == nil || got.Attempt.Used().Local.String() != c.local {
					t.Errorf("%s: %+v", name, got.Attempt)
				} else if got.Channel.Source() != w.plan.Manner.Source {
					t.Errorf("%s: the channel is from %s", name, got.Channel.Source())
				}
			})
		}
	}
}

func memory(w *world) func(netip.Addr) deliver.Dialer {
	return func(a netip.Addr) deliver.Dialer { return w.net.Dialer(a.String()) }
}

func fault(call string, err error) func(*world) func(netip.Addr) deliver.Dialer {
	return func(*world) func(netip.Addr) deliver.Dialer {
		return func(netip.Addr) deliver.Dialer { return fails{call, err} }
	}
}
