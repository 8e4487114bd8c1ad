package admin

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"postern/internal/check"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rules"
)

// Publishing is what the domain of a recipient and its mail hosts publish for senders, as a delivery would find it now,
// and what that adds to what is demanded anyway. What is not known is told as such. Whether a host offers REQUIRETLS is
// said to whoever connects, which nobody did for this: a check tells.
type Publishing struct {
	// NotAsked says why nobody was asked, "" where somebody was.
	NotAsked string `json:"not_asked,omitempty"`
	// Reason and Text say why mail would wait or be returned before any host is spoken to; "" where one can be.
	Reason policy.Reason `json:"reason,omitempty"`
	Text   string        `json:"text,omitempty"`
	// ByAdmin says that the configuration names the hosts: an MTA-STS policy of the domain does not speak of them.
	ByAdmin bool `json:"hosts_named,omitempty"`
	// Exceptions are those that act for the domain, each with its reason and its end.
	Exceptions []string         `json:"exceptions,omitempty"`
	Hosts      []PublishingHost `json:"hosts,omitempty"`
}

// PublishingHost is one mail host, in the order in which they are tried.
type PublishingHost struct {
	Host string `json:"host"`
	// Reason and Text say why it is passed over, "" where it is not.
	Reason    policy.Reason     `json:"reason,omitempty"`
	Text      string            `json:"text,omitempty"`
	Published []check.Published `json:"published"`
	// Adds is what of it adds something, a demand each.
	Adds []string `json:"adds"`
}

const (
	// publishingTime bounds all look-ups of one request, publishingMost the domains that are asked.
	publishingTime = 8 * time.Second
	publishingMost = 10
)

// publishing finds out what domains publish, by the plans that deliveries are made by, for requirements each demands
// anyway.
func publishing(ctx context.Context, v *inforce.View,
	anyway map[mail.Domain]policy.Requirement) map[mail.Domain]*Publishing {
	ctx, cancel := context.WithTimeout(ctx, publishingTime)
	defer cancel()
	out := map[mail.Domain]*Publishing{}
	var all sync.WaitGroup
	for d, demanded := range anyway {
		p := &Publishing{NotAsked: "one request asks of ten domains at most"}
		if out[d] = p; len(out) <= publishingMost {
			p.NotAsked = ""
			all.Go(func() { p.ask(ctx, v, d, demanded) })
		}
	}
	all.Wait()
	return out
}

// ask fills p.
func (p *Publishing) ask(ctx context.Context, v *inforce.View, d mail.Domain, anyway policy.Requirement) {
	for _, why := range v.Rules.Excepted(d, time.Now()) {
		if !slices.Contains(p.Exceptions, why) {
			p.Exceptions = append(p.Exceptions, why)
		}
	}
	slices.Sort(p.Exceptions)
	var hops []route.Hop
	plan, problem := v.TableFor(d).Plan(ctx, d)
	if problem != nil {
		p.Reason, p.Text, hops, p.ByAdmin = problem.Reason, problem.Text, problem.Hops, problem.ByAdmin
	} else {
		hops, p.ByAdmin = plan.Hops, plan.ByAdmin
	}
	if p.ByAdmin {
		p.Exceptions = nil // they are for hosts that the domain chose
	}
	now := time.Now()
	for i := range hops {
		p.Hosts = append(p.Hosts, publishingHost(&hops[i], anyway, now))
	}
}

func publishingHost(h *route.Hop, anyway policy.Requirement, now time.Time) PublishingHost {
	out := PublishingHost{Host: cmp.Or(h.Host.String(), "a host without a name"), Published: []check.Published{},
		Adds: rules.Adds(anyway, h.Demand())}
	if h.Problem != nil {
		out.Reason, out.Text = h.Problem.Reason, h.Problem.Text
	}
	for _, p := range h.Published {
		out.Published = append(out.Published, check.Published{Published: p, AgeS: p.AgeS(now)})
	}
	if out.Adds == nil {
		out.Adds = []string{}
	}
	return out
}
