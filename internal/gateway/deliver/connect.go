package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// connect opens one connection to t at the highest rung not yet failed there. It returns false when nothing more can be
// done at t for this goal; true with t.parked nil means that a handshake failed and a lower rung is left to try.
func (l *ladder) connect(ctx context.Context, t *target, goal policy.Level) bool {
	rung := l.rung(t, goal)
	if rung == "" {
		return false
	}
	if !l.admitted(t) {
		t.dead = true
		return false
	}
	start := time.Now()
	l.note(attempt.Try{At: start, Host: t.hop.Host.String(), IP: t.addr, Port: t.hop.Port, Rung: rung,
		Published: t.hop.Published})
	index := len(l.tries) - 1
	defer func() {
		l.tries[index].TookMS = time.Since(start).Milliseconds()
		l.observe(index)
	}()

	conn, ok := l.greet(ctx, t, index)
	if !ok {
		t.dead = true
		return false
	}
	k := &link{conn: conn, hop: t.hop, addr: t.addr, plan: l.plan, try: index, used: time.Now()}
	if rung == attempt.Plain {
		t.parked = k
		return true
	}
	return l.encrypt(ctx, t, k, rung)
}

// admitted asks whether t may be dialled now.
func (l *ladder) admitted(t *target) bool {
	if l.admit == nil {
		return true
	}
	ok := l.admit(t.hop.Host, t.addr)
	l.dialled = l.dialled || ok
	l.refused = l.refused || !ok
	return ok
}

// rung returns the next rung for t at a goal, "" if there is none.
func (l *ladder) rung(t *target, goal policy.Level) attempt.Rung {
	tlsRung := t.next
	if tlsRung == attempt.Legacy && !l.legacyAllowed(t, goal) {
		tlsRung = ""
	}
	if tlsRung == "" && goal == policy.Plaintext && !t.require.Forced() {
		return attempt.Plain
	}
	return tlsRung
}

// legacyAllowed: TLS below 1.2 serves authenticated mail only where the rule says so, and other mail where plaintext
// would be next and the configuration has not turned the rung off.
func (l *ladder) legacyAllowed(t *target, goal policy.Level) bool {
	if goal == policy.Authenticated {
		return t.require.Floor() < tls.VersionTLS12
	}
	return l.d.cfg.Legacy && t.require.MinTLS < tls.VersionTLS12
}

// greet dials and comes as far as the answer to EHLO. On failure the try says why.
func (l *ladder) greet(ctx context.Context, t *target, index int) (*smtpclient.Conn, bool) {
	dialCtx, cancel := context.WithTimeout(ctx, l.d.cfg.ConnectTimeout)
	defer cancel()
	at := netip.AddrPortFrom(t.addr, t.hop.Port)
	nc, err := l.d.dial(dialCtx, l.plan, at)
	if err != nil {
		if cause := context.Cause(dialCtx); cause != nil {
			err = cause // a cancellation may say that the time ran out
		}
		l.tries[index].Reason, l.tries[index].Text = dialFailure(err, at.String())
		return nil, false
	}
	l.tries[index].Local = localOf(nc)
	conn := smtpclient.New(nc, l.d.smtp(l.plan, at))
	if _, err = conn.Greet(ctx); err == nil {
		err = conn.Hello(ctx)
	}
	if err != nil {
		l.fail(index, err)
		_ = conn.Close()
		return nil, false
	}
	t.answered = true
	offered := conn.Extensions()
	l.tries[index].Offer = &attempt.Offer{StartTLS: offered.StartTLS, Keywords: offered.Raw}
	return conn, true
}

// localOf is the address of ours that a connection has; none where it is no connection of the network.
func localOf(nc net.Conn) netip.Addr {
	addr, ok := nc.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return addr.AddrPort().Addr().Unmap().WithZone("")
}

// dialFailure names why a connection could not be opened.
func dialFailure(err error, address string) (policy.Reason, string) {
	var ne net.Error
	if fault, ok := errors.AsType[*sourceFault](err); ok {
		return policy.ConnectUnreach, fault.Error()
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return policy.ConnectRefused, "no server listens at " + address
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return policy.ConnectTimeout, "no answer from " + address
	}
	return policy.ConnectUnreach, "no way to reach " + address
}

// fail records an error of the engine in a try.
func (l *ladder) fail(index int, err error) {
	try := &l.tries[index]
	var e *smtpclient.Error
	if !errors.As(err, &e) {
		try.Reason, try.Text = policy.RemoteClosed, "the connection broke"
		return
	}
	try.Reason, try.Text, try.Remote, try.Alert = e.Reason, sentence(e), e.Remote, e.Alert
	if e.Reply != nil {
		try.Remote = e.Reply.String()
	}
}

