package admin

import (
	"context"
	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/policy/rules"
)

// Desk is the gateway as one principal sees it: every request is authorised here and nowhere else, and every answer
// obeys the law of scopes in the package comment. There is no other way to ask, so that no page can forget to. Make one
// for each request.
type Desk struct {
	s   *Service
	who *scope.Asker
}

// For returns the desk of a principal.
func (s *Service) For(p access.Principal) *Desk { return &Desk{s, s.asked.For(p)} }

// Hostname is the gateway's name.
func (d *Desk) Hostname() string { return d.s.cfg.Hostname }

// RuleList lists the rules of the scope that are in force, in the order of the file.
func (d *Desk) RuleList(ctx context.Context) ([]rules.Rule, error) { return d.who.RuleList(ctx) }
