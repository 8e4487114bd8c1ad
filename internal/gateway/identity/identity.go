// Package identity is the gateway's own certificates: read from files, chosen by the name a client asks for, and read
// again when the files change, so that a renewal needs no restart. A file that has become unreadable or does not fit its
// key keeps the last good certificate in force, and a Notice says so.
package identity

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// File names the files of one certificate: the chain, leaf first, and its private key, both PEM.
type File struct{ Cert, Key string }

// Notice tells that certificates were read anew (Err nil) or could not be (the old one stays in force).
type Notice struct {
	File string
	Err  error
}

// lookPause is the least time between two looks at the files.
const lookPause = time.Second

// Certificates chooses certificates. Load makes one. Safe for concurrent use.
type Certificates struct {
	files  []File
	notice func(Notice)
	now    atomic.Pointer[[]tls.Certificate]

	mu     sync.Mutex // guards what follows
	looked time.Time
	seen   []stamp // of what is in force
	failed []stamp // of what could not be read, and was told; it is tried again
}

// stamp tells whether a pair of files changed.
type stamp struct {
	cert, key         time.Time
	certSize, keySize int64
}

// Load reads all files; every pair must be good. notice may be nil.
func Load(files []File, notice func(Notice)) (*Certificates, error) {
	if len(files) == 0 {
		return nil, errors.New("no certificate is configured")
	}
	if notice == nil {
		notice = func(Notice) {}
	}
	c := &Certificates{files: files, notice: notice, seen: make([]stamp, len(files)), failed: make([]stamp, len(files)),
		looked: time.Now()}
	certs := make([]tls.Certificate, len(files))
	for i, f := range files {
		cert, err := Read(f)
		if err != nil {
			return nil, err
		}
		certs[i], c.seen[i] = cert, look(f)
	}
	c.now.Store(&certs)
	return c, nil
}

// Read reads one pair of files. A key that everyone on the machine may read or write is no secret and is refused.
func Read(f File) (tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return cert, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	if info, err := os.Stat(f.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		return tls.Certificate{}, fmt.Errorf("key %s can be read or written by everyone on this machine (mode %04o); chmod o= %s",
			f.Key, info.Mode().Perm(), f.Key)
	}
	return cert, nil
}

func look(f File) (s stamp) {
	if info, err := os.Stat(f.Cert); err == nil {
		s.cert, s.certSize = info.ModTime(), info.Size()
	}
	if info, err := os.Stat(f.Key); err == nil {
		s.key, s.keySize = info.ModTime(), info.Size()
	}
	return s
}

// Get chooses the certificate for a handshake: the first that the client's name and abilities fit, else the first its
// abilities fit, else the first. A client without a name, or with one we do not have, is served all the same.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.refresh()
	certs := *c.now.Load()
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

// refresh reads changed files anew, at most once a second.
func (c *Certificates) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookPause {
		return
	}
	c.looked = time.Now()
	certs := append([]tls.Certificate(nil), *c.now.Load()...)
	changed := false
	for i, f := range c.files {
		s := look(f)
		if s == c.seen[i] {
			continue
		}
		cert, err := Read(f)
		if err == nil {
			certs[i], changed, c.seen[i] = cert, true, s
		}
		if err == nil || s != c.failed[i] {
			c.notice(Notice{File: f.Cert, Err: err})
			c.failed[i] = s
		}
	}
	if changed {
		c.now.Store(&certs)
	}
}
