package certorder

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"postern/internal/event"
	"postern/internal/platform/certpem"
	"postern/internal/platform/records"
)

// The kinds of challenge that can be answered.
const (
	HTTP01    = "http-01"     // at port 80 (RFC 8555 §8.3)
	TLSALPN01 = "tls-alpn-01" // at port 443 (RFC 8737)
)

// ALPN is the protocol that a CA asks for in a handshake which is a challenge (RFC 8737 §6.2).
const ALPN = "acme-tls/1"

const tlsPrefix = "tls "

// Config is what a Keeper needs. Everything must be set but Email, the binding, Key and File.
type Config struct {
	Store records.Store
	// Directory is the CA's, an https address; Email is for its letters to us, "" for none.
	Directory, Email string
	// Names are those of the certificate, in ASCII, the gateway's own first.
	Names []string
	// BindingID and BindingKey are of the account that we have at the CA already (RFC 8555 §7.3.4); "" where it wants
	// none.
	BindingID  string
	BindingKey []byte
	// Challenges are the kinds that can be answered, the better one first.
	Challenges []string
	// Key is the key to be certified; nil: one that is made once and kept.
	Key crypto.Signer
	// HTTP speaks to the CA.
	HTTP *http.Client
	// Holder names this process among those that share the store.
	Holder string
	// File gets a copy of what is served, without the key, for whoever reads files; "" for none.
	File string
	// Sink is told of each order (event.CertificateOrdered), and warned where the store does not answer.
	Sink event.Sink
}

// Keeper has the certificate. Open makes one. Safe for concurrent use.
type Keeper struct {
	cfg     Config
	book    book
	ca      authority
	wake    chan struct{} // capacity 1: somebody asks for an order
	now     atomic.Pointer[tls.Certificate]
	status  atomic.Pointer[Status]
	warned  bool      // of Run alone: that the store does not answer
	window  window    // of Run alone: what the CA said of the certificate that is served
	ask     time.Time // of Run alone: when it is asked again
	stale   bool      // of Open and then Run alone: that the copy could not be written
	adopted state     // likewise: the key and the chain that are served
}

// Status is how it stands.
type Status struct {
	// Temporary says that the CA gave no certificate yet.
	Temporary bool
	// Missing are names that the certificate should have and has not.
	Missing []string
	// Fault is why the last order failed, "" where it did not. Next is when the next one may be placed, or is due.
	Fault string
	Next  time.Time
}

// Open reads what is kept, or begins: the key is made and stored, and a certificate of our own making is served until
// the CA gives one.
func Open(ctx context.Context, cfg Config) (*Keeper, error) {
	b := newBook(cfg.Store)
	k := newKeeper(cfg, b)
	k.ca = newDirectory(&k.cfg, b)
	return k, k.begin(ctx)
}

func newKeeper(cfg Config, b book) *Keeper {
	return &Keeper{cfg: cfg, book: b, wake: make(chan struct{}, 1)}
}

// Again has an order that failed tried again at once: somebody mended what was wrong. What the CA asked for counts all
// the same.
func (k *Keeper) Again() {
	select {
	case k.wake <- struct{}{}:
	default: // it will be
	}
}

// begin puts in force what is kept.
func (k *Keeper) begin(ctx context.Context) error {
	if len(k.cfg.Names) == 0 || len(k.cfg.Challenges) == 0 {
		return errors.New("a certificate needs a name and a kind of challenge")
	}
	before, there, err := k.book.first(ctx, k.cfg.Names)
	if err != nil {
		return fmt.Errorf("the gateway's own certificate cannot be read from the store: %w", err)
	}
	s, err := ensure(ctx, k.book, states(), k.cfg.Names[0], func() (state, error) {
		s := state{Name: k.cfg.Names[0]}
		if there { // another name stood first: key and chain stay
			s.Directory, s.Key, s.Chain = before.Directory, before.Key, before.Chain
			return s, nil
		}
		var err error
		if k.cfg.Key != nil {
			s.Key, err = x509.MarshalPKCS8PrivateKey(k.cfg.Key)
		} else {
			s.Key, err = newKey()
		}
		return s, err
	})
	if err != nil {
		return fmt.Errorf("the gateway's own certificate cannot be read from the store: %w", err)
	}
	return k.adopt(&s)
}

