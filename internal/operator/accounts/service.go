package accounts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/pending"
	"postern/internal/platform/passhash"
)

// Recorder takes entries of the audit trail; audit.Ledger is one.
type Recorder interface {
	Append(ctx context.Context, e audit.Entry) error
}

// Config is what a Service stands on. Book and Ledger must be set.
type Config struct {
	Book   *Book
	Ledger Recorder
	// Idle ends a session that is not used, Life ends every one; 0 means 30 minutes and 12 hours.
	Idle, Life time.Duration
	// Hashing has a place for each password that may be hashed at a time, 19 MiB each; who else hashes may share it.
	// nil is four of our own.
	Hashing chan struct{}
	// Cost is what a new hash of a password costs; zero is the gateway's.
	Cost passhash.Cost
	// Fresh is how long a proof counts for dangerous actions; 0 means 10 minutes.
	Fresh time.Duration
}

// hashings bounds how many passwords are hashed at a time where Config does not say.
const hashings = 4

// Service carries out what people do with accounts. Safe for concurrent use.
type Service struct {
	cfg      Config
	throttle throttle
	refusals refusals
	// strangers has a place for each password of theirs that waits for a place in Config.Hashing or has it: half as
	// many, so that who is known waits for a few at most.
	strangers chan struct{}
	// ceremonies are questions to passkeys.
	ceremonies *pending.Table[ceremony]
	// change is held by whoever changes accounts, so that what is checked (the last administrator) holds when it is
	// stored.
	change sync.Mutex
}

// New returns a Service.
func New(cfg Config) *Service {
	if cfg.Idle == 0 {
		cfg.Idle = 30 * time.Minute
	}
	if cfg.Life == 0 {
		cfg.Life = 12 * time.Hour
	}
	if cfg.Fresh == 0 {
		cfg.Fresh = 10 * time.Minute
	}
	if cfg.Hashing == nil {
		cfg.Hashing = make(chan struct{}, hashings)
	}
	return &Service{cfg: cfg, strangers: make(chan struct{}, max(1, cap(cfg.Hashing)/2)),
		ceremonies: pending.New[ceremony](ceremonyTime, ceremoniesMost)}
}

// Errors of the Service.
var (
	// ErrWrong: name and password do not belong together. Which of them is wrong is not told.
	ErrWrong = errors.New("name and password do not belong together")
	// ErrForbidden: the principal may not do this.
	ErrForbidden = errors.New("you may not do this")
	// ErrStale: the proof of who asks is too old for this.
	ErrStale = errors.New("prove again who you are")
	// ErrLast: nobody would be left who may administer accounts.
	ErrLast = errors.New("this is the last administrator of the whole installation")
	// ErrSetUp: the first administrator is there already.
	ErrSetUp = errors.New("the first administrator exists already")
	// ErrBad is wrapped by every error about what was typed.
	ErrBad = errors.New("this cannot be")
)

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrBad}, args...)...)
}

// Client is where a request came from.
type Client struct {
	Addr  netip.Addr
	Agent string // what the browser calls itself
}

// ClientAt is the client at an address with its port, as HTTP servers tell it.
func ClientAt(addr, agent string) Client {
	c := Client{Agent: agent}
	if at, err := netip.ParseAddrPort(addr); err == nil {
		c.Addr = at.Addr().Unmap()
	}
	return c
}

// agent is what is kept of the browser's word for itself.
func (c Client) agent() string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, c.Agent)
	return text[:min(len(text), 200)]
}

// secret makes 256 random bits as text.
func secret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func newID() string { return strings.ToLower(rand.Text()) }

// hashOf is what is kept of a secret.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// record writes an entry of the audit trail.
func (s *Service) record(ctx context.Context, by, action, target, before, after string) error {
	err := s.cfg.Ledger.Append(ctx, audit.Entry{At: time.Now(), By: by, Action: action, Target: target, Before: before,
		After: after})
	if err != nil {
		return fmt.Errorf("the audit trail cannot be written, so nothing was changed: %w", err)
	}
	return nil
}

// need refuses who may not do c, and who did not prove a moment ago who he is where c is dangerous.
func need(p *access.Principal, c access.Capability) error {
	switch {
	case !p.May(c):
		return ErrForbidden
	case c.Dangerous() && !p.Fresh(time.Now()):
		return ErrStale
	}
	return nil
}

// find returns the account of an id.
func (s *Service) find(ctx context.Context, id string) (Account, error) {
	return s.pick(ctx, func(a *Account) bool { return a.ID == id })
}

func (s *Service) pick(ctx context.Context, ok func(a *Account) bool) (Account, error) {
	list, err := s.cfg.Book.Accounts(ctx)
	if err != nil {
		return Account{}, fmt.Errorf("the accounts cannot be read: %w", err)
	}
	for i := range list {
		if ok(&list[i]) {
			return list[i], nil
		}
	}
	return Account{}, ErrNotFound
}

// describe is an account as the audit trail shows it.
func describe(a *Account) string {
	out := "role " + string(a.Role) + ", scope " + scopeText(a.Scope)
	if a.Disabled {
		out += ", disabled"
	}
	return out
}

func scopeText(s access.Scope) string {
	if s.All {
		return "everything"
	}
	var names []string
	for _, d := range s.Domains {
		names = append(names, d.String())
	}
	return strings.Join(names, " ")
}
