// Package identity is the gateway's own certificates: read from files, chosen by the name a client asks for, and read
// again when their content changes (see filewatch) or somebody asks, so that a renewal needs no restart. A file that
// has become unreadable or does not fit its key keeps the last good certificate in force, and a Notice says so. Beside
// those of files there may be certificates that somebody else renews (Source).
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/platform/certpem"
	"postern/internal/platform/filewatch"
	"postern/internal/platform/sandbox"
)

// File names the files of one certificate: the chain, leaf first, and its private key, both PEM.
type File struct{ Cert, Key string }

// Notice tells that certificates were read anew (Err nil) or could not be (the old one stays in force).
type Notice struct {
	File string
	Err  error
}

// Source has a certificate that changes without a file, and is asked at each handshake. It is never nil.
type Source interface{ Certificate() *tls.Certificate }

// lookPause is the least time between two looks at the files.
const lookPause = time.Second

// Certificates chooses certificates. Load makes one. Safe for concurrent use.
type Certificates struct {
	files  []File
	more   []Source
	notice func(Notice)
	now    atomic.Pointer[[]tls.Certificate]

	mu     sync.Mutex // guards what follows
	looked time.Time
	seen   []filewatch.Mark // of what is in force
	failed []string         // why it could not be read, as it was told; it is tried again
}

// Load reads all files; every pair must be good. Those of more come after them. notice may be nil.
func Load(files []File, notice func(Notice), more ...Source) (*Certificates, error) {
	if len(files)+len(more) == 0 {
		return nil, errors.New("no certificate is configured")
	}
	if notice == nil {
		notice = func(Notice) {}
	}
	c := &Certificates{files: files, more: more, notice: notice,
		seen: make([]filewatch.Mark, len(files)), failed: make([]string, len(files)),
		looked: time.Now()}
	certs := make([]tls.Certificate, len(files))
	for i, f := range files {
		cert, mark, err := read(f)
		if err != nil {
			return nil, err
		}
		certs[i], c.seen[i] = cert, mark
	}
	c.now.Store(&certs)
	return c, nil
}

// Read reads one pair of files. A key that everyone on the machine may read or write is no secret and is refused.
func Read(f File) (tls.Certificate, error) {
	cert, _, err := read(f)
	return cert, err
}

// read is Read, with the mark of what was read, which is there also where it is no good.
func read(f File) (cert tls.Certificate, mark filewatch.Mark, err error) {
	chain, err := os.ReadFile(f.Cert)
	var key []byte
	if err == nil {
		key, err = os.ReadFile(f.Key)
	}
	if err == nil {
		mark = filewatch.Of(chain, key)
		cert, err = pair(chain, key)
	}
	if err != nil {
		return cert, mark, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	if err := sandbox.Exposed(f.Key); err != nil {
		return tls.Certificate{}, mark, fmt.Errorf("key %w", err)
	}
	return cert, mark, nil
}

// pair joins a chain, every certificate of it, with its key.
func pair(chain, key []byte) (tls.Certificate, error) {
	certs, err := certpem.Chain(chain)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certpem.Encode(certs), key)
}

// Get chooses the certificate for a handshake: the first that the client's name and abilities fit, else the first its
// abilities fit, else the first. A client without a name, or with one we do not have, is served all the same.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.refresh()
	certs := c.inForce()
	for i := range certs {
		if hello.ServerName != "" && hello.SupportsCertificate(&certs[i]) == nil {
			return &certs[i], nil
		}
	}
	nameless := *hello
	nameless.ServerName = ""
	for i := range certs {
		if nameless.SupportsCertificate(&certs[i]) == nil {
			return &certs[i], nil
		}
	}
	return &certs[0], nil
}

// inForce are all certificates, those of files first.
func (c *Certificates) inForce() []tls.Certificate {
	certs := *c.now.Load()
	if len(c.more) == 0 {
		return certs
	}
	certs = slices.Clone(certs)
	for _, s := range c.more {
		certs = append(certs, *s.Certificate())
	}
	return certs
}

// refresh reads the files, at most once a second.
func (c *Certificates) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= lookPause {
		c.look()
	}
}

// Reread reads the files because an administrator asks; what is wrong with them is told again.
func (c *Certificates) Reread() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.failed)
	c.look()
}

// look reads the files and puts in force what changed. The caller holds the lock.
func (c *Certificates) look() {
	c.looked = time.Now()
	certs := append([]tls.Certificate(nil), *c.now.Load()...)
	changed := false
	for i, f := range c.files {
		cert, mark, err := read(f)
		switch {
		case err != nil:
			if text := err.Error(); text != c.failed[i] {
				c.failed[i] = text
				c.notice(Notice{File: f.Cert, Err: err})
			}
			continue
		case mark != c.seen[i]:
			certs[i], changed, c.seen[i] = cert, true, mark
			c.notice(Notice{File: f.Cert})
		}
		c.failed[i] = ""
	}
	if changed {
		c.now.Store(&certs)
	}
}

// Leaves returns the servers' own certificates that are in force, read anew where their files changed.
func (c *Certificates) Leaves() (out []*x509.Certificate) {
	c.refresh()
	for _, one := range c.inForce() {
		if one.Leaf != nil {
			out = append(out, one.Leaf)
		}
	}
	return out
}
