package mailhosts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

// MailHosts are the mail hosts of a domain as they are found now.
type MailHosts struct {
	Hosts []mail.Domain
	// ByAdmin says that they were named in the configuration, so that nothing is remembered of them.
	ByAdmin bool
}

// Pins lists which names of mail hosts are known for which domain and rule; "" lists those of every domain. They tell
// of the rules of all.
func (d HostDesk) Pins(ctx context.Context, domain string) ([]mxpins.Pin, error) {
	if err := d.who.Wide(access.ReadPeers); err != nil {
		return nil, err
	}
	if domain != "" {
		name, err := d.s.pinned(domain)
		if err != nil {
			return nil, err
		}
		domain = name.String()
	} else if d.s.cfg.Pins == nil {
		return nil, nil
	}
	pins, err := d.s.cfg.Pins.Pins(ctx, domain)
	if err != nil {
		return nil, fmt.Errorf("cannot read the names of mail hosts: %w", err)
	}
	return pins, nil
}

// pinned reads the name of a domain of which something may be remembered.
func (s *Service) pinned(domain string) (mail.Domain, error) {
	if s.cfg.Pins == nil {
		return mail.Domain{}, access.BadRequest("this gateway remembers no names of mail hosts")
	}
	d, err := mail.ParseDomain(domain)
	if err != nil {
		return mail.Domain{}, access.BadRequest("%w", err)
	}
	return d, nil
}

// ApproveRequest asks to accept mail hosts of a domain.
type ApproveRequest struct {
	Domain string `json:"domain"`
	// Names are what is approved: registrable domains, or mail hosts, which stand for the registrable domain they lie
	// below. Each must be one that DNS names for the domain when it is approved.
	Names []string `json:"names"`
	// Rule limits it to what one rule remembers; "" is every rule that remembers something of the domain.
	Rule string `json:"rule,omitempty"`
}

// ApproveResult says what was approved.
type ApproveResult struct {
	Domain string   `json:"domain"`
	Hosts  []string `json:"hosts"` // the mail hosts found
	// Approved are the names accepted now; none when all were known.
	Approved []mxpins.Pin `json:"approved"`
	// Retried is how many waiting deliveries were made due.
	Retried int `json:"retried"`
}

// Approve looks up the mail hosts of a domain, makes the names asked for known to its rules if DNS names them now, and
// has the mail that waits for the domain tried at once. What else DNS names stays unknown. It lets mail go where it did
// not before, so the entry is on stable storage first.
func (d HostDesk) Approve(ctx context.Context, r ApproveRequest) (ApproveResult, error) {
	if err := d.who.Wide(access.ApproveMX); err != nil {
		return ApproveResult{}, err
	}
	by, err := d.who.Author()
	if err != nil {
		return ApproveResult{}, err
	}
	return d.s.approve(ctx, d.who, &r, by)
}

func (s *Service) approve(ctx context.Context, who *scope.Asker, r *ApproveRequest, by string) (ApproveResult, error) {
	d, err := s.pinned(r.Domain)
	if err != nil {
		return ApproveResult{}, err
	}
	known, err := s.cfg.Pins.Pins(ctx, d.String())
	if err != nil {
		return ApproveResult{}, fmt.Errorf("cannot read the names of mail hosts: %w", err)
	}
	asking, err := s.approving(d, r.Rule, known)
	if err != nil {
		return ApproveResult{}, err
	}
	found, err := s.mailHosts(ctx, d)
	if err != nil {
		return ApproveResult{}, fmt.Errorf("nothing was approved: %w", err)
	}
	out := ApproveResult{Domain: d.String(), Approved: []mxpins.Pin{}}
	for _, h := range found {
		out.Hosts = append(out.Hosts, h.String())
	}
	named, err := chosen(d, r.Names, found)
	if err != nil {
		return ApproveResult{}, err
	}
	now := time.Now()
	wanted := slices.DeleteFunc(mxpins.New(d.String(), asking, named, now, "administrator "+by),
		func(p mxpins.Pin) bool {
			return slices.ContainsFunc(known,
				func(k mxpins.Pin) bool { return k.Trusted() && mxpins.Compare(k, p) == 0 })
		})
	if len(wanted) == 0 {
		return out, nil
	}
	entry := audit.Entry{At: now, By: by, Action: "peers approve", Target: d.String(), Count: len(wanted),
		Before: pinLines(known), After: pinLines(mxpins.Joined(known, wanted))}
	if err := who.Record(ctx, entry); err != nil {
		return out, fmt.Errorf("nothing was approved: %w", err)
	}
	if out.Approved, err = s.cfg.Pins.Remember(ctx, false, wanted); err != nil {
		return out, fmt.Errorf("cannot remember what was approved: %w", err)
	}
	acted, err := s.cfg.Store.Act(ctx, queue.Action{Kind: queue.Retry, Domains: []string{d.String()}, Now: now, By: by,
		KeepHolds: true})
	if err != nil {
		return out, fmt.Errorf("it was approved, but the mail that waits could not be made due: %w", err)
	}
	out.Retried = acted.Changed
	s.cfg.Kick(ctx, acted.Sites)
	return out, nil
}

