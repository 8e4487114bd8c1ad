package accounts

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern/internal/operator/access"
)

// What the audit trail calls proofs that were refused.
const (
	signInRefused   = "sign-in refused"
	proofRefused    = "proof refused"
	passwordRefused = "accounts password refused"
	linkRefused     = "link refused"
	tokenRefused    = "token refused"
)

// touchEvery is how often the use of a session or token is written down.
const touchEvery = time.Minute

// SignIn proves a name by its password and returns the secret of a new session. old is the secret the browser held
// before, "" for none; that session ends. A password that does not fit is ErrWrong, too many of them *Throttled.
func (s *Service) SignIn(ctx context.Context, name, password, old string, c Client) (string, error) {
	try, err := s.throttle.signIn(c.Addr, name, time.Now())
	if err != nil {
		s.putOff(signInRefused, "", c)
		return "", err
	}
	a, err := s.enabled(ctx, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		try.unexamined()
		return "", err
	}
	ok, err := s.examine(ctx, try, &a, password)
	if err != nil {
		return "", err
	}
	if !ok {
		s.refuse(signInRefused, s.typed(ctx, name), "", c)
		return "", ErrWrong
	}
	return s.open(ctx, &a, "sign-in", old, time.Now(), c)
}

// open begins a session for somebody who was proven, in place of the one his browser held, and says so in the audit
// trail.
func (s *Service) open(ctx context.Context, a *Account, how, old string, proven time.Time, c Client) (string, error) {
	if old != "" {
		if err := s.cfg.Book.DeleteSessions(ctx, SessionFilter{Hash: hashOf(old)}); err != nil {
			return "", err
		}
	}
	if err := s.record(ctx, a.Name, how, c.Addr.String(), "", ""); err != nil {
		return "", err
	}
	return s.begin(ctx, a, c, proven)
}

// SignInAs begins a session for somebody whose name another provider proved, "oidc" for instance; old and what is
// returned are as for SignIn. proven is when it was proven there: zero, not known, is never fresh. ErrWrong where no
// account has the name.
func (s *Service) SignInAs(ctx context.Context, name, provider string, proven time.Time, old string,
	c Client) (string, error) {
	a, err := s.enabled(ctx, name)
	if errors.Is(err, ErrNotFound) {
		s.refuse(signInRefused, loginName(name)+" (no account)", provider, c)
		return "", ErrWrong
	}
	if err != nil {
		return "", err
	}
	return s.open(ctx, &a, "sign-in by "+provider, old, proven, c)
}

// enabled returns the account of a name that may sign in.
func (s *Service) enabled(ctx context.Context, name string) (Account, error) {
	return s.pick(ctx, func(a *Account) bool { return strings.EqualFold(a.Name, name) && !a.Disabled })
}

// typed is what the audit trail says of a name that somebody typed and did not prove: that of an account. What is none
// may be a password in the wrong field.
func (s *Service) typed(ctx context.Context, name string) string {
	a, err := s.pick(ctx, func(o *Account) bool { return strings.EqualFold(o.Name, name) })
	if err != nil {
		return nobody
	}
	return a.Name
}

// loginName is the name that another provider proved, as far as it can be one.
func loginName(name string) string {
	if namePattern.MatchString(name) {
		return name
	}
	return nobody
}

// begin makes a session of somebody who was proven at a time.
func (s *Service) begin(ctx context.Context, a *Account, c Client, proven time.Time) (string, error) {
	now := time.Now()
	s.throttle.remember(c.Addr, now, a.Name, a.ID)
	key := secret()
	err := s.cfg.Book.AddSession(ctx, Session{Hash: hashOf(key), Account: a.ID, Version: a.Version, CreatedAt: now,
		LastSeen: now, EndsAt: now.Add(s.cfg.Life), ProvenAt: proven, Client: c.Addr.String(), Agent: c.agent()})
	if err != nil {
		return "", err
	}
	// Sessions that are over are refused, and swept with each new one when nothing is kept for them any more.
	return key, s.cfg.Book.DeleteSessions(ctx, SessionFilter{EndedBefore: now.Add(-endedKept)})
}

// Glance is BySession for what a page asks by itself: it does not count as use, so that a page left open does not keep
// a session alive.
func (s *Service) Glance(ctx context.Context, key string) (access.Principal, error) {
	one, a, err := s.session(ctx, key)
	if err != nil {
		return access.Principal{}, err
	}
	return s.principal(&one, &a), nil
}

// BySession returns who the holder of a session's secret is; ErrNotFound when it is over.
func (s *Service) BySession(ctx context.Context, key string) (access.Principal, Session, error) {
	one, a, err := s.session(ctx, key)
	if err != nil {
		return access.Principal{}, Session{}, err
	}
	if now := time.Now(); now.Sub(one.LastSeen) > touchEvery {
		one.LastSeen = now
		if err := s.cfg.Book.ReplaceSession(ctx, one.Hash, one); err != nil {
			return access.Principal{}, Session{}, err
		}
	}
	return s.principal(&one, &a), one, nil
}

func (s *Service) principal(one *Session, a *Account) access.Principal {
	return access.Principal{Name: a.Name, Account: a.ID, Role: a.Role, Scope: a.Scope, Way: access.BySession,
		FreshUntil: one.ProvenAt.Add(s.cfg.Fresh)}
}

// endedKept is how long it is known whose a session was after its end.
const endedKept = 7 * 24 * time.Hour

// Ended returns a session that its time alone has ended: its holder proved to be the account, which is as it was then,
// but may nothing before a new proof. ErrNotFound for every other secret.
func (s *Service) Ended(ctx context.Context, key string) (Session, error) {
	one, _, err := s.remembered(ctx, key)
	if err == nil && s.lasts(&one) {
		err = ErrNotFound
	}
	return one, err
}

