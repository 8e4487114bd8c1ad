// Package oidc lets people sign in with an account they have elsewhere. It speaks OpenID Connect Core 1.0, the
// authorization code flow with PKCE.
//
//	Begin   -> where to send the browser, and a secret for its cookie
//	Finish  <- what the browser brings back, and the cookie: whose name was proven
//
// Only names are taken from there: who may what is said here, by an account of that name that an administrator made. A
// login that was begun in one browser cannot be finished in another, once only, within ten minutes.
//
// Who has a session at the provider comes back at once, without proving anything. So a sign-in counts as a proof of the
// time that the provider says (auth_time), of none where it says none; and where a fresh proof is wanted, the provider
// is asked for one (max_age=0) and its auth_time must be of after that, however it read the question (OpenID Connect
// Core 1.0 §3.1.2.1).
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"postern/internal/operator/pending"
)

// Config names the provider. Issuer, ClientID and Claim must be set.
type Config struct {
	Issuer string // https://login.example.com
	// ClientID and ClientSecret are what the provider knows the gateway by; the secret may be "" for a public client.
	ClientID, ClientSecret string
	// Claim is the claim that holds the name of an account: "email", "preferred_username", "sub". An email must be
	// verified.
	Claim string
	// HTTP asks the provider; nil is a client of its own with a time limit.
	HTTP *http.Client
}

// Errors of Finish; others are of the network or the provider.
var (
	// ErrState: nobody here began this, or somebody else did, or too long ago.
	ErrState = errors.New("this sign-in was not begun in this browser, or too long ago")
	// ErrRefused is wrapped by what the provider says when it does not sign somebody in.
	ErrRefused = errors.New("the provider did not sign you in")
	// ErrNoName: the provider proved somebody and gave no name that can be used.
	ErrNoName = errors.New("the provider did not say the name that accounts go by")
	// ErrNotFresh: a fresh proof was asked for, and the provider vouched for an older one or for no time.
	ErrNotFresh = errors.New("the provider did not say that you proved just now who you are")
)

const (
	loginTime  = 10 * time.Minute
	loginsMost = 5000
	// keysFor is how long what the provider says of itself is believed.
	keysFor = time.Hour
	// clocks is how far the provider's clock may be from ours.
	clocks = time.Minute
)

// Proof is what a provider vouches for.
type Proof struct {
	Name string    // of an account, if there is one
	Next string    // where the browser wanted to go
	At   time.Time // when it was proven to the provider, never later than now; zero where it did not say
}

// Provider signs people in. Safe for concurrent use.
type Provider struct {
	cfg  Config
	open *pending.Table[login] // by state

	mu      sync.Mutex
	found   *oidc.Provider
	foundAt time.Time
}

type login struct {
	cookie          [sha256.Size]byte
	nonce, verifier string
	next            string
	after           time.Time // the proof must be of after this; zero for any
}

// New returns a Provider; it asks nobody before somebody signs in.
func New(cfg Config) *Provider {
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	return &Provider{cfg: cfg, open: pending.New[login](loginTime, loginsMost)}
}

// Begin returns where to send a browser that wants to sign in and come back to redirect, and the secret of its cookie.
// next is where it wants to go afterwards. again asks the provider for a fresh proof.
func (p *Provider) Begin(ctx context.Context, redirect, next string, again bool) (to, cookie string, err error) {
	found, err := p.provider(ctx)
	if err != nil {
		return "", "", err
	}
	state, nonce, cookie, verifier := secret(), secret(), secret(), oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}
	l := login{cookie: sha256.Sum256([]byte(cookie)), nonce: nonce, verifier: verifier, next: next}
	if again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
		l.after = time.Now()
	}
	p.open.Put(state, l)
	return p.client(found, redirect).AuthCodeURL(state, options...), cookie, nil
}

// Finish takes what a browser brings back to redirect and returns what was proven.
func (p *Provider) Finish(ctx context.Context, redirect, cookie string, answer url.Values) (Proof, error) {
	l, ok := p.open.Take(answer.Get("state"))
	given := sha256.Sum256([]byte(cookie))
	if !ok || subtle.ConstantTimeCompare(l.cookie[:], given[:]) != 1 {
		return Proof{}, ErrState
	}
	if code := answer.Get("error"); code != "" {
		return Proof{}, fmt.Errorf("%w: %.100q %.200q", ErrRefused, code, answer.Get("error_description"))
	}
	token, err := p.exchange(ctx, redirect, answer.Get("code"), &l)
	if err != nil {
		return Proof{}, err
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrNoName, err)
	}
	at, err := proven(claims, l.after, time.Now())
	if err != nil {
		return Proof{}, err
	}
	name, err := p.name(claims)
	return Proof{name, l.next, at}, err
}

// exchange gives a code for the token it stands for, which answers the question of a login.
func (p *Provider) exchange(ctx context.Context, redirect, code string, l *login) (*oidc.IDToken, error) {
	found, err := p.provider(ctx)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, p.cfg.HTTP)
	tokens, err := p.client(found, redirect).Exchange(ctx, code, oauth2.VerifierOption(l.verifier))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	proof, err := found.Verifier(&oidc.Config{ClientID: p.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(proof.Nonce), []byte(l.nonce)) != 1 {
		return nil, fmt.Errorf("%w: its answer is to another question", ErrRefused)
	}
	return proof, nil
}

// proven reads when somebody proved to the provider who that is, and refuses what is not of after a time.
func proven(claims map[string]any, after, now time.Time) (time.Time, error) {
	seconds, said := claims["auth_time"].(float64)
	at := time.Time{}
	if said && seconds > 0 && seconds <= float64(now.Add(clocks).Unix()) {
		at = time.Unix(int64(seconds), 0)
	}
	switch {
	case after.IsZero():
	case at.IsZero():
		return at, fmt.Errorf("%w: it gave no auth_time", ErrNotFresh)
	case at.Before(after.Add(-clocks)):
		return at, fmt.Errorf("%w: its auth_time is %s", ErrNotFresh, at.UTC().Format(time.RFC3339))
	}
	if at.After(now) {
		at = now
	}
	return at, nil
}

// name reads the claim that accounts go by.
func (p *Provider) name(claims map[string]any) (string, error) {
	name, _ := claims[p.cfg.Claim].(string)
	if verified, said := claims["email_verified"].(bool); p.cfg.Claim == "email" && (!said || !verified) {
		return "", fmt.Errorf("%w: the email address is not verified", ErrNoName)
	}
	if name == "" {
		return "", fmt.Errorf("%w: there is no claim %s", ErrNoName, p.cfg.Claim)
	}
	return name, nil
}

func (p *Provider) client(found *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: found.Endpoint(),
		RedirectURL: redirect,
		Scopes:      []string{oidc.ScopeOpenID, "email", "profile"}}
}

// provider asks the issuer what it says of itself, now and then.
func (p *Provider) provider(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	found, at := p.found, p.foundAt
	p.mu.Unlock()
	if found != nil && time.Since(at) < keysFor {
		return found, nil
	}
	next, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.cfg.HTTP), p.cfg.Issuer)
	if err != nil {
		if found != nil {
			return found, nil // what it said before still holds
		}
		return nil, fmt.Errorf("the provider %s cannot be asked: %w", p.cfg.Issuer, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found, p.foundAt = next, time.Now()
	return next, nil
}

func secret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
