package revoke

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"postern/internal/policy"
)

// Dialer opens connections. *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Config is what a Checker needs. The zero value keeps everything in memory and dials public addresses only.
type Config struct {
	// Dir is a folder of our own for lists; it is made when missing. "" keeps them in memory.
	Dir string
	// Allow names networks that lists and responders may be in though they are not public.
	Allow []netip.Prefix
	// Lookup finds the addresses of a host; nil asks the system.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dialer opens connections to addresses that were judged; nil is a net.Dialer.
	Dialer Dialer
	// FetchTime bounds one fetch and MaxList the bytes of one list; 0 means a minute and 32 MiB.
	FetchTime time.Duration
	MaxList   int64
	// Fetches bounds the fetches at a time; 0 means 8. Memory bounds the bytes of lists in memory, always: those that
	// are held, being fetched and being read; 0 means 64 MiB.
	Fetches int
	Memory  int64
	// Warn, when set, is told of what an administrator should know: a folder that cannot be written. Safe for
	// concurrent use.
	Warn func(err error)
}

// The bounds of what is looked at.
const (
	maxChains    = 8  // chains of one question
	maxAddresses = 4  // distribution points or responders of one certificate
	maxSaid      = 80 // octets of a stranger's text in a sentence
)

// skew is how far clocks may differ.
const skew = 5 * time.Minute

// again is how long a failed fetch is not repeated.
const again = 30 * time.Second

// Checker answers questions about revocation. It is safe for concurrent use.
type Checker struct {
	cfg   Config
	http  *fetcher
	lists *lists
	asked *responses

	ctx    context.Context // of the fetches; ends with Close
	cancel context.CancelFunc
	slots  chan struct{}
	group  sync.WaitGroup

	mu      sync.Mutex // guards running and closed
	running map[string]chan struct{}
	closed  bool
}

// New returns a Checker that knows the lists kept in cfg.Dir. Nothing is fetched before somebody asks. The caller calls
// Close at the end.
func New(cfg Config) (*Checker, error) {
	if cfg.FetchTime == 0 {
		cfg.FetchTime = time.Minute
	}
	if cfg.MaxList == 0 {
		cfg.MaxList = 32 << 20
	}
	if cfg.Fetches == 0 {
		cfg.Fetches = 8
	}
	if cfg.Memory == 0 {
		cfg.Memory = 64 << 20
	}
	cfg.MaxList = min(cfg.MaxList, cfg.Memory)
	if cfg.Warn == nil {
		cfg.Warn = func(error) {}
	}
	c := &Checker{cfg: cfg, http: newFetcher(cfg), slots: make(chan struct{}, cfg.Fetches),
		running: map[string]chan struct{}{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.asked = &responses{known: map[string]*response{}}
	var err error
	if c.lists, err = openLists(cfg); err != nil {
		c.cancel()
		return nil, err
	}
	return c, nil
}

// Close ends what is being fetched and waits for it. Questions asked later are answered from what is known.
func (c *Checker) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.group.Wait()
}

// Forget forgets what could not be fetched, so that the next question tries again at once. Answers are kept.
func (c *Checker) Forget() {
	c.lists.forgive()
	c.asked.forgive()
}

// Check says whether a certificate was revoked in each of chains, which were verified, leaf first and root last; one
// chain without a revoked certificate is enough. staple is the OCSP answer of the handshake, nil if none came. Check
// returns when ctx ends at the latest, with what is known then.
func (c *Checker) Check(ctx context.Context, chains [][]*x509.Certificate, staple []byte) policy.RevocationAnswer {
	chains = chains[:min(len(chains), maxChains)]
	for _, chain := range chains {
		c.begin(chain, staple)
	}
	best := policy.RevocationAnswer{}
	for _, chain := range chains {
		if best = best.Or(c.chain(ctx, chain, staple)); best.Status == policy.NotRevoked {
			break
		}
	}
	if best.Status == "" {
		return unknown("there is no chain to a trusted root")
	}
	return best
}

// chain asks about every certificate below the root.
func (c *Checker) chain(ctx context.Context, chain []*x509.Certificate, staple []byte) policy.RevocationAnswer {
	if len(chain) == 1 {
		return policy.RevocationAnswer{Status: policy.NotRevoked, Source: "exempt",
			Detail: "the certificate is itself a trusted root"}
	}
	var all policy.RevocationAnswer
	for i := range chain[:max(len(chain)-1, 0)] {
		q := question{cert: chain[i], issuer: chain[i+1], leaf: i == 0, now: time.Now()}
		if q.leaf {
			q.staple = staple
		}
		all = all.And(c.answer(ctx, &q))
		if all.Status == policy.Revoked {
			break
		}
	}
	return all
}

// question is about one certificate.
type question struct {
	cert, issuer *x509.Certificate
	leaf         bool
	staple       []byte
	now          time.Time
}

// answer asks the sources in order. Where none knows, all say why.
func (c *Checker) answer(ctx context.Context, q *question) policy.RevocationAnswer {
	if a, ok := q.exempt(); ok {
		return a
	}
	var why reasons
	if len(q.staple) > 0 {
		said, err := judge(q.staple, q)
		if err == nil {
			return said.answer("staple", "the stapled OCSP answer", q)
		}
		why.add("the stapled OCSP answer", err)
	} else if q.promisesStaple() {
		why.add("the server stapled no OCSP answer", nil)
	}
	if q.promisesStaple() {
		a := unknown(q.name() + " promises a stapled OCSP answer: " + why.String())
		a.Unstapled = true
		return a
	}
	points, notes := q.points()
	why.all(notes)
	hosts := q.responders()
	lists := ctx
	if len(hosts) > 0 {
		var cancel context.CancelFunc
		lists, cancel = share(ctx, 2) // leaves time for OCSP
		defer cancel()
	}
	if a, ok := c.askLists(lists, q, points, &why); ok {
		return a
	}
	if a, ok := c.askResponders(ctx, q, hosts, &why); ok {
		return a
	}
	if len(why) == 0 {
		why.add("it names no CRL and no OCSP responder that can be asked over HTTP", nil)
	}
	return unknown(q.name() + ": " + why.String())
}

// begin starts every fetch that the chain will need, so that they run side by side. Where a staple came the leaf waits:
// most likely nothing has to be fetched for it.
func (c *Checker) begin(chain []*x509.Certificate, staple []byte) {
	for i := range chain[:max(len(chain)-1, 0)] {
		q := question{cert: chain[i], issuer: chain[i+1], leaf: i == 0, now: time.Now()}
		if _, exempt := q.exempt(); exempt || q.leaf && (len(staple) > 0 || q.promisesStaple()) {
			continue
		}
		if points, _ := q.points(); len(points) > 0 {
			e := c.lists.entry(points[0].url, q.issuer, time.Now())
			c.start(e)
			c.lists.unpin(e)
		}
	}
}

func unknown(detail string) policy.RevocationAnswer {
	return policy.RevocationAnswer{Status: policy.RevocationNotSaid, Detail: detail}
}

// share returns a context that ends after the n-th part of the time that ctx has left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/time.Duration(n))
}

var (
	// errSlow says that the time of the question, not of the fetch, was over.
	errSlow = errors.New("no answer came in time")
	// errGone says that the answer was dropped before it could be read: the gateway stops, or too much is asked at
	// once.
	errGone = errors.New("no answer could be kept")
)
