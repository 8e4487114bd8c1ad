package certorder

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"

	"postern/internal/smtp"
)

// authority is a CA. directory is the real one.
type authority interface {
	// Order gets a certificate for names and a key, leaf first. The error is a *fault. turn chooses among the kinds of
	// challenge, so that another one is tried each time.
	Order(ctx context.Context, names []string, key crypto.Signer, turn int) ([][]byte, error)
	// Window says when the CA would have a certificate renewed, and how long that holds.
	Window(ctx context.Context, leaf *x509.Certificate) (window, time.Duration, error)
}

// fault is why there is no certificate.
type fault struct {
	text string
	// wait is what the CA asks for, 0 where it asks for nothing.
	wait time.Duration
	// names are those that the CA did not find here, nil where that is not what failed.
	names []string
}

// Error is the text, escaped and bounded.
func (f *fault) Error() string { return f.text }

// failed makes a fault of an error of the CA or on the way to it.
func failed(doing string, err error) *fault {
	f := &fault{text: doing + ": " + smtp.Printable(err.Error(), 600)}
	if e, ok := errors.AsType[*acme.Error](err); ok {
		f.wait = retryAfter(e.Header)
		text := e.Detail
		if text == "" {
			text = fmt.Sprintf("the CA answers %d", e.StatusCode)
		}
		f.text = doing + ": " + smtp.Printable(text, 600) + " (" + smtp.Printable(kindOf(e), 60) + ")"
		for _, sub := range e.Subproblems {
			if sub.Identifier != nil {
				f.names = append(f.names, sub.Identifier.Value)
				f.text += "; " + smtp.Printable(sub.Identifier.Value+": "+sub.Detail, 200)
			}
		}
	}
	return f
}

// kindOf is the CA's own word for an error, without what is the same in all of them (RFC 8555 §6.7).
func kindOf(e *acme.Error) string {
	return strings.TrimPrefix(e.ProblemType, "urn:ietf:params:acme:error:")
}

const userAgent = "Postern"

// directory is the CA that is found at a directory (RFC 8555 §7.1.1).
type directory struct {
	cfg    *Config
	book   book
	client *acme.Client
}

func newDirectory(cfg *Config, b book) *directory {
	return &directory{cfg: cfg, book: b, client: &acme.Client{DirectoryURL: cfg.Directory, HTTPClient: cfg.HTTP,
		UserAgent: userAgent, RetryBackoff: backoff}}
}

// backoff is how long one request waits before it is tried again. Only what is over within moments is waited for; the
// rest is for the next order.
func backoff(n int, _ *http.Request, response *http.Response) time.Duration {
	busy := response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500 &&
		retryAfter(response.Header) > 10*time.Second
	if n > 4 || busy {
		return -1
	}
	return time.Duration(n) * 500 * time.Millisecond
}

// Order places an order and follows it to its end (RFC 8555 §7.4).
func (a *directory) Order(ctx context.Context, names []string, key crypto.Signer, turn int) ([][]byte, error) {
	if err := a.register(ctx); err != nil {
		return nil, err
	}
	order, err := a.client.AuthorizeOrder(ctx, acme.DomainIDs(names...))
	if e, ok := errors.AsType[*acme.Error](err); ok && kindOf(e) == "accountDoesNotExist" {
		err = errors.Join(err, a.forget(ctx)) // another is made for the next order
	}
	if err != nil {
		return nil, failed("the CA does not take the order", err)
	}
	if f := a.authorize(ctx, order.AuthzURLs, turn); f != nil {
		return nil, f
	}
	uri := order.URI
	if order, err = a.client.WaitOrder(ctx, uri); err != nil {
		return nil, failed("the order came to nothing", err)
	}
	if order.URI == "" {
		order.URI = uri
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		return nil, failed("the request cannot be signed", err)
	}
	chain, _, err := a.client.CreateCertFromOrder(ctx, order, request, true)
	if err != nil {
		return nil, failed("the CA gives no certificate", err)
	}
	return chain, nil
}

