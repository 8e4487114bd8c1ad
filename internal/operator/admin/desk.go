package admin

import (
	"context"

	"postern/internal/operator/access"
	"postern/internal/operator/live"
	"postern/internal/operator/mailhosts"
	"postern/internal/operator/past"
	"postern/internal/operator/policies"
	"postern/internal/operator/reports"
	"postern/internal/operator/scope"
	"postern/internal/operator/servers"
	"postern/internal/operator/waiting"
	"postern/internal/policy/rule"
)

// Desk is the gateway as one principal sees it: every request is authorised here and nowhere else, and every answer
// obeys the law of scopes in the package comment. There is no other way to ask, so that no page can forget to. Make one
// for each request.
type Desk struct {
	s   *Service
	who *scope.Asker
	live.LiveDesk
	past.PastDesk
	waiting.QueueDesk
	reports.ReportDesk
	mailhosts.HostDesk
	policies.PolicyDesk
	servers.ServerDesk
}

// For returns the desk of a principal.
func (s *Service) For(p access.Principal) *Desk {
	who := s.asked.For(p)
	return &Desk{s, who, s.live.For(who), s.past.For(who), s.queue.For(who),
		reports.For(who, s.cfg.Reporting, s.cfg.Received), s.hosts.For(who), policies.For(who, s.cfg.Policies),
		s.servers.For(who)}
}

// Hostname is the gateway's name.
func (d *Desk) Hostname() string { return d.s.cfg.Hostname }

// RuleList lists the rules in force that the principal is told of, in the order of the file.
func (d *Desk) RuleList(ctx context.Context) ([]rule.Rule, error) { return d.who.RuleList(ctx) }

// SendersWithin are the senders that a rule of the principal must keep to, none where it may be about everybody's mail.
func (d *Desk) SendersWithin() (out []string) {
	for _, domain := range d.who.Scope.Domains {
		if !d.who.Scope.All {
			out = append(out, domain.String())
		}
	}
	return out
}

// SenderAdvice says what may be written as a sender in a rule, "" where anything may.
func (d *Desk) SenderAdvice() string {
	if d.who.Scope.All {
		return ""
	}
	return d.who.SenderAdvice()
}

// Owns reports whether a rule is about nothing but what the principal may see.
func (d *Desk) Owns(r *rule.Rule) bool { return d.who.Owns(r) }

// MayChange reports whether the principal may change a rule that it is told of.
func (d *Desk) MayChange(r *rule.Rule) bool { return d.who.May(access.WriteRules) && d.Owns(r) }
