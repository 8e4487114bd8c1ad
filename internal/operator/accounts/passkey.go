package accounts

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern/internal/operator/access"
)

// Passkey is a key pair of which the private half never leaves somebody's device (WebAuthn). It signs in by itself: the
// device asks its owner for a finger or a PIN.
type Passkey struct {
	ID         string          `json:"id"` // the credential's, base64url
	Account    string          `json:"account"`
	Name       string          `json:"name"` // which device
	Site       string          `json:"site"` // the host it was made for; it works nowhere else
	CreatedAt  time.Time       `json:"created_at"`
	LastUsed   time.Time       `json:"last_used,omitzero"`
	Credential json.RawMessage `json:"credential"` // of the library
}

const (
	// ceremonyTime is how long somebody may take to answer his device.
	ceremonyTime = 5 * time.Minute
	// ceremoniesMost bounds the questions that were put to browsers and not answered yet.
	ceremoniesMost = 5000
)

// ceremony is a question to a device, by its challenge.
type ceremony struct {
	state   webauthn.SessionData
	account string // that makes a passkey; "" for a proof
}

// passkeysEach bounds those of one account.
const passkeysEach = 20

// Site is the console as a browser reaches it. Passkeys need a name: browsers make none for an IP address.
type Site struct {
	Host   string // without port
	Origin string // https://host:port
}

// Named reports whether the site can have passkeys.
func (s Site) Named() bool {
	_, err := netip.ParseAddr(strings.Trim(s.Host, "[]"))
	return err != nil && s.Host != ""
}

func (s Site) party() (*webauthn.WebAuthn, error) {
	if !s.Named() {
		return nil, bad("passkeys need the console's name in the address, not an IP address")
	}
	return webauthn.New(&webauthn.Config{RPID: s.Host, RPDisplayName: "Postern", RPOrigins: []string{s.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired}})
}

// holder is an account as the library sees it.
type holder struct {
	account *Account
	keys    []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return []byte(h.account.ID) }
func (h holder) WebAuthnName() string                       { return h.account.Name }
func (h holder) WebAuthnDisplayName() string                { return h.account.Name }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

// holder gathers an account's passkeys of a site.
func (s *Service) holder(ctx context.Context, account string, site Site) (holder, error) {
	a, err := s.find(ctx, account)
	if err != nil {
		return holder{}, err
	}
	list, err := s.cfg.Book.Passkeys(ctx, account)
	h := holder{account: &a}
	for _, p := range list {
		var one webauthn.Credential
		if p.Site == site.Host && json.Unmarshal(p.Credential, &one) == nil {
			h.keys = append(h.keys, one)
		}
	}
	return h, err
}

// BeginPasskey begins to make a passkey of the principal's own account and returns what the browser is told, as JSON.
func (s *Service) BeginPasskey(ctx context.Context, p access.Principal, site Site) ([]byte, error) {
	switch {
	case p.Way != access.BySession:
		return nil, ErrForbidden
	case !p.Fresh(time.Now()):
		return nil, ErrStale
	}
	party, err := site.party()
	if err != nil {
		return nil, err
	}
	h, err := s.holder(ctx, p.Account, site)
	if err != nil {
		return nil, err
	}
	if len(h.keys) >= passkeysEach {
		return nil, bad("an account has at most %d passkeys; delete one first", passkeysEach)
	}
	options, state, err := party.BeginRegistration(h,
		webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()))
	if err != nil {
		return nil, err
	}
	s.ceremonies.Put(state.Challenge, ceremony{*state, p.Account})
	return json.Marshal(options.Response)
}

// FinishPasskey keeps the passkey that the browser made, under a name.
func (s *Service) FinishPasskey(ctx context.Context, p access.Principal, site Site, name string,
	response []byte) error {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 100 {
		return bad("name the passkey, in at most 100 characters: on which device is it?")
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return bad("the browser's answer cannot be read")
	}
	asked, ok := s.ceremonies.Take(parsed.Response.CollectedClientData.Challenge)
	if !ok || asked.account != p.Account || p.Way != access.BySession {
		return bad("that took too long or belongs to another page; begin again")
	}
	party, err := site.party()
	if err != nil {
		return err
	}
	h, err := s.holder(ctx, p.Account, site)
	if err != nil {
		return err
	}
	key, err := party.CreateCredential(h, asked.state, parsed)
	if err != nil {
		return bad("the browser's answer is not for this console")
	}
	text, err := json.Marshal(key)
	if err != nil {
		return err
	}
	if err := s.record(ctx, p.Name, "passkeys add", name, "", "for "+site.Host); err != nil {
		return err
	}
	return s.cfg.Book.PutPasskey(ctx, Passkey{ID: keyID(key.ID), Account: p.Account, Name: name, Site: site.Host,
		CreatedAt: time.Now(), Credential: text})
}

func keyID(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// BeginPasskeyProof begins a proof by a passkey, for signing in or for proving again, and returns what the browser is
// told.
func (s *Service) BeginPasskeyProof(_ context.Context, site Site) ([]byte, error) {
	party, err := site.party()
	if err != nil {
		return nil, err
	}
	options, state, err := party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, err
	}
	s.ceremonies.Put(state.Challenge, ceremony{state: *state})
	return json.Marshal(options.Response)
}

