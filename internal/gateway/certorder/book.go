package certorder

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"postern/internal/platform/records"
)

// state is what is kept of one certificate. Of the JSON names none is ever changed.
type state struct {
	// Name is the first of the names, which the state is found by.
	Name string `json:"name"`
	// Directory is the CA that Chain comes from.
	Directory string `json:"directory,omitempty"`
	// Key is that of Chain (PKCS #8), or the one that the first order is for. Chain is leaf first, DER; empty before
	// the first certificate.
	Key   []byte   `json:"key"`
	Chain [][]byte `json:"chain,omitempty"`
	// Missing are names that the CA did not find here.
	Missing []string `json:"missing,omitempty"`
	// Failures are orders in a row without a certificate, Fault is why the last one failed, and NotBefore is when the
	// next may be placed; Asked says that the CA itself wants that.
	Asked     bool      `json:"asked,omitempty"`
	Failures  int       `json:"failures,omitempty"`
	Fault     string    `json:"fault,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
}

// account is what the CA knows us by.
type account struct {
	Directory string `json:"directory"`
	Binding   string `json:"binding,omitempty"` // the key id of the external account
	Key       []byte `json:"key"`
	URI       string `json:"uri,omitempty"` // "" before it is registered
}

func (a *account) id() string { return a.Directory + " " + a.Binding }

// answer is what the CA is to find at this gateway. Key authorization for HTTP, certificate with its key for TLS.
type answer struct {
	ID    string    `json:"id"` // the token, or "tls " and the name
	Text  string    `json:"text,omitempty"`
	Chain [][]byte  `json:"chain,omitempty"`
	Key   []byte    `json:"key,omitempty"`
	Ends  time.Time `json:"ends"`
}

// lease says who orders, and until when at most.
type lease struct {
	Name   string    `json:"name"`
	Holder string    `json:"holder"`
	Ends   time.Time `json:"ends"`
}

// book keeps all of it.
type book struct {
	store records.Store
	own   *own
}

func newBook(store records.Store) book { return book{store, &own{answers: map[string]answer{}}} }

// own are the answers that this process gave, which are found without the store. Strangers can ask as often as they
// like, and the store has better to do: for what others gave it is asked mostLooks times a second. Safe for concurrent
// use.
type own struct {
	mu      sync.Mutex
	answers map[string]answer
	second  int64
	looks   int
}

const mostLooks = 20

// find returns an answer of ours. look says that the store may be asked where there is none.
func (o *own) find(id string, now time.Time) (a answer, ours, look bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a, ours = o.answers[id]; ours {
		return a, true, false
	}
	if second := now.Unix(); second != o.second {
		o.second, o.looks = second, 0
	}
	o.looks++
	return a, false, o.looks <= mostLooks
}

func (o *own) put(a *answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[a.ID] = *a
}

func (o *own) drop(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.answers, id)
}

func states() records.Shelf[state] {
	return records.Shelf[state]{Kind: "acme-certificate", Key: func(s *state) string { return s.Name }}
}

func accounts() records.Shelf[account] {
	return records.Shelf[account]{Kind: "acme-account", Key: func(a *account) string { return a.id() }}
}

func answers() records.Shelf[answer] {
	return records.Shelf[answer]{Kind: answerKind, Key: func(a *answer) string { return a.ID },
		At: func(a *answer) time.Time { return a.Ends }}
}

func leases() records.Shelf[lease] {
	return records.Shelf[lease]{Kind: "acme-lease", Key: func(l *lease) string { return l.Name }}
}

const answerKind = "acme-answer"

// ensure returns what is there, and stores what make makes where nothing is.
func ensure[T any](ctx context.Context, b book, shelf records.Shelf[T], key string, make func() (T, error)) (T, error) {
	return records.Change(ctx, b.store, func(t records.Tx) (T, error) {
		there, err := shelf.Get(t, key)
		if !errors.Is(err, records.ErrNotFound) {
			return there, err
		}
		made, err := make()
		if err == nil {
			err = shelf.Put(t, &made, 0)
		}
		return made, err
	})
}

// sameCertificate reports whether two states have the same key and chain.
func (s *state) sameCertificate(other *state) bool {
	return bytes.Equal(s.Key, other.Key) && slices.EqualFunc(s.Chain, other.Chain, bytes.Equal)
}

func (b book) state(ctx context.Context, name string) (state, error) {
	return records.Read(ctx, b.store, func(r records.Reader) (state, error) { return states().Get(r, name) })
}

// first is the state of the first of some names that has one.
func (b book) first(ctx context.Context, names []string) (s state, there bool, err error) {
	for _, name := range names {
		if s, err = b.state(ctx, name); !errors.Is(err, records.ErrNotFound) {
			return s, err == nil, err
		}
	}
	return state{}, false, nil
}

func (b book) putState(ctx context.Context, s *state) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error { return states().Put(t, s, records.Any) })
}

func (b book) putAccount(ctx context.Context, a *account) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error { return accounts().Put(t, a, records.Any) })
}

// putAnswer stores an answer, and drops those that nobody will ask for any more.
func (b book) putAnswer(ctx context.Context, a *answer, now time.Time) error {
	b.own.put(a)
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		return errors.Join(t.DeleteAll(records.Query{Kind: answerKind, Before: now}), answers().Put(t, a, records.Any))
	})
}

// answer returns an answer that counts now.
func (b book) answer(ctx context.Context, id string, now time.Time) (answer, error) {
	a, ours, look := b.own.find(id, now)
	if ours {
		return a, nil
	}
	if !look {
		return a, records.ErrNotFound
	}
	a, err := records.Read(ctx, b.store, func(r records.Reader) (answer, error) { return answers().Get(r, id) })
	if err == nil && !now.Before(a.Ends) {
		err = records.ErrNotFound
	}
	return a, err
}

func (b book) dropAnswer(ctx context.Context, id string) error {
	b.own.drop(id)
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		_, err := t.Delete(answerKind, id)
		return err
	})
}

// clockSlack is how far the clocks of gateways may differ. A lease that ends later was taken while a clock was ahead.
const clockSlack = time.Hour

// take takes the lease, and reports whether nobody else has it.
func (b book) take(ctx context.Context, want lease, now time.Time) (bool, error) {
	return records.Change(ctx, b.store, func(t records.Tx) (bool, error) {
		there, err := leases().Get(t, want.Name)
		switch {
		case errors.Is(err, records.ErrNotFound):
		case err != nil:
			return false, err
		case there.Holder != want.Holder && now.Before(there.Ends) && there.Ends.Before(want.Ends.Add(clockSlack)):
			return false, nil
		}
		return true, leases().Put(t, &want, records.Any)
	})
}

// giveBack ends a lease that is still ours.
func (b book) giveBack(ctx context.Context, name, holder string) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		there, err := leases().Get(t, name)
		if err != nil || there.Holder != holder {
			return nil // another has it, or nobody
		}
		there.Ends = time.Time{}
		return leases().Put(t, &there, records.Any)
	})
}

// newKey makes a key that every mail server can use: ECDSA with P-256.
func newKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// readKey reads a stored key.
func readKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("the stored key cannot be read: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the stored key cannot sign")
	}
	return signer, nil
}

// isFor reports whether a certificate is for a key.
func isFor(leaf *x509.Certificate, key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(leaf.PublicKey)
}

// parsed reads a chain.
func parsed(chain [][]byte) ([]*x509.Certificate, error) {
	out := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the chain cannot be read: %w", i+1, err)
		}
		out[i] = c
	}
	return out, nil
}

// joined is a chain with its key, as TLS takes it. The error is that they do not belong together.
func joined(chain [][]byte, key crypto.Signer) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("there is no certificate")
	}
	certs, err := parsed(chain)
	if err != nil {
		return nil, err
	}
	if !isFor(certs[0], key) {
		return nil, errors.New("the certificate is for another key")
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: certs[0]}, nil
}

// temporaryLife is how long a certificate of our own making says it is good. Another is made at each start.
const temporaryLife = 90 * 24 * time.Hour

// temporary signs a certificate with its own key. Nobody trusts it; it lets TLS begin, and a TLSA record can name its
// key.
func temporary(names []string, key crypto.Signer, now time.Time) (*tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "temporary " + short(names[0])},
		DNSNames:  names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(temporaryLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return joined([][]byte{der}, key)
}

// short cuts a name to what a common name may hold (RFC 5280 Appendix A.1: 64 characters).
func short(name string) string { return name[:min(len(name), 40)] }
