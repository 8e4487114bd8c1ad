package revoke

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"postern/internal/policy"
)

// responses are the answers of OCSP responders, by certificate and responder, until they run out.
type responses struct {
	mu    sync.Mutex // guards known and the fields of its values
	known map[string]*response
}

// response is what a responder said, or why it said nothing.
type response struct {
	der    []byte
	next   time.Time
	used   time.Time
	tried  time.Time // when asking last failed; zero after it did not
	failed error
}

// The bounds of OCSP by request.
const (
	maxResponse  = 64 << 10
	maxResponses = 4096
	// maxGet is the longest request that is asked by GET, which caches on the way may answer (RFC 5019 §5).
	maxGet = 255
)

// askResponders asks the certificate's OCSP responders. It returns false, and why, where none knows.
func (c *Checker) askResponders(ctx context.Context, q *question, hosts []string,
	why *reasons) (policy.RevocationAnswer, bool) {
	for i, address := range hosts {
		by := "the OCSP responder " + said(address)
		part, cancel := share(ctx, len(hosts)-i)
		der, err := c.response(part, address, q)
		cancel()
		if err == nil {
			var v verdict
			if v, err = judge(der, q); err == nil {
				return v.answer("ocsp", by, q), true
			}
		}
		why.add(by, err)
	}
	return policy.RevocationAnswer{}, false
}

// response returns what the responder said, from memory while it counts.
func (c *Checker) response(ctx context.Context, address string, q *question) ([]byte, error) {
	key := listKey(address, q.issuer) + " " + q.cert.SerialNumber.Text(16)
	if der, err, known := c.asked.look(key, time.Now()); known {
		return der, err
	}
	done := c.fly("ocsp "+key, func(ctx context.Context) { c.ask(ctx, key, address, q) })
	if err := c.wait(ctx, done); err != nil {
		return nil, err
	}
	if der, err, known := c.asked.look(key, time.Now()); known {
		return der, err
	}
	return nil, errGone
}

// look returns what is known under key: an answer that counts, or a failure of a moment ago.
func (r *responses) look(key string, now time.Time) ([]byte, error, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[key]
	switch {
	case known == nil:
		return nil, nil, false
	case known.der != nil && !now.After(known.next):
		known.used = now
		return known.der, nil, true
	case known.failed != nil && now.Sub(known.tried) < again:
		return nil, known.failed, true
	}
	return nil, nil, false
}

// ask asks the responder. Only an answer that counts is kept.
func (c *Checker) ask(ctx context.Context, key, address string, q *question) {
	der, err := c.exchange(ctx, address, q)
	now := time.Now()
	fresh := *q
	fresh.now = now
	var v verdict
	if err == nil {
		v, err = judge(der, &fresh)
	}
	if err != nil && c.ctx.Err() != nil {
		return // the gateway stops: nobody failed
	}
	r := &c.asked.mu
	r.Lock()
	defer r.Unlock()
	if len(c.asked.known) >= maxResponses {
		c.asked.forget(now)
	}
	if err != nil {
		c.asked.known[key] = &response{tried: now, failed: err, used: now}
		return
	}
	c.asked.known[key] = &response{der: der, next: v.next, used: now}
}

// forget drops what has run out and, if that is nothing, what was not used for longest. The caller holds the lock.
func (r *responses) forget(now time.Time) {
	oldest, before := "", len(r.known)
	for key, known := range r.known {
		if now.After(known.next) && now.Sub(known.tried) >= again {
			delete(r.known, key)
		} else if oldest == "" || known.used.Before(r.known[oldest].used) {
			oldest = key
		}
	}
	if len(r.known) == before {
		delete(r.known, oldest)
	}
}

// forgive forgets that asking failed.
func (r *responses) forgive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, known := range r.known {
		if known.failed != nil {
			delete(r.known, key)
		}
	}
}

// exchange sends the request: by GET where it is short, and by POST where it is not or GET is not served.
func (c *Checker) exchange(ctx context.Context, address string, q *question) ([]byte, error) {
	request, err := ocsp.CreateRequest(q.cert, q.issuer, nil)
	if err != nil {
		return nil, errors.New("no OCSP request can be made for it")
	}
	encoded := url.QueryEscape(base64.StdEncoding.EncodeToString(request))
	if len(encoded) <= maxGet {
		der, err := c.http.get(ctx, strings.TrimSuffix(address, "/")+"/"+encoded, maxResponse)
		if !errors.Is(err, errStatus) {
			return der, err
		}
	}
	return c.http.post(ctx, address, "application/ocsp-request", request, maxResponse)
}
