package examiner

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern/internal/check"
	"postern/internal/gateway/route"
	"postern/internal/policy"
)

// teller tells one check's progress.
type teller struct {
	mu    sync.Mutex
	tell  func(check.Progress)
	start time.Time
}

func (t *teller) say(p check.Progress) {
	if t.tell == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.AfterMS = time.Since(t.start).Milliseconds()
	t.tell(p)
}

// plan tells which hosts DNS or a route names.
func (t *teller) plan(plan *route.Plan, problem *route.Problem, d *check.DNS) {
	if problem != nil {
		t.say(check.Progress{Step: "dns", Reason: problem.Reason, Text: problem.Text})
		return
	}
	var names []string
	for i := range plan.Hops {
		hop := &plan.Hops[i]
		names = append(names, hop.Host.String())
		if hop.Problem != nil {
			t.say(check.Progress{Step: "dns", Host: hop.Host.String(), Reason: hop.Problem.Reason,
				Text: hop.Problem.Text})
		}
	}
	text := "mail goes to " + strings.Join(names, ", ")
	if d != nil && d.Signed {
		text += "; DNS is signed"
	}
	t.say(check.Progress{Step: "dns", Good: true, Text: text})
}

// begins tells that an address is examined.
func (t *teller) begins(hop *route.Hop, ip netip.Addr) {
	t.say(check.Progress{Step: "connect", Host: hop.Host.String(), IP: ip, Good: true, Text: "asking " + ip.String()})
}

// judged tells what would become of mail at an address.
func (t *teller) judged(hop *route.Hop, a *check.Address) {
	for i := range a.Verdicts {
		v := &a.Verdicts[i]
		p := check.Progress{Step: "judge", Host: hop.Host.String(), IP: a.IP, Good: v.Passes(), Reason: v.Reason,
			Text: v.Question + ": " + string(v.Outcome)}
		switch {
		case v.Reached != "":
			p.Text += ", " + v.Reached
		case v.Text != "":
			p.Text += ": " + v.Text
		}
		t.say(p)
	}
}

// looked tells what an address showed.
func (t *teller) looked(hop *route.Hop, a *check.Address) {
	l := a.Look
	say := func(step string, good bool, text string) {
		t.say(check.Progress{Step: step, Host: hop.Host.String(), IP: a.IP, Good: good, Text: text})
	}
	if l.Greeting != "" {
		say("greeting", true, l.Greeting)
	}
	if len(l.Offered) > 0 {
		say("ehlo", true, strings.Join(l.Offered, ", "))
	}
	switch {
	case l.Masked:
		say("starttls", false, "STARTTLS is masked: something between us and the server rewrites what it says")
	case !l.StartTLS:
		say("starttls", false, "STARTTLS is not offered")
	default:
		say("starttls", true, "STARTTLS is offered")
	}
	if l.TLS == nil {
		if l.Reason != "" {
			t.say(check.Progress{Step: "tls", Host: hop.Host.String(), IP: a.IP, Reason: l.Reason, Text: l.Text})
		}
		return
	}
	say("tls", true, fmt.Sprintf("%s with %s, %d bits %s", l.TLS.Version, l.TLS.Cipher, l.TLS.Bits, l.TLS.Group))
	if len(l.Chain) > 0 {
		c := &l.Chain[0]
		fault := certificateFault(a)
		t.say(check.Progress{Step: "certificate", Host: hop.Host.String(), IP: a.IP, Good: fault == "", Reason: fault,
			Text: fmt.Sprintf("%s, issued by %s, until %s", c.Subject, c.Issuer,
				c.NotAfter.UTC().Format(time.DateOnly))})
	}
}

// certificateFault is what is wrong with the certificates that an address showed, by whatever was asked of them: what
// encrypts all the same has no proven certificate.
func certificateFault(a *check.Address) policy.Reason {
	for i := range a.Verdicts {
		for _, r := range append([]policy.Reason{a.Verdicts[i].Reason}, reasonsOf(a.Verdicts[i].Shortfalls)...) {
			if c := r.Class(); c == policy.OfCertificate || c == policy.OfRevocation {
				return r
			}
		}
	}
	return a.Look.Reason
}

func reasonsOf(short []policy.Shortfall) (out []policy.Reason) {
	for _, s := range short {
		out = append(out, s.Reason)
	}
	return out
}