// sentence says an engine's error in our own words; the peer's stand in Try.Remote.
func sentence(e *smtpclient.Error) string {
	text := strings.TrimSuffix(e.Reason.Info().Text, ".")
	if text == "" {
		text = e.Kind.String()
	}
	return text + " (at " + string(e.Phase) + ")"
}

// encrypt asks for STARTTLS and examines what the handshake proved. The link is parked, with or without TLS, or a
// handshake failed and t.next is lower.
func (l *ladder) encrypt(ctx context.Context, t *target, k *link, rung attempt.Rung) bool {
	offered := k.conn.Extensions()
	if !offered.StartTLS {
		l.notOffered(t, k, offered.Masked)
		return true
	}
	t.offered = true
	state, err := l.handshake(ctx, k, l.d.profile(l.site, t, rung))
	if refused(err) {
		l.fail(k.try, err)
		l.tries[k.try].Reason = policy.StartTLSRefused
		t.parked = k
		return true
	}
	if err == nil {
		k.state = state
		l.d.examine(ctx, k, t.require)
		err = k.conn.Hello(ctx)
	}
	if err != nil {
		l.broken(t, k, rung, err)
		return true
	}
	k.heard()
	k.used = time.Now()
	l.d.lookUp(ctx, k, t.require, l.d.cfg.RevocationTimeout)
	return l.proven(t, k)
}

// handshake may take half of the time left, so that one that hangs leaves time for a lower rung.
func (l *ladder) handshake(ctx context.Context, k *link, profile *tls.Config) (*tls.ConnectionState, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	return k.conn.StartTLS(ctx, profile)
}

// proven records the evidence of a finished handshake and parks the link. A resumed session that proves less than the
// ladder aims at says nothing about the certificate of today: it is forgotten and a full handshake made.
func (l *ladder) proven(t *target, k *link) bool {
	top := t.require.Raised(goals(l.require)[0])
	if k.state.DidResume && len(policy.Verdict(top, k.evidence)) > 0 {
		t.fresh = true
		k.quit()
		l.tries[k.try].Text = "a resumed session proved less than is needed; a full handshake follows"
		return true
	}
	if l.tooWeak(t, k) {
		k.quit()
		return true
	}
	l.noteChanged(k)
	try := &l.tries[k.try]
	evidence := k.evidence // the link's own is made anew when it is judged again
	try.Evidence = &evidence
	try.Reached, try.ProvedBy = k.evidence.Reached(t.require), k.evidence.ProvedBy(t.require)
	try.Shortfalls = policy.Verdict(t.require.Raised(policy.Authenticated), k.evidence)
	t.parked = k
	return true
}

func (l *ladder) notOffered(t *target, k *link, masked bool) {
	try := &l.tries[k.try]
	try.Reason, try.Text = policy.StartTLSNotOffered, "the server does not offer STARTTLS"
	switch known := l.d.missing(t); {
	case masked:
		t.stripped = true
		try.Reason, try.Text = policy.StartTLSStripped,
			"STARTTLS was masked in the server's answer to EHLO, as firewalls that rewrite SMTP do"
	case !known.Offered.IsZero():
		t.stripped = true
		try.Reason, try.Text = policy.StartTLSStripped, "the server does not offer STARTTLS, and did on "+
			known.Offered.UTC().Format(time.DateOnly)
	}
	t.parked = k
}

// broken records a failed handshake; the TCP connection is dead with it.
func (l *ladder) broken(t *target, k *link, rung attempt.Rung, err error) {
	l.fail(k.try, err)
	if k.state != nil {
		evidence := k.evidence
		l.tries[k.try].Evidence = &evidence
	}
	_ = k.conn.Close()
	var e *smtpclient.Error
	if errors.As(err, &e) && e.ClientCertificate && !t.anonymous && l.d.cfg.Certificate != nil {
		t.anonymous = true // once more at the same rung, without our certificate
		return
	}
	t.next = lower(rung, l.tries[k.try].Reason)
}

// lower is the rung below, skipping what the reason shows to be useless.
func lower(rung attempt.Rung, why policy.Reason) attempt.Rung {
	switch {
	case rung == attempt.Modern && why != policy.TLSVersion:
		return attempt.Classical
	case rung == attempt.Modern, rung == attempt.Classical:
		return attempt.Legacy
	}
	return ""
}

// refused reports whether the server answered STARTTLS with a refusal, so that the connection is still good.
func refused(err error) bool {
	var e *smtpclient.Error
	return errors.As(err, &e) && e.Kind == smtpclient.Refused
}