// adopt serves what a state holds.
func (k *Keeper) adopt(s *state) error {
	if cert := k.now.Load(); cert != nil && !k.stale && k.adopted.sameCertificate(s) {
		k.note(s, cert)
		return nil
	}
	key, err := readKey(s.Key)
	if err != nil {
		return err
	}
	var cert *tls.Certificate
	if len(s.Chain) > 0 {
		cert, err = joined(s.Chain, key)
	} else {
		if k.cfg.Key != nil {
			key = k.cfg.Key // nothing was certified yet
		}
		if cert = k.now.Load(); cert == nil {
			cert, err = temporary(k.cfg.Names, key, time.Now())
		}
	}
	if err != nil {
		return fmt.Errorf("the stored certificate cannot be served: %w", err)
	}
	k.note(s, cert)
	k.adopted = state{Key: s.Key, Chain: s.Chain}
	if before := k.now.Swap(cert); before == nil || !before.Leaf.Equal(cert.Leaf) {
		k.window, k.ask = window{}, time.Time{}
	} else if !k.stale {
		return nil
	}
	if err := k.copy(cert); err == nil {
		k.stale = false
	} else if !k.stale {
		k.stale = true
		k.cfg.Sink.Emit(event.Warned{What: "acme", Text: "the copy of the gateway's own certificate cannot be " +
			"written: " + err.Error(),
			Hint: "the certificate is served all the same; let the gateway's user write to this file"})
	}
	return nil
}

func (k *Keeper) note(s *state, cert *tls.Certificate) {
	k.status.Store(&Status{Temporary: len(s.Chain) == 0, Missing: s.Missing, Fault: s.Fault, Next: k.due(s, cert.Leaf)})
}

// copy writes what is served into the file.
func (k *Keeper) copy(cert *tls.Certificate) error {
	if k.cfg.File == "" {
		return nil
	}
	chain, err := parsed(cert.Certificate)
	if err != nil {
		return err
	}
	next := k.cfg.File + ".new"
	if err := os.WriteFile(next, certpem.Encode(chain), 0o644); err != nil {
		return err
	}
	return os.Rename(next, k.cfg.File)
}

// Certificate is what is served now; it is never nil.
func (k *Keeper) Certificate() *tls.Certificate { return k.now.Load() }

// Status is how it stands now.
func (k *Keeper) Status() Status { return *k.status.Load() }

// answerTime bounds how long the store is waited for when the CA asks.
const answerTime = 5 * time.Second

// mostID bounds what is looked up for strangers, in bytes.
const mostID = 300

// HTTPAnswer is what the CA is to find under a token, "" where there is no such challenge.
func (k *Keeper) HTTPAnswer(ctx context.Context, token string) string {
	if token == "" || strings.HasPrefix(token, tlsPrefix) || strings.Trim(token, tokenLetters) != "" {
		return ""
	}
	a, ok := k.find(ctx, token)
	if !ok {
		return ""
	}
	return a.Text
}

// tokenLetters are those of a token (RFC 8555 §8.1).
const tokenLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// TLSAnswer is the certificate that the CA is to find in a handshake for a name, nil where there is no such challenge.
func (k *Keeper) TLSAnswer(ctx context.Context, name string) *tls.Certificate {
	a, ok := k.find(ctx, tlsPrefix+strings.ToLower(name))
	if !ok {
		return nil
	}
	key, err := readKey(a.Key)
	if err != nil {
		return nil
	}
	cert, err := joined(a.Chain, key)
	if err != nil {
		return nil
	}
	return cert
}

func (k *Keeper) find(ctx context.Context, id string) (answer, bool) {
	if len(id) > mostID {
		return answer{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	a, err := k.book.answer(ctx, id, time.Now())
	return a, err == nil
}
