package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/route"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// Look is what one connection at one rung showed, step by step, for people who want more than a verdict. It never
// carries mail: Deliverer.Look closes the connection before it returns, so that no Look can stand in for a Channel.
// Texts of the peer are escaped and bounded.
type Look struct {
	Rung attempt.Rung
	// Steps are those that were done, in order; the last is the one that failed where Reason is set.
	Steps []Step
	// Greeting is the peer's first reply.
	Greeting string
	// Offered are the lines of EHLO before TLS, Inside those of EHLO inside TLS.
	Offered, Inside []string
	// StartTLS says that STARTTLS was offered, Masked that a middlebox seems to rewrite the session.
	StartTLS, Masked bool
	// Asked says that the server asked for a client certificate.
	Asked bool
	// Chain is the certificates as sent, leaf first; Evidence what they prove under the requirement. Both are nil
	// where no handshake completed.
	Chain    []*x509.Certificate
	Evidence *policy.Evidence
	// Reason says why the connection did not come to its end, "" when it did; the other texts are as in attempt.Try.
	Reason              policy.Reason
	Text, Remote, Alert string
}

// Step is one step of a Look and the time it took.
type Step struct {
	Name string
	Took time.Duration
}

// The names of steps.
const (
	StepConnect  = "connect"
	StepGreeting = "greeting"
	StepHello    = "ehlo"
	StepTLS      = "tls" // STARTTLS and the handshake
	StepInside   = "ehlo-inside-tls"
)

// Look connects to addr, an address of one of the hops of plan, at a rung, and tells what it sees: the same dial, the
// same profile and the same examination as Open uses under r. alter, where it is not nil, changes the profile before
// the handshake. At rung Plain no TLS is tried.
func (d *Deliverer) Look(ctx context.Context, plan *route.Plan, hop *route.Hop, addr netip.Addr, r policy.Requirement,
	rung attempt.Rung, alter func(*tls.Config)) *Look {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Budget)
	defer cancel()
	v := &viewing{Look: &Look{Rung: rung}}
	at := netip.AddrPortFrom(addr, hop.Port)
	nc, err := v.dial(ctx, d, plan, at)
	if err != nil {
		return v.Look
	}
	k := &link{conn: smtpclient.New(nc, d.smtp(plan, at)), hop: hop, addr: addr, plan: plan}
	defer k.quit()
	profile := d.Profile(hop, r, rung)
	profile.GetClientCertificate = v.asked(profile.GetClientCertificate)
	if alter != nil {
		alter(profile)
	}
	err = v.hello(ctx, k)
	if err == nil && v.StartTLS && rung != attempt.Plain {
		err = v.encrypt(ctx, d, k, r, profile)
	}
	if err != nil {
		v.fail(err)
	}
	return v.Look
}

// Profile is the TLS configuration with which a rung of r is tried at a hop, without a session to resume. Certificates
// are not verified in the handshake.
func (d *Deliverer) Profile(hop *route.Hop, r policy.Requirement, rung attempt.Rung) *tls.Config {
	return d.profile("", &target{hop: hop, require: r.With(hop.Demand()), fresh: true}, rung)
}

// viewing fills a Look.
type viewing struct{ *Look }

// step does something and notes how long it took.
func (v *viewing) step(name string, do func() error) error {
	start := time.Now()
	err := do()
	v.Steps = append(v.Steps, Step{name, time.Since(start)})
	return err
}

func (v *viewing) dial(ctx context.Context, d *Deliverer, plan *route.Plan, at netip.AddrPort) (
	nc net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ConnectTimeout)
	defer cancel()
	err = v.step(StepConnect, func() (err error) {
		nc, err = d.dial(ctx, plan, at)
		return err
	})
	if err != nil {
		v.Reason, v.Text = dialFailure(err, at.String())
	}
	return nc, err
}

func (v *viewing) hello(ctx context.Context, k *link) error {
	err := v.step(StepGreeting, func() error {
		reply, err := k.conn.Greet(ctx)
		if reply.Code > 0 {
			v.Greeting = reply.String()
		}
		return err
	})
	if err != nil {
		return err
	}
	err = v.step(StepHello, func() error { return k.conn.Hello(ctx) })
	ext := k.conn.Extensions()
	v.Offered, v.StartTLS, v.Masked = ext.Raw, ext.StartTLS, ext.Masked
	return err
}

func (v *viewing) encrypt(ctx context.Context, d *Deliverer, k *link, r policy.Requirement, profile *tls.Config) error {
	err := v.step(StepTLS, func() (err error) {
		k.state, err = k.conn.StartTLS(ctx, profile)
		return err
	})
	if err != nil {
		return err
	}
	d.examine(ctx, k, r)
	v.Chain, v.Evidence = k.state.PeerCertificates, &k.evidence
	err = v.step(StepInside, func() error { return k.conn.Hello(ctx) })
	v.Inside = k.conn.Extensions().Raw
	k.heard()
	return err
}

// chooser answers a server that asks for a certificate, as in tls.Config.
type chooser = func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

// asked notes that the server asked for a certificate, and answers as choose does.
func (v *viewing) asked(choose chooser) chooser {
	return func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		v.Asked = true
		if choose == nil {
			return &tls.Certificate{}, nil
		}
		return choose(info)
	}
}

// fail says why the connection did not come to its end, as a try of the ladder would.
func (v *viewing) fail(err error) {
	l := ladder{tries: make([]attempt.Try, 1)}
	l.fail(0, err)
	try := &l.tries[0]
	if refused(err) && v.Steps[len(v.Steps)-1].Name == StepTLS {
		try.Reason = policy.StartTLSRefused
	}
	v.Reason, v.Text, v.Remote, v.Alert = try.Reason, try.Text, try.Remote, try.Alert
}
