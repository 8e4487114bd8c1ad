package revoke_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"postern/internal/lab/pki"
	"postern/internal/policy"
	"postern/internal/policy/revoke"
)

// recorder notes what is dialled and refuses it.
type recorder struct {
	mu     sync.Mutex
	dialed []string
}

func (r *recorder) DialContext(_ context.Context, _, address string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialed = append(r.dialed, address)
	return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
}

func TestAddressesOfOurOwnNetworkAreNotDialled(t *testing.T) {
	for _, c := range []struct {
		addr  string
		allow string
		dials bool
	}{
		{"127.0.0.1", "", false}, {"127.8.8.8", "", false}, {"::1", "", false}, {"::ffff:127.0.0.1", "", false},
		{"10.1.2.3", "", false}, {"172.16.0.1", "", false}, {"192.168.1.1", "", false}, {"fd00::1", "", false},
		{"169.254.169.254", "", false}, {"fe80::1", "", false}, {"fe80::1%eth0", "", false}, {"0.0.0.0", "", false},
		{"::", "", false}, {"100.64.0.1", "", false}, {"224.0.0.1", "", false}, {"ff02::1", "", false},
		{"255.255.255.255", "", false}, {"64:ff9b::7f00:1", "", false}, {"2002:7f00:1::1", "", false},
		{"64:ff9b::a01:203", "", false}, {"64:ff9b::cb00:7109", "", true}, {"203.0.113.9", "", true}, {"2606:4700::1111", "", true},
		{"10.1.2.3", "10.1.0.0/16", true}, {"10.2.2.3", "10.1.0.0/16", false}, {"::ffff:10.1.2.3", "10.1.0.0/16", true},
	} {
		for _, byName := range []bool{false, true} {
			if byName && strings.Contains(c.addr, "%") {
				continue
			}
			bubble(t, func(t *testing.T, w *world) {
				r := &recorder{}
				w.config = func(cfg *revoke.Config) {
					cfg.Dialer, cfg.Dir = r, ""
					cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) {
						return []netip.Addr{netip.MustParseAddr(c.addr)}, nil
					}
					if c.allow != "" {
						cfg.Allow = []netip.Prefix{netip.MustParsePrefix(c.allow)}
					}
				}
				host := "inside.test"
				if !byName {
					host = strings.ReplaceAll(net.JoinHostPort(c.addr, "80"), "%", "%25")
				}
				a := w.ask(w.chain(pki.Options{Intermediates: []pki.Intermediate{}, CRLs: []string{"http://" + host + "/x.crl"}}), nil)
				want(t, a, policy.RevocationNotSaid)
				if got := len(r.dialed) > 0; got != c.dials {
					t.Errorf("%s (allowed %q): dialled %v", c.addr, c.allow, r.dialed)
				}
				if !c.dials && !strings.Contains(a.Detail, "private address") && !strings.Contains(a.Detail, "cannot be used") {
					t.Errorf("%s: %s", c.addr, a.Detail)
				}
			})
		}
	}
}

func TestNeitherProxyNorCredentialsAreUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.77:3128")
	t.Setenv("http_proxy", "http://192.0.2.77:3128")
	bubble(t, func(t *testing.T, w *world) {
		r := &recorder{}
		w.config = func(cfg *revoke.Config) { cfg.Dialer = r }
		w.ask(w.chain(pki.Options{CRLs: []string{"http://user:secret@ca.test/x.crl", subList}}), nil)
		for _, d := range r.dialed {
			if d != "203.0.113.5:80" {
				t.Errorf("dialled %s", d)
			}
		}
		if len(r.dialed) != 2 { // the leaf's good address, the intermediate's
			t.Errorf("dialled %v", r.dialed)
		}
	})
}

func TestAHostileCertificateCausesFewRequests(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var many []string
		for i := range 500 {
			many = append(many, "http://ca.test/"+strings.Repeat("x", i)+"\u202e\n.crl")
		}
		a := w.ask(w.chain(pki.Options{CRLs: many[:60], OCSP: many}), nil)
		want(t, a, policy.RevocationNotSaid)
		if n := w.total(); n > 13 { // four lists, four responders by GET and by POST, the intermediate's list
			t.Errorf("%d requests", n)
		}
		if len(a.Detail) > 2000 || strings.ContainsAny(a.Detail, "\n\u202e") {
			t.Errorf("%d octets: %q", len(a.Detail), a.Detail)
		}
	})
}
