package servers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/history/peers"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/trace"
)

// Peers is what admin asks of whoever remembers the servers we send to.
type Peers interface {
	// List returns every record, the one that answered last first.
	List() []peers.Record
	// Missing says what it means that an address of a host has no TLS now; deliveries ask the same.
	Missing(host string, addr netip.AddrPort) peers.Stand
	// Forget drops the records that match chooses and returns them.
	Forget(ctx context.Context, match func(*peers.Record) bool) ([]peers.Record, error)
}

// Peer is what is remembered of one address of a server we send to, as the command line prints it. Names of fields
// stay.
type Peer struct {
	Host        string     `json:"host"`
	IP          string     `json:"ip"`
	Port        uint16     `json:"port"`
	StartTLS    bool       `json:"starttls"`
	TLSNow      bool       `json:"tls_now"` // the newest attempt had TLS
	LostAt      *time.Time `json:"lost_at"`
	LostReason  string     `json:"lost_reason"`
	FirstSeenAt *time.Time `json:"first_seen_at"`
	LastSeenAt  *time.Time `json:"last_seen_at"`
	OfferedAt   *time.Time `json:"last_offered_at"`
	FirstTLSAt  *time.Time `json:"first_tls_at"`
	LastTLSAt   *time.Time `json:"last_tls_at"`
	TLSCount    int64      `json:"tls_count"`
	TLSDays     int64      `json:"tls_days"`
	Streak      int64      `json:"streak"`
	StreakSince *time.Time `json:"streak_since"`
	Reached     string     `json:"reached"`
	TLSVersion  string     `json:"tls_version"`
	Cipher      string     `json:"cipher"`
	Group       string     `json:"group"`
	Keywords    []string   `json:"keywords"`
	UnderRuleAt *time.Time `json:"under_rule_at"`

	CertSubject   string     `json:"cert_subject"`
	CertIssuer    string     `json:"cert_issuer"`
	CertNotBefore *time.Time `json:"cert_not_before"`
	CertNotAfter  *time.Time `json:"cert_not_after"`
	CertSHA256    string     `json:"cert_sha256"`
	CertSPKI      string     `json:"cert_spki_sha256"`
	CertSince     *time.Time `json:"cert_since"`

	Changes []PeerChange `json:"changes"` // oldest first
}

// PeerChange is one thing about a server that is not as it was.
type PeerChange struct {
	At     time.Time `json:"at"`
	Change string    `json:"change"` // tls-lost, tls-returned, key, certificate, ...
	Before string    `json:"before"`
	After  string    `json:"after"`
}

// peerOf renders a record.
func peerOf(r *peers.Record) Peer {
	p := Peer{
		Host: r.Host, IP: r.IP.String(), Port: r.Port, StartTLS: r.StartTLS, TLSNow: r.TLS > 0 && r.LostAt.IsZero() &&
			!r.LastTLS.Before(r.LastSeen),
		LostAt: trace.Instant(r.LostAt), LostReason: string(r.LostReason), FirstSeenAt: trace.Instant(r.FirstSeen),
		LastSeenAt: trace.Instant(r.LastSeen),
		OfferedAt:  trace.Instant(r.LastOffered), FirstTLSAt: trace.Instant(r.FirstTLS),
		LastTLSAt: trace.Instant(r.LastTLS), TLSCount: r.TLS, TLSDays: r.TLSDays,
		Streak: r.Streak, StreakSince: trace.Instant(r.StreakSince), Reached: r.Level.String(), TLSVersion: r.Version,
		Cipher: r.Cipher, Group: r.Group,
		Keywords: append([]string{}, r.Keywords...), UnderRuleAt: trace.Instant(r.UnderRule), Changes: []PeerChange{},
	}
	for _, c := range r.Changes {
		p.Changes = append(p.Changes, PeerChange{c.At.UTC(), string(c.Kind), c.Before, c.After})
	}
	if c := r.Certificate; c != nil {
		p.CertSubject, p.CertIssuer, p.CertSHA256, p.CertSPKI = c.Subject, c.Issuer, c.SHA256, c.SPKI
		p.CertNotBefore, p.CertNotAfter, p.CertSince = trace.Instant(c.NotBefore), trace.Instant(c.NotAfter),
			trace.Instant(c.Since)
	}
	return p
}

// peers renders the records that match, and no others: there may be thousands.
func (s *Service) peers(limit int, match func(*peers.Record) bool) ([]Peer, error) {
	if s.cfg.Peers == nil {
		return nil, access.BadRequest("this gateway remembers no peers")
	}
	out := []Peer{}
	for _, r := range s.cfg.Peers.List() {
		if limit > 0 && len(out) == limit {
			break
		}
		if match(&r) {
			out = append(out, peerOf(&r))
		}
	}
	return out, nil
}

