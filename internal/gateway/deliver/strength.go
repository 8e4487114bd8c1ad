package deliver

import (
	"crypto/tls"
	"fmt"
	"slices"

	"postern/internal/policy"
	"postern/internal/smtp"
)

// hybridGroups are those of crypto/tls that are a policy.HybridExchange.
var hybridGroups = []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024}

// narrow takes out of what a handshake offers what a demand on its strength would not let pass afterwards: groups of
// key exchange, and ciphers. The ciphers of TLS 1.3 are not for us to choose: where a server took too weak a one, the
// next handshake offers TLS 1.2 alone (target.stronger).
func narrow(c *tls.Config, t *target) {
	if !t.require.Forced() {
		return
	}
	if t.require.KeyExchange == policy.HybridExchange {
		c.CurvePreferences, c.MinVersion = hybridGroups, max(c.MinVersion, tls.VersionTLS13)
	}
	if t.require.MinBits == 0 {
		return
	}
	weak := func(id uint16) bool { return smtp.CipherBits(id) < t.require.MinBits }
	if c.CipherSuites == nil {
		for _, s := range tls.CipherSuites() {
			c.CipherSuites = append(c.CipherSuites, s.ID)
		}
	}
	c.CipherSuites = slices.DeleteFunc(c.CipherSuites, weak)
	if t.stronger {
		c.MaxVersion = tls.VersionTLS12
	}
}

// tooWeak reports whether a handshake of TLS 1.3 ended with a cipher that is too weak, and one of TLS 1.2, which the
// requirement allows, may end with a better one: servers follow the order of our library, in which the weaker stands
// first.
func (l *ladder) tooWeak(t *target, k *link) bool {
	r := t.require
	if t.stronger || !r.Forced() || k.state.Version < tls.VersionTLS13 || k.evidence.TLS.Bits >= r.MinBits ||
		r.VersionFloor() > tls.VersionTLS12 || r.KeyExchange == policy.HybridExchange {
		return false
	}
	t.stronger = true
	l.tries[k.try].Text = fmt.Sprintf("the server took a cipher of %d bits, and %d are required; a handshake of "+
		"TLS 1.2 with stronger ones follows",
		k.evidence.TLS.Bits, r.MinBits)
	return true
}