// approving lists the rules that an approval is for.
func (s *Service) approving(d mail.Domain, rule string, known []mxpins.Pin) ([]string, error) {
	all := rulesOf(known)
	if rule == "" {
		if len(all) == 0 {
			return nil, access.BadRequest("no rule remembers mail hosts of %s: the first delivery under one does; "+
				"to do it now, name the rule", d)
		}
		return all, nil
	}
	if slices.Contains(all, rule) {
		return []string{rule}, nil
	}
	set, _, err := s.cfg.Rules.Current()
	if err != nil {
		return nil, err
	}
	for _, r := range set.Rules() {
		if r.Name == rule {
			return []string{rule}, nil
		}
	}
	return nil, access.NotFound("there is no rule %q", rule)
}

// mailHosts finds the mail hosts of d that have a name.
func (s *Service) mailHosts(ctx context.Context, d mail.Domain) ([]mail.Domain, error) {
	if s.cfg.MailHosts == nil {
		return nil, access.BadRequest("this gateway does not deliver, so it looks up no mail hosts")
	}
	found, err := s.cfg.MailHosts(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("the mail hosts of %s cannot be found: %w", d, err)
	}
	if found.ByAdmin {
		return nil, access.BadRequest("the mail hosts of %s are named in the configuration; there is nothing to "+
			"approve", d)
	}
	hosts := slices.DeleteFunc(slices.Clone(found.Hosts), mail.Domain.IsZero)
	if len(hosts) == 0 {
		return nil, access.BadRequest("the mail hosts of %s have no names", d)
	}
	return hosts, nil
}

// UnpinRequest asks to forget which names of mail hosts are known for a domain.
type UnpinRequest struct {
	Domain string `json:"domain"`
	Rule   string `json:"rule,omitempty"` // "" is every rule
}

// UnpinResult says what was forgotten.
type UnpinResult struct {
	Forgotten []mxpins.Pin `json:"forgotten"`
}

// Unpin carries out r. The next success under a rule remembers anew whatever it finds, so the entry is on stable
// storage before.
func (d HostDesk) Unpin(ctx context.Context, r UnpinRequest) (UnpinResult, error) {
	if err := d.who.Need(access.ForgetPeers); err != nil {
		return UnpinResult{}, err
	}
	by, err := d.who.Author()
	if err != nil {
		return UnpinResult{}, err
	}
	domain, err := d.s.pinned(r.Domain)
	if err != nil {
		return UnpinResult{}, err
	}
	known, err := d.s.cfg.Pins.Pins(ctx, domain.String())
	if err != nil {
		return UnpinResult{}, fmt.Errorf("cannot read the names of mail hosts: %w", err)
	}
	doomed := slices.DeleteFunc(slices.Clone(known),
		func(p mxpins.Pin) bool { return r.Rule != "" && p.Rule != r.Rule })
	if len(doomed) == 0 {
		return UnpinResult{Forgotten: []mxpins.Pin{}}, nil
	}
	entry := audit.Entry{At: time.Now(), By: by, Action: "peers unpin", Target: domain.String(),
		Before: pinLines(doomed), Count: len(doomed)}
	if err := d.who.Record(ctx, entry); err != nil {
		return UnpinResult{}, fmt.Errorf("nothing was forgotten: %w", err)
	}
	gone, err := d.s.cfg.Pins.Unpin(ctx, domain.String(), r.Rule)
	if err != nil {
		return UnpinResult{}, fmt.Errorf("cannot forget: %w", err)
	}
	return UnpinResult{Forgotten: gone}, nil
}

// pinLines lists pins for the audit trail, the names of a rule in one line.
func pinLines(pins []mxpins.Pin) string {
	pins = slices.SortedFunc(slices.Values(pins), mxpins.Compare)
	var lines []string
	last := ""
	for _, p := range pins {
		name := p.Name
		if !p.Trusted() {
			name += " (seen)"
		}
		if p.Rule != last || len(lines) == 0 {
			lines, last = append(lines, p.Rule+": "+name), p.Rule
			continue
		}
		lines[len(lines)-1] += ", " + name
	}
	return strings.Join(lines, "\n")
}
