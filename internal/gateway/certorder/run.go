package certorder

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/event"
)

// How often the store is looked into for what another gateway did, and how long one waits for another's order.
const (
	lookPause  = 10 * time.Minute
	leasePause = time.Minute
	windowTime = time.Minute
)

// orderTime is how long an order of so many names may take.
func orderTime(names int) time.Duration { return 2*time.Minute + time.Duration(names)*15*time.Second }

// Run orders and renews until ctx ends. It starts no goroutine. The error is always nil: what fails is told and tried
// again.
func (k *Keeper) Run(ctx context.Context) error {
	now := false
	for {
		pause := k.tend(ctx, now)
		now = false
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-k.wake:
			timer.Stop()
			now = true
		}
	}
}

// tend does what is due, and says how long nothing will be. now says that somebody asks for it.
func (k *Keeper) tend(ctx context.Context, now bool) time.Duration {
	s, err := k.look(ctx)
	if err != nil {
		k.storeFails(err)
		return leasePause
	}
	k.warned = false
	k.askWindow(ctx, &s)
	if wait := time.Until(k.dueWhen(&s, now)); wait > 0 {
		return min(wait, lookPause)
	}
	mine, err := k.renew(ctx, now)
	switch {
	case err != nil && ctx.Err() == nil:
		k.storeFails(err)
	case mine && err == nil:
		return time.Second // to see when the next is due
	}
	return leasePause
}

// storeFails warns once of a store that does not answer.
func (k *Keeper) storeFails(err error) {
	if !k.warned {
		k.warned = true
		k.cfg.Sink.Emit(event.Warned{What: "acme", Text: "the store with the gateway's own certificate does not " +
			"answer: " + err.Error(),
			Hint: "what is served now is served on; look at the disk of the data directory"})
	}
}

// look puts in force what the store holds, which another gateway may have changed.
func (k *Keeper) look(ctx context.Context) (state, error) {
	s, err := k.book.state(ctx, k.cfg.Names[0])
	if err != nil {
		return s, err
	}
	return s, k.adopt(&s)
}

// askWindow asks the CA now and then when it would have the certificate renewed. Where it does not say, two thirds of
// the life count.
func (k *Keeper) askWindow(ctx context.Context, s *state) {
	if len(s.Chain) == 0 || s.Directory != k.cfg.Directory || time.Now().Before(k.ask) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, windowTime)
	defer cancel()
	w, again, err := k.ca.Window(ctx, k.Certificate().Leaf)
	k.ask = time.Now().Add(again)
	if err == nil {
		k.window = w
	}
}

// due is when the next order is to be placed.
func (k *Keeper) due(s *state, leaf *x509.Certificate) time.Time {
	at := renewal(leaf, k.window)
	if k.incomplete(s, leaf) {
		at = time.Time{}
	}
	if s.NotBefore.After(at) && time.Until(s.NotBefore) <= longestWait { // nobody waits longer: the clock was ahead
		return s.NotBefore
	}
	return at
}

// dueWhen is due, or as if nothing had failed where somebody asks.
func (k *Keeper) dueWhen(s *state, now bool) time.Time {
	if now && !s.Asked {
		cleared := *s
		cleared.NotBefore = time.Time{}
		s = &cleared
	}
	return k.due(s, k.Certificate().Leaf)
}

// incomplete reports whether what is served is not what is configured, whatever its dates.
func (k *Keeper) incomplete(s *state, leaf *x509.Certificate) bool {
	if len(s.Chain) == 0 || s.Directory != k.cfg.Directory || !covers(leaf, k.cfg.Names) {
		return true
	}
	return k.cfg.Key != nil && !isFor(leaf, k.cfg.Key)
}

// renew places an order, unless another gateway does (mine is false) or has. The error is the store's.
func (k *Keeper) renew(ctx context.Context, asked bool) (mine bool, err error) {
	name, now := k.cfg.Names[0], time.Now()
	most := 2 * orderTime(len(k.cfg.Names))
	if mine, err = k.book.take(ctx, lease{Name: name, Holder: k.cfg.Holder, Ends: now.Add(most)}, now); err != nil ||
		!mine {
		return mine, err
	}
	defer func() { _ = k.book.giveBack(context.WithoutCancel(ctx), name, k.cfg.Holder) }() // it ends by itself
	s, err := k.look(ctx)
	if err != nil || k.dueWhen(&s, asked).After(time.Now()) {
		return mine, err
	}
	within, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	next := k.order(within, &s)
	if ctx.Err() != nil {
		return mine, nil // what failed is that we stop
	}
	err = k.save(ctx, &next)
	if adopted := k.adopt(&next); err == nil {
		err = adopted
	}
	k.tell(&s, &next)
	return mine, err
}