// register makes sure that the CA knows us.
func (a *directory) register(ctx context.Context) error {
	known := account{Directory: a.cfg.Directory, Binding: a.cfg.BindingID}
	known, err := ensure(ctx, a.book, accounts(), known.id(), func() (account, error) {
		var err error
		known.Key, err = newKey()
		return known, err
	})
	if err != nil {
		return failed("the store does not answer", err)
	}
	if a.client.Key, err = readKey(known.Key); err != nil {
		return failed("the account", err)
	}
	if known.URI != "" {
		a.client.KID = acme.KeyID(known.URI)
		return nil
	}
	want := &acme.Account{}
	if a.cfg.Email != "" {
		want.Contact = []string{"mailto:" + a.cfg.Email}
	}
	if a.cfg.BindingID != "" {
		want.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: a.cfg.BindingID, Key: a.cfg.BindingKey}
	}
	made, err := a.client.Register(ctx, want, acme.AcceptTOS)
	if errors.Is(err, acme.ErrAccountAlreadyExists) {
		made, err = a.client.GetReg(ctx, "")
	}
	if err != nil {
		return failed("the CA gives no account", err)
	}
	known.URI = made.URI
	if err := a.book.putAccount(ctx, &known); err != nil {
		return failed("the account cannot be stored", err)
	}
	return nil
}

// forget drops an account that the CA does not know any more.
func (a *directory) forget(ctx context.Context) error {
	gone := account{Directory: a.cfg.Directory, Binding: a.cfg.BindingID}
	var err error
	if gone.Key, err = newKey(); err != nil {
		return err
	}
	a.client = newDirectory(a.cfg, a.book).client
	return a.book.putAccount(ctx, &gone)
}

// authorize answers the challenges for every name. All are tried, so that all are known that fail.
func (a *directory) authorize(ctx context.Context, urls []string, turn int) *fault {
	var out *fault
	for _, url := range urls {
		name, err := a.prove(ctx, url, turn)
		if err == nil {
			continue
		}
		f := failed("the CA does not find "+smtp.Printable(name, 255)+" at this gateway", err)
		if e, ok := errors.AsType[*acme.AuthorizationError](err); ok {
			f = denied(name, e)
		}
		if name == "" || f.wait > 0 {
			return f // it is about more than one name
		}
		f.names = []string{name}
		if out != nil {
			f.text, f.names = out.text+"; "+f.text, append(out.names, name)
		}
		out = f
	}
	return out
}

// denied says what the CA found instead.
func denied(name string, e *acme.AuthorizationError) *fault {
	f := &fault{text: "the CA does not find " + smtp.Printable(name, 255) + " at this gateway"}
	for _, one := range e.Errors {
		f.text += ": " + strings.TrimPrefix(failed("", one).text, ": ")
	}
	return f
}

// prove answers one of the challenges of an authorization (RFC 8555 §7.5.1).
func (a *directory) prove(ctx context.Context, url string, turn int) (name string, err error) {
	authorization, err := a.client.GetAuthorization(ctx, url)
	if err != nil {
		return "", err
	}
	name = authorization.Identifier.Value
	if authorization.Status == acme.StatusValid {
		return name, nil
	}
	challenge := a.choose(authorization.Challenges, turn)
	if challenge == nil {
		return name, fmt.Errorf("the CA offers none of the challenges that are configured (%s)",
			strings.Join(a.cfg.Challenges, ", "))
	}
	made, err := a.answer(challenge, name)
	if err != nil {
		return name, err
	}
	made.Ends = time.Now().Add(orderTime(1) + time.Hour)
	if err := a.book.putAnswer(ctx, &made, time.Now()); err != nil {
		return name, err
	}
	defer func() { _ = a.book.dropAnswer(context.WithoutCancel(ctx), made.ID) }() // it ends by itself
	if _, err := a.client.Accept(ctx, challenge); err != nil {
		return name, err
	}
	_, err = a.client.WaitAuthorization(ctx, url)
	return name, err
}

// choose takes a challenge of a kind that can be answered, each turn another one where there are several.
func (a *directory) choose(offered []*acme.Challenge, turn int) *acme.Challenge {
	for i := range a.cfg.Challenges {
		kind := a.cfg.Challenges[(i+turn)%len(a.cfg.Challenges)]
		if at := slices.IndexFunc(offered, func(c *acme.Challenge) bool { return c.Type == kind }); at >= 0 {
			return offered[at]
		}
	}
	return nil
}

// answer makes what the CA is to find (RFC 8555 §8.3, RFC 8737 §3).
func (a *directory) answer(c *acme.Challenge, name string) (answer, error) {
	if c.Type == HTTP01 {
		text, err := a.client.HTTP01ChallengeResponse(c.Token)
		return answer{ID: c.Token, Text: text}, err
	}
	cert, err := a.client.TLSALPN01ChallengeCert(c.Token, name)
	if err != nil {
		return answer{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	return answer{ID: tlsPrefix + name, Chain: cert.Certificate, Key: key}, err
}
