package check

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"

	"postern/internal/history/peers"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/smtp"
)

// Own is a chain of our own, as partners see it.
type Own struct {
	Kind string `json:"kind"` // OwnServer or OwnClient
	File string `json:"file"`
	// Chain is what is sent, leaf first; Root is the trusted root it leads to, nil where it leads to none we know.
	Chain []policy.Certificate `json:"chain"`
	Root  *policy.Certificate  `json:"root,omitempty"`
	// Warnings say what partners may stumble over, or soon will.
	Warnings []policy.Shortfall `json:"warnings,omitempty"`
	// EndsAt is when the first certificate of the chain runs out; Step is the most urgent warning of that, as for
	// partners' certificates: 30, 14, 7 or 1 days, 0 where none is due.
	EndsAt time.Time `json:"ends_at"`
	Step   int       `json:"expiry_step,omitempty"`

	root *x509.Certificate
}

// RootCertificate is the root itself, nil where it is not known.
func (o *Own) RootCertificate() *x509.Certificate { return o.root }

// The kinds of our own certificates.
const (
	OwnServer = "server" // shown to clients
	OwnClient = "client" // shown to servers that ask for one
)

// LookAtOwn judges a chain of ours against the public roots, as a partner would who expects host in it. A zero host is
// expected by nobody. early is how long before its end a certificate is warned of.
func LookAtOwn(kind string, chain []*x509.Certificate, host mail.Domain, roots *x509.CertPool, now time.Time,
	early time.Duration) Own {
	demand := policy.PublicDemand()
	evidence := certcheck.Examine(certcheck.Input{Chain: chain, Host: host, Demands: []policy.PeerDemand{demand},
		Roots: map[string]*x509.CertPool{policy.PublicTrust: roots}, Now: now})
	o := Own{Kind: kind, Chain: evidence.Chain}
	for _, s := range evidence.Peers[demand.Key()].Shortfalls {
		nameless := s.Reason == policy.CertNameMismatch && host.IsZero()
		forClients := s.Reason == policy.CertUsage && kind == OwnClient // it was judged as a server's
		if !nameless && !forClients {
			o.Warnings = append(o.Warnings, o.published(s, chain))
		}
	}
	for i, c := range chain {
		if o.EndsAt.IsZero() || c.NotAfter.Before(o.EndsAt) {
			o.EndsAt = c.NotAfter.UTC()
		}
		if left := c.NotAfter.Sub(now); left > 0 && left < early {
			step := peers.Step(left)
			if o.Step == 0 || step > 0 && step < o.Step {
				o.Step = step
			}
			o.Warnings = append(o.Warnings, policy.Shortfall{Reason: policy.CertExpired,
				Text: fmt.Sprintf("%s %s%s", ownPlace(o.Chain, i), Ends(left, c.NotAfter), urgency(step))})
		}
	}
	o.order(chain)
	o.findRoot(chain, roots, now)
	return o
}

// Ends says when a certificate runs out of which so much time is left: "ends in 12 days, at 2026-12-10T12:00:00Z".
func Ends(left time.Duration, at time.Time) string {
	in := "within two days"
	if days := int(left / (24 * time.Hour)); days > 1 {
		in = fmt.Sprintf("in %d days", days)
	}
	return "ends " + in + ", at " + at.UTC().Format(time.RFC3339)
}

// urgency is what to do about a certificate that runs out, at each step more plainly.
func urgency(step int) string {
	return map[int]string{
		30: ": plan its renewal",
		14: ": renew it this week",
		7:  ": renew it now; partners that insist on a valid certificate send nothing after that",
		1:  ": renew it at once, today; partners that insist on a valid certificate send nothing after that",
	}[step]
}

// published adds to a chain without the issuer's certificate where the issuer says it is to be had (RFC 5280 §4.2.2.1).
func (o *Own) published(s policy.Shortfall, chain []*x509.Certificate) policy.Shortfall {
	if s.Reason != policy.CertIncompleteChain || len(chain) == 0 {
		return s
	}
	if urls := chain[len(chain)-1].IssuingCertificateURL; len(urls) > 0 {
		s.Text += "; the issuer publishes it at " + smtp.Printable(urls[0], 200)
	}
	return s
}

func ownPlace(chain []policy.Certificate, i int) string {
	if i == 0 {
		return "the certificate"
	}
	if i < len(chain) {
		return "the certificate " + chain[i].Subject
	}
	return "a certificate further up"
}

// order warns of a chain that some partners cannot put together (RFC 5246 §7.4.2: each certifies the one before it).
func (o *Own) order(chain []*x509.Certificate) {
	for i := 1; i < len(chain); i++ {
		if !bytes.Equal(chain[i-1].RawIssuer, chain[i].RawSubject) {
			o.Warnings = append(o.Warnings, policy.Shortfall{Reason: policy.CertIncompleteChain,
				Text: fmt.Sprintf("the file is not in order: certificate %d does not issue certificate %d before "+
					"it, and some partners give up there", i+1, i)})
			return
		}
	}
}

// findRoot names the root of a chain that verifies, whatever the clock says about the leaf.
func (o *Own) findRoot(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) {
	if len(chain) == 0 || roots == nil {
		return
	}
	above := x509.NewCertPool()
	for _, c := range chain[1:] {
		above.AddCert(c)
	}
	if now.After(chain[0].NotAfter) || now.Before(chain[0].NotBefore) {
		now = chain[0].NotBefore
	}
	found, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return
	}
	o.root = found[0][len(found[0])-1]
	facts := certcheck.Facts(o.root)
	o.Root = &facts
}
