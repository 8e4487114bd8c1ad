package examiner

import (
	"context"
	"sync"
	"time"

	"postern/internal/check"
	"postern/internal/dns"
	"postern/internal/mail"
)

// noting is a resolver that tells the answers it gives to whoever listens in the context, so that a report speaks of
// the very answers the plan was made of.
type noting struct{ dns.Resolver }

type answersKey struct{}

// answers is what was heard for one target.
type answers struct {
	mu    sync.Mutex // guards what follows
	mx    *dns.MXAnswer
	hosts map[mail.Domain]bool // signed
	from  time.Time
	until time.Time
}

func (a *answers) listen(ctx context.Context) context.Context {
	return context.WithValue(ctx, answersKey{}, a)
}

// MX implements dns.Resolver.
func (n noting) MX(ctx context.Context, name mail.Domain) (dns.MXAnswer, error) {
	start := time.Now()
	answer, err := n.Resolver.MX(ctx, name)
	if a, ok := ctx.Value(answersKey{}).(*answers); ok {
		a.note(start, func() {
			if err == nil {
				kept := answer // the records are sorted and cut by whoever asked
				kept.Records = append([]dns.MX(nil), answer.Records...)
				a.mx = &kept
			}
		})
	}
	return answer, err
}

// Addrs implements dns.Resolver.
func (n noting) Addrs(ctx context.Context, name mail.Domain) dns.Addresses {
	start := time.Now()
	answer := n.Resolver.Addrs(ctx, name)
	if a, ok := ctx.Value(answersKey{}).(*answers); ok {
		a.note(start, func() { a.hosts[name] = signed(answer.V4) && signed(answer.V6) })
	}
	return answer
}

// signed reports whether nothing unsigned is in an answer about a family.
func signed(f dns.Family) bool { return f.Err == nil && (f.Secure || len(f.Addrs) == 0) }

func (a *answers) note(start time.Time, change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hosts == nil {
		a.hosts, a.from = map[mail.Domain]bool{}, start
	}
	if start.Before(a.from) {
		a.from = start
	}
	a.until = time.Now()
	change()
}

func (a *answers) signed(host mail.Domain) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hosts[host]
}

// report is nil when nothing was asked.
func (a *answers) report() *check.DNS {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hosts == nil {
		return nil
	}
	d := &check.DNS{TookMS: milliseconds(a.until.Sub(a.from))}
	if a.mx == nil {
		return d
	}
	d.Signed = a.mx.Secure
	for _, r := range a.mx.Records {
		d.MX = append(d.MX, check.MX{Host: r.Text, Pref: r.Pref})
	}
	for _, alias := range a.mx.Aliases {
		d.Alias = append(d.Alias, alias.String())
	}
	return d
}