// save stores a state. A certificate that was ordered is worth three tries.
func (k *Keeper) save(ctx context.Context, s *state) (err error) {
	for range 3 {
		if err = k.book.putState(ctx, s); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	return err
}

// order asks the CA, and says what is to be kept of that.
func (k *Keeper) order(ctx context.Context, s *state) state {
	cert, missing, err := k.get(ctx, s)
	now := time.Now()
	if err == nil && cert == nil { // a name is missing still, and the rest is good
		next := *s
		next.lacks(missing, now)
		return next
	}
	if err == nil {
		next := state{Name: s.Name, Directory: k.cfg.Directory, Chain: cert.Certificate}
		next.Key, err = x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if missing != nil {
			next.lacks(missing, now)
		}
		if err == nil {
			return next
		}
	}
	next := *s
	next.Failures++
	next.Fault = err.Error()
	var asked, left time.Duration
	if f, ok := errors.AsType[*fault](err); ok {
		asked = f.wait
	}
	if len(s.Chain) > 0 {
		left = max(k.Certificate().Leaf.NotAfter.Sub(now), 1)
	}
	next.NotBefore, next.Asked = now.Add(pauseAfter(next.Failures, left, asked)), asked > 0
	return next
}

// lacks notes the names that the CA did not find.
func (s *state) lacks(f *fault, now time.Time) {
	s.Missing, s.Fault, s.NotBefore, s.Asked = f.names, f.text, now.Add(max(missingWait, min(f.wait, longestWait))),
		f.wait > 0
}

// get gets a certificate for all names, or for those that the CA finds here. There is none, without an error, where the
// one that is served has these already.
func (k *Keeper) get(ctx context.Context, s *state) (cert *tls.Certificate, missing *fault, err error) {
	key := k.cfg.Key
	if key == nil {
		if key, err = readKey(s.Key); err != nil {
			return nil, nil, err
		}
	}
	names := k.cfg.Names
	chain, err := k.ca.Order(ctx, names, key, s.Failures)
	if f, ok := errors.AsType[*fault](err); ok && k.mayDrop(s, f.names) {
		missing = f
		names = without(names, f.names)
		if k.good(s, names, key) {
			return nil, missing, nil
		}
		chain, err = k.ca.Order(ctx, names, key, s.Failures)
	}
	if err != nil {
		return nil, nil, err
	}
	if cert, err = joined(chain, key); err != nil {
		return nil, nil, fmt.Errorf("what the CA gave cannot be used: %w", err)
	}
	if !covers(cert.Leaf, names) || !cert.Leaf.NotAfter.After(time.Now()) {
		return nil, nil, errors.New("what the CA gave cannot be used: a name is missing, or it has expired")
	}
	return cert, missing, nil
}

// mayDrop reports whether a certificate without some names is better than none: not without the first, and not as long
// as the one that is served has one of them and a good part of its life.
func (k *Keeper) mayDrop(s *state, names []string) bool {
	rest := without(k.cfg.Names, names)
	if len(names) == 0 || len(rest) == len(k.cfg.Names) || len(rest) == 0 || slices.Contains(names, k.cfg.Names[0]) {
		return false
	}
	leaf := k.Certificate().Leaf
	had := len(s.Chain) > 0 && slices.ContainsFunc(names, func(n string) bool { return leaf.VerifyHostname(n) == nil })
	return !had || time.Until(leaf.NotAfter) < leaf.NotAfter.Sub(leaf.NotBefore)/6
}

// good reports whether what is served will do for some names, and is not old.
func (k *Keeper) good(s *state, names []string, key crypto.Signer) bool {
	served := k.Certificate()
	return len(s.Chain) > 0 && s.Directory == k.cfg.Directory && isFor(served.Leaf, key) &&
		covers(served.Leaf, names) &&
		renewal(served.Leaf, k.window).After(time.Now())
}

// tell tells what became of an order.
func (k *Keeper) tell(before, after *state) {
	e := event.CertificateOrdered{Missing: after.Missing, Fault: after.Fault, Temporary: len(after.Chain) == 0}
	leaf := k.Certificate().Leaf
	e.Names, e.End, e.Next = leaf.DNSNames, leaf.NotAfter, k.due(after, leaf)
	e.Issued = after.Failures == 0 && !slices.EqualFunc(before.Chain, after.Chain, slices.Equal)
	e.SameKey = slices.Equal(before.Key, after.Key)
	k.cfg.Sink.Emit(e)
}
