package admin

import (
	"errors"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// Errors of a Desk.
var (
	// ErrForbidden: the principal may not do this, or not for this mail.
	ErrForbidden = errors.New("you may not do this")
	// ErrStale: the action is dangerous and the proof of who asks is too old; prove it again.
	ErrStale = errors.New("prove again who you are")
	// ErrNotFound: there is no such thing, or none that the principal may see; the two are not told apart.
	ErrNotFound = errors.New("there is no such thing")
)

// Desk is the gateway as one principal sees it: every request is authorised here and nowhere else, and every answer
// obeys the law of scopes in the package comment. There is no other way to ask, so that no page can forget to. Make one
// for each request.
type Desk struct {
	s *Service
	p access.Principal
}

// For returns the desk of a principal.
func (s *Service) For(p access.Principal) *Desk { return &Desk{s, p} }

// Hostname is the gateway's name.
func (d *Desk) Hostname() string { return d.s.cfg.Hostname }

// author is the name under which the audit trail tells of a change; ErrWho where there is none.
func (d *Desk) author() (string, error) {
	by := smtp.Printable(strings.TrimSpace(d.p.Name), 200)
	if by == "" {
		return "", ErrWho
	}
	return by, nil
}

// need refuses who may not do c, and who did not prove a moment ago who he is where c is dangerous.
func (d *Desk) need(c access.Capability) error {
	switch {
	case !d.p.May(c):
		return ErrForbidden
	case c.Dangerous() && !d.p.Fresh(time.Now()):
		return ErrStale
	}
	return nil
}

// sees reports whether a delivery is within the scope: its sender or its recipient is.
func (d *Desk) sees(r *queue.Record) bool {
	return d.p.Scope.All || d.p.Scope.Covers(r.Recipient.Address.Domain) || d.p.Scope.Covers(r.Message.Envelope.From.Domain)
}

// owns reports whether a rule is about nothing but the scope: every sender it names is a plain address or domain in it.
func (d *Desk) owns(r *rules.Rule) bool {
	if d.p.Scope.All {
		return true
	}
	outside := func(pattern string) bool {
		if at := strings.LastIndexByte(pattern, '@'); at >= 0 {
			pattern = pattern[at+1:]
		}
		name, err := mail.ParseDomain(pattern)
		return err != nil || strings.ContainsAny(pattern, "*?:") || !d.p.Scope.Covers(name)
	}
	return len(r.Match.Sender) > 0 && !slices.ContainsFunc(r.Match.Sender, outside)
}

// Page is a part of a list. Next is an opaque cursor, "" at the end. Complete is false when the search ran out of its
// time before the page was full; it looked back to SearchedTo, and Next goes on from there.
type Page[T any] struct {
	Items      []T        `json:"items"`
	Next       string     `json:"next,omitempty"`
	Complete   bool       `json:"complete"`
	SearchedTo *time.Time `json:"searched_to,omitempty"`
	// Total is how many there are, with the first page of a search; TotalExact is false where there are at least as
	// many.
	Total      int  `json:"total,omitempty"`
	TotalExact bool `json:"total_exact,omitempty"`
}

// PageRequest asks for a part of a list: at most Limit (0: 50, at most 500) after the cursor.
type PageRequest struct {
	After string
	Limit int
}

func (p PageRequest) limit() int {
	if p.Limit <= 0 {
		return 50
	}
	return min(p.Limit, 500)
}
