package deliver

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/attempt"
	"postern/internal/policy"
)

// classicalGroups fit a ClientHello into one segment.
var classicalGroups = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// profile is the TLS configuration of a rung. Certificates are not verified in the handshake but examined right after
// it, before any mail command (decision 1), so verification here is off on purpose.
func (d *Deliverer) profile(site string, t *target, rung attempt.Rung) *tls.Config {
	c := &tls.Config{
		MinVersion:         max(tls.VersionTLS12, t.require.MinTLS),
		InsecureSkipVerify: true,
		ServerName:         serverName(t),
	}
	if rung != attempt.Modern {
		c.CurvePreferences = classicalGroups
	}
	if rung == attempt.Legacy {
		c.MinVersion = max(tls.VersionTLS10, t.require.MinTLS)
		c.CipherSuites = everySuite(t.require.Forced())
	}
	narrow(c, t)
	if !t.fresh {
		at := netip.AddrPortFrom(t.addr, t.hop.Port)
		c.ClientSessionCache = siteCache{d.sessions, site + "|" + at.String() + "|" + t.require.Key()}
	}
	if d.cfg.Certificate != nil {
		c.GetClientCertificate = d.presentation(t.anonymous)
	}
	return c
}

// presentation answers a server's request for a certificate: with ours, or with none.
func (d *Deliverer) presentation(anonymous bool) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert := d.cfg.Certificate(); cert != nil && !anonymous {
			return cert, nil
		}
		return &tls.Certificate{}, nil
	}
}

// serverName is the name for SNI: the host dialled, nothing for an address (RFC 6066 §3). Where TLSA records are to
// prove the peer it is the name that they are of (RFC 7672 §8.1), and for mail that demands nothing too where they are
// only observed.
func serverName(t *target) string {
	byTLSA := slices.ContainsFunc(t.require.Peer, func(d policy.PeerDemand) bool { return !d.OnChain() })
	if len(t.hop.Bases) > 0 && (byTLSA || !t.require.Forced()) {
		return t.hop.Bases[0].String()
	}
	if _, literal := t.hop.Host.Literal(); literal {
		return ""
	}
	return t.hop.Host.String()
}

// everySuite lists what crypto/tls can do. For mail that must be protected it leaves out ciphers that are broken.
func everySuite(forced bool) []uint16 {
	var out []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if broken := strings.Contains(s.Name, "_RC4_") || strings.Contains(s.Name, "_3DES_"); !broken || !forced {
			out = append(out, s.ID)
		}
	}
	return out
}

// siteCache keeps one site's sessions with one address, and what was demanded of it, apart from all others, so that a
// ticket never serves another requirement than the one it was examined for.
type siteCache struct {
	tls.ClientSessionCache
	prefix string
}

// Get returns a session of this site.
func (c siteCache) Get(key string) (*tls.ClientSessionState, bool) {
	return c.ClientSessionCache.Get(c.prefix + "|" + key)
}

// Put keeps a session of this site.
func (c siteCache) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(c.prefix+"|"+key, s)
}
