package certcheck

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// MaxCertificates is how many certificates of a handshake are examined. A longer list never passes.
const MaxCertificates = 16

// maxPresented bounds the names kept as evidence.
const maxPresented = 20

// Input is everything an examination depends on. Nothing in it is changed or kept.
type Input struct {
	// Chain is the certificates as the peer sent them, leaf first.
	Chain []*x509.Certificate
	// Client says that the peer is a client of ours, who shows a certificate for a server or for a client, whichever
	// its CA gave it: public ones no longer give the usage clientAuth.
	Client bool
	// Host is the name of the hop that was dialled; zero when the administrator gave an IP address, and of a client.
	Host mail.Domain
	// Domain is the recipients' domain, of a client that of the envelope sender, for demands with Names.Domain.
	Domain mail.Domain
	// Demands are what policy.Requirement.ChainDemands returned. Each is examined, whatever the others say.
	Demands []policy.PeerDemand
	// Roots has the trusted roots for each PeerDemand.Trust. A missing pool trusts nothing, and is
	// our own fault: policy.PolicyUnavailable, whatever else the chain lacks.
	Roots map[string]*x509.CertPool
	// Now is the time of the examination. The zero time is read as 1970, at which nothing is valid yet.
	Now time.Time
}

// Examine returns evidence with Chain, Peers, Expected and Presented filled; the caller adds the rest. It is safe for
// concurrent use, costs well under a second for the worst of chains, and never returns a demand unexamined.
func Examine(in Input) policy.Evidence {
	in.Now = instant(in.Now)
	e := policy.Evidence{Peers: make(map[string]policy.Proof, len(in.Demands))}
	for _, c := range in.Chain[:min(len(in.Chain), MaxCertificates)] {
		e.Chain = append(e.Chain, Facts(c))
	}
	if len(in.Chain) > 0 {
		e.Presented = presented(in.Chain[0], maxPresented)
	}
	trusts := make(map[string]trust)
	for _, d := range in.Demands {
		for _, name := range in.reference(d.Names).expected() {
			if !slices.Contains(e.Expected, name) {
				e.Expected = append(e.Expected, name)
			}
		}
		e.Peers[d.Key()] = in.examine(d, trusts)
	}
	return e
}

// reference is the set of names that a demand expects.
func (in *Input) reference(n policy.Names) reference {
	r := newReference(n, in.Host, in.Domain)
	if in.Client && n.Domain && r.why != "" {
		r.why = "the sender has no domain that a certificate could name"
	}
	return r
}

// side is what the peer is.
func side(client bool) string {
	if client {
		return "client"
	}
	return "server"
}

// instant is the time of an examination: never zero, which the library reads as the clock, and in whole seconds, in
// which validity is counted (RFC 5280 §4.1.2.5).
func instant(t time.Time) time.Time {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return t.UTC().Truncate(time.Second)
}

// examine examines one demand. Chains are examined once for each pool, kept in trusts.
func (in *Input) examine(d policy.PeerDemand, trusts map[string]trust) policy.Proof {
	if len(in.Chain) == 0 {
		return policy.Proof{Shortfalls: []policy.Shortfall{{
			Reason: policy.CertUntrusted, Text: "the " + side(in.Client) + " presented no certificate"}}}
	}
	t, done := trusts[d.Trust]
	if !done {
		t = in.examineTrust(d.Trust)
		trusts[d.Trust] = t
	}
	out := slices.Clone(t.shortfalls)
	if s, ok := in.reference(d.Names).check(in.Chain[0]); !ok && !slices.Contains(out, s) {
		out = append(out, s)
	}
	if s, ok := checkPins(d.Pins, t.chains); !ok {
		out = append(out, s)
	}
	return policy.Proof{Shortfalls: out}
}

// Chains returns the chains on which the proof of demand d rests, leaf first and root last: without a fault, and with
// one of the pinned keys where d pins some. There are none where the chain or the pins fall short; names are not looked
// at.
func Chains(in Input, d policy.PeerDemand) [][]*x509.Certificate {
	if len(in.Chain) == 0 {
		return nil
	}
	in.Now = instant(in.Now)
	t := in.examineTrust(d.Trust)
	if len(t.shortfalls) > 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(t.chains), func(c []*x509.Certificate) bool {
		_, ok := checkPins(d.Pins, [][]*x509.Certificate{c})
		return !ok
	})
}

// checkPins asks for one of the pinned keys in one of the chains.
func checkPins(pins []string, chains [][]*x509.Certificate) (policy.Shortfall, bool) {
	if len(pins) == 0 {
		return policy.Shortfall{}, true
	}
	var found []string
	for _, chain := range chains {
		for _, c := range chain {
			key := "sha256:" + spki(c)
			if slices.ContainsFunc(pins, func(pin string) bool { return strings.EqualFold(pin, key) }) {
				return policy.Shortfall{}, true
			}
			if !slices.Contains(found, key) {
				found = append(found, key)
			}
		}
	}
	return policy.Shortfall{Reason: policy.PinMismatch, Text: fmt.Sprintf(
		"none of the pinned keys (%s) is in the chain, whose keys are %s", list(pins, "none"),
		list(found, "none"))}, false
}

// spki is the hex digest of the public key info, the form of pins.
func spki(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Facts returns what people ask about a certificate. Its texts are bounded and escaped.
func Facts(c *x509.Certificate) policy.Certificate {
	sum := sha256.Sum256(c.Raw)
	return policy.Certificate{
		Subject:   subject(c),
		Issuer:    issuer(c),
		NotBefore: c.NotBefore.UTC(),
		NotAfter:  c.NotAfter.UTC(),
		SHA256:    hex.EncodeToString(sum[:]),
		SPKI:      spki(c),
		Key:       keyName(c),
		Signature: c.SignatureAlgorithm.String(),
		DNSNames:  presented(c, maxPresented),
		Raw:       c.Raw,
	}
}
