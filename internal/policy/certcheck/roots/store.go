package roots

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"postern/internal/platform/certpem"
	"postern/internal/platform/filewatch"
	"postern/internal/policy"
)

// The values of Config.Public that are not files.
const (
	System  = "system"
	Bundled = "bundled"
)

// checkEvery is how often a file is looked at.
const checkEvery = time.Second

// Config says where roots come from.
type Config struct {
	// Public is System, Bundled or a file; "" is System. A machine without roots of its own gets the bundled ones, and
	// a Notice says so.
	Public string
	// Dir is what relative file names start from; "" is the working directory.
	Dir string
	// Notice, when set, is told when roots were read anew and when that failed. It is called with a lock held, so it
	// must not call the Store; it may be called from any goroutine that asks for pools.
	Notice func(Notice)
}

// Notice is a change of what is trusted, or a change that could not be made.
type Notice struct {
	Trust string // as asked for: policy.PublicTrust or a file as the administrator wrote it
	File  string // the file in question, "" for the bundled set
	// Certificates is how many roots are in force now.
	Certificates int
	// Err is why the new content was not taken; nil when it was. What was in force stays in force.
	Err error
	// Left is what of the new content could not be understood and is not trusted, each with its line; only the system's
	// own file may have such.
	Left []string
}

// Error says that the roots of a trust cannot be had.
type Error struct {
	Trust, File string
	Hint        string // what to do about it
	Err         error
}

// Error says what happened, without the hint.
func (e *Error) Error() string {
	return fmt.Sprintf("no trusted roots for %q from %s: %v", e.Trust, e.File, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Store hands out pools of roots. It is safe for concurrent use.
type Store struct {
	cfg Config

	mu      sync.Mutex
	entries map[string]*entry // by trust
}

// entry is what is known of one trust.
type entry struct {
	set     *set  // the last good one, nil if there never was one
	err     error // of the last look, nil if it was good
	checked time.Time
}

// set is the content of one source of roots.
type set struct {
	pool  *x509.CertPool
	count int
	file  string         // "" for the bundled set
	mark  filewatch.Mark // of its content
	left  []*certpem.Error
}

// New returns a Store whose public roots are loaded, or the *Error that says why they cannot be.
func New(cfg Config) (*Store, error) {
	if cfg.Public == "" {
		cfg.Public = System
	}
	s := &Store{cfg: cfg, entries: make(map[string]*entry)}
	if _, err := s.Pools(policy.PublicTrust); err != nil {
		return nil, err
	}
	return s, nil
}

// Pools returns the roots for each of trusts, which are policy.PublicTrust or files. The pools are shared and must not
// be changed. When some cannot be had the map lacks them and the error joins one *Error for each.
func (s *Store) Pools(trusts ...string) (map[string]*x509.CertPool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pools := make(map[string]*x509.CertPool, len(trusts))
	var errs []error
	for _, trust := range trusts {
		if e := s.look(trust); e.set != nil {
			pools[trust] = e.set.pool
		} else {
			errs = append(errs, e.err)
		}
	}
	return pools, errors.Join(errs...)
}

// Check reads the file of a trust as it is now and says why it cannot be trusted, whatever is in force: an *Error, nil
// when all is well.
func (s *Store) Check(trust string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.read(trust, nil)
	return err
}

// Reread has every file read again by whoever asks for pools next, because an administrator wants it; what is wrong
// with it is told again.
func (s *Store) Reread() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		e.checked, e.err = time.Time{}, nil
	}
}

// Digest names the content that Pools hands out for trusts, the public roots included: equal for equal content,
// whatever the order. What cannot be had has a digest of its own.
func (s *Store) Digest(trusts ...string) string {
	trusts = append(slices.Clone(trusts), policy.PublicTrust)
	slices.Sort(trusts)
	trusts = slices.Compact(trusts)
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.New()
	for _, trust := range trusts {
		fmt.Fprintf(sum, "%q ", trust)
		if e := s.look(trust); e.set != nil {
			fmt.Fprintf(sum, "%v ", e.set.mark)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// look returns the entry of trust, read anew if that is due and its file changed.
func (s *Store) look(trust string) *entry {
	e, known := s.entries[trust]
	if !known {
		e = &entry{}
		s.entries[trust] = e
	}
	now := time.Now()
	if known && now.Sub(e.checked) < checkEvery && !now.Before(e.checked) {
		return e
	}
	e.checked = now
	fresh, err := s.read(trust, e.set)
	switch {
	case err != nil:
		if e.set != nil && (e.err == nil || e.err.Error() != err.Error()) {
			s.tell(Notice{Trust: trust, File: s.file(trust), Certificates: e.set.count, Err: err})
		}
	case fresh != e.set:
		if e.set != nil || s.substituted(trust, fresh) || len(fresh.left) > 0 {
			n := Notice{Trust: trust, File: fresh.file, Certificates: fresh.count}
			for _, l := range fresh.left {
				n.Left = append(n.Left, l.Error())
			}
			s.tell(n)
		}
		e.set = fresh
	}
	e.err = err
	return e
}

// substituted reports whether the bundled set stands in for the system's.
func (s *Store) substituted(trust string, fresh *set) bool {
	return trust == policy.PublicTrust && s.cfg.Public == System && fresh.bundled()
}

func (s *Store) tell(n Notice) {
	if s.cfg.Notice != nil {
		s.cfg.Notice(n)
	}
}

// read returns the present content of trust, which is have itself where nothing changed.
func (s *Store) read(trust string, have *set) (*set, error) {
	if trust == policy.PublicTrust {
		switch s.cfg.Public {
		case System:
			return readSystem(have)
		case Bundled:
			return readBundled(have)
		}
	}
	file := s.file(trust)
	fresh, err := readFile(file, have, named)
	if err == nil {
		return fresh, nil
	}
	e := &Error{Trust: trust, File: file, Err: err, Hint: "put the CA's certificates in PEM form there"}
	if errors.Is(err, os.ErrPermission) {
		e.Hint = "make the file readable for the user the gateway runs as"
	}
	return nil, e
}

// file is the file that trust stands for, for people.
func (s *Store) file(trust string) string {
	name := trust
	if trust == policy.PublicTrust {
		name = s.cfg.Public
		if name == System || name == Bundled {
			return name
		}
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.cfg.Dir, name)
}