// Missing is what is remembered of an address that has no TLS now, in the words of peers.Stand.
type Missing struct {
	OfferedAt *time.Time `json:"offered_at"` // null: nothing that counts
	HoldUntil *time.Time `json:"hold_until"` // null: ordinary mail may go without TLS
}

// missing says what a delivery to an address of a host would hear when it found no TLS there. Host is "" where an
// address was named instead of a host.
func (s *Service) missing(host, addr string) (Missing, error) {
	if s.cfg.Peers == nil {
		return Missing{}, access.BadRequest("this gateway remembers no peers")
	}
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return Missing{}, access.BadRequest("%q is no address with a port", addr)
	}
	stand := s.cfg.Peers.Missing(host, at)
	return Missing{OfferedAt: trace.Instant(stand.Offered), HoldUntil: trace.Instant(stand.HoldUntil)}, nil
}

// ForgetRequest asks to forget what is remembered of servers.
type ForgetRequest struct {
	Names []string `json:"names"`
}

// ForgetResult says how many addresses were forgotten.
type ForgetResult struct {
	Forgotten int `json:"forgotten"`
	// Unknown are the names of which nothing is remembered.
	Unknown []string `json:"unknown,omitempty"`
}

// ForgetPeers carries out r. It weakens protection, for what is forgotten is no longer missed, so the entry is on
// stable storage before.
func (d ServerDesk) ForgetPeers(ctx context.Context, r ForgetRequest) (ForgetResult, error) {
	if err := d.who.Need(access.ForgetPeers); err != nil {
		return ForgetResult{}, err
	}
	by, err := d.who.Author()
	if err != nil {
		return ForgetResult{}, err
	}
	if len(r.Names) == 0 {
		return ForgetResult{}, access.BadRequest("name the hosts or addresses to forget")
	}
	match, err := d.s.peerMatch(r.Names)
	if err != nil {
		return ForgetResult{}, err
	}
	var before []string
	n := 0
	for _, p := range d.s.cfg.Peers.List() {
		if match(&p) {
			if n++; n <= maxListed {
				before = append(before, p.Name()+" "+p.Key().Addr.String()+" TLS "+howOften(&p))
			}
		}
	}
	unknown, err := d.s.unknown(r.Names)
	if err != nil || n == 0 {
		return ForgetResult{Unknown: unknown}, err
	}
	entry := audit.Entry{At: time.Now(), By: by, Action: "peers forget", Target: strings.Join(r.Names, " "),
		Before: strings.Join(before, "\n"), Count: n}
	if err := d.who.Record(ctx, entry); err != nil {
		return ForgetResult{}, fmt.Errorf("nothing was forgotten: %w", err)
	}
	gone, err := d.s.cfg.Peers.Forget(ctx, match)
	return ForgetResult{Forgotten: len(gone), Unknown: unknown}, err
}

// unknown lists the names of which nothing is remembered.
func (s *Service) unknown(names []string) (out []string, err error) {
	for _, name := range names {
		match, err := s.peerMatch([]string{name})
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(s.cfg.Peers.List(), func(r peers.Record) bool { return match(&r) }) {
			out = append(out, name)
		}
	}
	return out, nil
}

func howOften(r *peers.Record) string {
	if r.TLS == 0 {
		return "never"
	}
	return fmt.Sprintf("%d times, last %s", r.TLS, r.LastTLS.UTC().Format(time.RFC3339))
}

// maxListed bounds the records named in one entry of the audit trail.
const maxListed = 100

// peerMatch reads names of peers: hosts, everything below a "*.domain", or addresses.
func (s *Service) peerMatch(names []string) (func(*peers.Record) bool, error) {
	if s.cfg.Peers == nil {
		return nil, access.BadRequest("this gateway remembers no peers")
	}
	var hosts, below []string
	for _, name := range names {
		if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
			hosts = append(hosts, ip.String())
			continue
		}
		rest, wild := strings.CutPrefix(name, "*.")
		d, err := mail.ParseDomain(rest)
		switch {
		case err != nil:
			return nil, access.BadRequest("%w", err)
		case wild:
			below = append(below, "."+d.String())
		default:
			hosts = append(hosts, d.String())
		}
	}
	return func(r *peers.Record) bool {
		for _, h := range hosts {
			if r.Host == h || r.IP.String() == h {
				return true
			}
		}
		for _, b := range below {
			if strings.HasSuffix(r.Host, b) {
				return true
			}
		}
		return false
	}, nil
}