// SignInByPasskey begins a session for whoever proved to hold a passkey; old and what is returned are as for SignIn.
func (s *Service) SignInByPasskey(ctx context.Context, site Site, response []byte, old string,
	c Client) (string, error) {
	parsed, claimed := parseResponse(response)
	try, err := s.throttle.signIn(c.Addr, claimed, time.Now())
	if err != nil {
		s.putOff(signInRefused, byPasskey, c)
		return "", err
	}
	a, err := s.proven(ctx, site, parsed, try, func(*Account) bool { return true })
	if err != nil {
		s.refusedPasskey(err, signInRefused, nobody, c)
		return "", err
	}
	return s.open(ctx, &a, "sign-in by passkey", old, time.Now(), c)
}

// ProveByPasskey is Prove by a passkey of the session's own account.
func (s *Service) ProveByPasskey(ctx context.Context, key string, site Site, response []byte,
	c Client) (string, error) {
	one, a, err := s.session(ctx, key)
	if err != nil {
		return "", err
	}
	try, err := s.throttle.again(one.Hash, time.Now())
	if err != nil {
		s.putOff(proofRefused, byPasskey, c)
		return "", err
	}
	parsed, _ := parseResponse(response)
	if _, err = s.proven(ctx, site, parsed, try, func(who *Account) bool { return who.ID == a.ID }); err != nil {
		s.refusedPasskey(err, proofRefused, a.Name, c)
		return "", err
	}
	return s.prove(ctx, &one, &a, byPasskey, c)
}

// byPasskey is how a proof was made, for the audit trail.
const byPasskey = "passkey"

// refusedPasskey notes an answer that did not prove what it was to prove.
func (s *Service) refusedPasskey(err error, action, who string, c Client) {
	if errors.Is(err, ErrWrong) {
		s.refuse(action, who, byPasskey, c)
	}
}

// parseResponse reads what a passkey answered and whose it claims to be, by account ID; nil and "" where it cannot be
// read.
func parseResponse(response []byte) (*protocol.ParsedCredentialAssertionData, string) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, ""
	}
	return parsed, string(parsed.Response.UserHandle)
}

// proven returns whose passkey made a response, where it is somebody who will do, and tells the throttle how it went.
func (s *Service) proven(ctx context.Context, site Site, parsed *protocol.ParsedCredentialAssertionData, try *attempt,
	will func(*Account) bool) (Account, error) {
	a, err := s.holds(ctx, site, parsed)
	if err == nil && !will(&a) {
		err = ErrWrong
	}
	switch {
	case err == nil:
		try.succeeded()
	case errors.Is(err, ErrWrong):
		try.failed()
	default:
		try.unexamined()
	}
	return a, err
}

// holds verifies a response, nil for one that cannot be read, against the passkey it names and takes note of its use.
// All that is wrong is ErrWrong.
func (s *Service) holds(ctx context.Context, site Site,
	parsed *protocol.ParsedCredentialAssertionData) (Account, error) {
	party, err := site.party()
	if err != nil {
		return Account{}, err
	}
	if parsed == nil {
		return Account{}, ErrWrong
	}
	asked, ok := s.ceremonies.Take(parsed.Response.CollectedClientData.Challenge)
	if !ok {
		return Account{}, ErrWrong
	}
	var found holder
	_, key, err := party.ValidatePasskeyLogin(func(_, account []byte) (webauthn.User, error) {
		found, err = s.holder(ctx, string(account), site)
		return found, err
	}, asked.state, parsed)
	if err != nil || found.account.Disabled || key.Authenticator.CloneWarning {
		return Account{}, ErrWrong
	}
	return *found.account, s.used(ctx, found.account.ID, key)
}

// used stores what the library counts, and when a passkey was used.
func (s *Service) used(ctx context.Context, account string, key *webauthn.Credential) error {
	list, err := s.cfg.Book.Passkeys(ctx, account)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(p Passkey) bool { return p.ID == keyID(key.ID) })
	if i < 0 {
		return ErrWrong
	}
	p := list[i]
	if p.Credential, err = json.Marshal(key); err != nil {
		return err
	}
	p.LastUsed = time.Now()
	return s.cfg.Book.PutPasskey(ctx, p)
}

// Passkeys lists the principal's own, newest first.
func (s *Service) Passkeys(ctx context.Context, p access.Principal) ([]Passkey, error) {
	if p.Account == "" {
		return nil, nil
	}
	list, err := s.cfg.Book.Passkeys(ctx, p.Account)
	slices.SortFunc(list, func(a, b Passkey) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list, err
}

// DeletePasskey deletes one of the principal's own.
func (s *Service) DeletePasskey(ctx context.Context, p access.Principal, id string) error {
	switch {
	case p.Way != access.BySession:
		return ErrForbidden
	case !p.Fresh(time.Now()):
		return ErrStale
	}
	list, err := s.cfg.Book.Passkeys(ctx, p.Account)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(one Passkey) bool { return one.ID == id })
	if i < 0 || p.Account == "" {
		return ErrNotFound
	}
	if err := s.record(ctx, p.Name, "passkeys delete", list[i].Name, "for "+list[i].Site, ""); err != nil {
		return err
	}
	return s.cfg.Book.DeletePasskey(ctx, id)
}