// lasts says whether the time of a session is not over.
func (s *Service) lasts(one *Session) bool {
	now := time.Now()
	return now.Before(one.EndsAt) && now.Sub(one.LastSeen) <= s.cfg.Idle
}

// session finds a session that holds, and its account.
func (s *Service) session(ctx context.Context, key string) (Session, Account, error) {
	one, a, err := s.remembered(ctx, key)
	if err == nil && !s.lasts(&one) {
		return Session{}, Account{}, ErrNotFound
	}
	return one, a, err
}

// remembered finds a session, ended by its time or not, and its account, which has not changed since it began.
func (s *Service) remembered(ctx context.Context, key string) (Session, Account, error) {
	one, err := s.cfg.Book.Session(ctx, hashOf(key))
	if err != nil {
		return Session{}, Account{}, err
	}
	a, err := s.find(ctx, one.Account)
	if err == nil && (a.Disabled || a.Version != one.Version) {
		err = ErrNotFound
	}
	return one, a, err
}

// Prove proves again who holds a session and returns a new secret for it; the old one ends.
func (s *Service) Prove(ctx context.Context, key, password string, c Client) (string, error) {
	one, a, err := s.session(ctx, key)
	if err != nil {
		return "", err
	}
	if err := s.knows(ctx, &one, &a, password, proofRefused, c); err != nil {
		return "", err
	}
	return s.prove(ctx, &one, &a, "", c)
}

// knows examines the password of whoever holds a session: nil when it fits, ErrWrong, *Throttled. refused is what the
// audit trail calls it when it does not.
func (s *Service) knows(ctx context.Context, one *Session, a *Account, password, refused string, c Client) error {
	try, err := s.throttle.again(one.Hash, time.Now())
	if err != nil {
		s.putOff(refused, "", c)
		return err
	}
	ok, err := s.examine(ctx, try, a, password)
	if err == nil && !ok {
		s.refuse(refused, a.Name, "", c)
		err = ErrWrong
	}
	return err
}

// prove gives a session a new secret and a fresh proof.
func (s *Service) prove(ctx context.Context, one *Session, a *Account, how string, c Client) (string, error) {
	if err := s.record(ctx, a.Name, "proof", c.Addr.String(), "", how); err != nil {
		return "", err
	}
	next, old, now := secret(), one.Hash, time.Now()
	one.Hash, one.ProvenAt, one.LastSeen = hashOf(next), now, now
	return next, s.cfg.Book.ReplaceSession(ctx, old, *one)
}

// SignOut ends the session of a secret; one that is over is no error.
func (s *Service) SignOut(ctx context.Context, key string, c Client) error {
	_, a, err := s.session(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound): // nothing that counts ends
	case err != nil:
		return err
	default:
		if err := s.record(ctx, a.Name, "sign-out", c.Addr.String(), "", ""); err != nil {
			return err
		}
	}
	return s.cfg.Book.DeleteSessions(ctx, SessionFilter{Hash: hashOf(key)})
}

// Sessions lists the sessions of the principal's own account that hold.
func (s *Service) Sessions(ctx context.Context, p access.Principal) ([]Session, error) {
	all, err := s.cfg.Book.Sessions(ctx, p.Account)
	if err != nil || p.Account == "" {
		return nil, err
	}
	var out []Session
	for _, one := range all {
		if s.lasts(&one) {
			out = append(out, one)
		}
	}
	return out, nil
}

// EndSession ends one of the principal's own sessions, named by its hash.
func (s *Service) EndSession(ctx context.Context, p access.Principal, hash string) error {
	one, err := s.cfg.Book.Session(ctx, hash)
	if err != nil {
		return err
	}
	if one.Account != p.Account || p.Account == "" {
		return ErrNotFound
	}
	if err := s.record(ctx, p.Name, "sessions end", one.Client, "since "+one.CreatedAt.UTC().Format(time.RFC3339),
		""); err != nil {
		return err
	}
	return s.cfg.Book.DeleteSessions(ctx, SessionFilter{Hash: hash})
}

// SetPassword changes the password of the account of a session, given its secret, and ends its other sessions; with
// tokens its tokens too.
func (s *Service) SetPassword(ctx context.Context, key, old, next string, tokens bool, c Client) error {
	s.change.Lock()
	defer s.change.Unlock()
	mine, a, err := s.session(ctx, key)
	if err != nil {
		return err
	}
	if err := s.knows(ctx, &mine, &a, old, passwordRefused, c); err != nil {
		return err
	}
	if err := checkPassword(a.Name, next); err != nil {
		return err
	}
	if a.Password, err = s.hash(ctx, next); err != nil {
		return err
	}
	if err := s.replacePassword(ctx, &a, tokens); err != nil {
		return err
	}
	mine.Version = a.Version
	if err := s.cfg.Book.ReplaceSession(ctx, mine.Hash, mine); err != nil {
		return err
	}
	return s.cfg.Book.DeleteSessions(ctx, SessionFilter{Account: a.ID, Except: mine.Hash})
}

// replacePassword stores an account with its new password, after its tokens have ended where that is asked for.
func (s *Service) replacePassword(ctx context.Context, a *Account, tokens bool) error {
	var ended []Token
	if tokens {
		var err error
		if ended, err = s.cfg.Book.Tokens(ctx, a.ID); err != nil {
			return err
		}
	}
	if err := s.record(ctx, a.Name, "accounts password", a.Name, strings.Join(tokenNames(ended), ", "),
		""); err != nil {
		return err
	}
	if len(ended) > 0 {
		if err := s.cfg.Book.DeleteTokens(ctx, a.ID); err != nil {
			return err
		}
	}
	a.Version++
	return s.cfg.Book.PutAccount(ctx, *a)
}
