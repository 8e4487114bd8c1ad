// Package notify writes to the administrator when something should not wait until somebody looks: a peer that always
// had TLS lost it, the certificate of a partner under a rule runs out, a notice is held, mail waits because a partner's
// mail hosts changed, a rule refuses a partner's mail, a published policy cannot be had or an exception to one ends.
// Its messages go through the gateway's own queue like any mail, with the protection that the rules and the route to
// the administrator demand.
//
// There are few of them by construction: the same matter at most once a day, so many messages an hour, and what comes
// faster is gathered into the next one. Both hold for all gateways on a store together, and after a start anew (package
// told): each of them hears what happens at it, and right before a message is written it takes from it what another has
// told. What is wrong with one gateway itself is a matter of its own for each.
package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/history/told"
	"postern/internal/mail"
	"postern/internal/platform/pause"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Config is what a Notifier needs. A zero To writes to nobody; else everything up to Random must be set.
type Config struct {
	To, From mail.Address
	Hostname mail.Domain
	Store    queue.Store
	// InForce returns what is in force now; Wake lets the dispatcher know of what was queued.
	InForce func() *inforce.View
	Wake    func(m *queue.Message, site queue.SiteKey, due time.Time)
	Sink    event.Sink
	Random  func() uint32
	// Told is what all gateways told; nil remembers what this one told until it stops. Node is this one's name.
	Told *told.Book
	Node string
	// Lifetime is how long a message may wait (0: mail.Lifetime), PerHour how many are written in an hour (0: 10),
	// Gather how long one waits for more matters to go with it (0: 2 s).
	Lifetime time.Duration
	PerHour  int
	Gather   time.Duration
}

// Matter is one thing to tell. Texts may quote peers: they are escaped and bounded where they are written.
type Matter struct {
	// Key says what it is about; the same is told once a day.
	Key string
	// Subject is one short line, Text a few sentences, Hint what to do.
	Subject, Text, Hint string
}

// Notifier gathers matters and writes them. It is an event.Sink. Safe for concurrent use; nothing of it but Run waits.
type Notifier struct {
	cfg  Config
	wake chan struct{} // capacity 1

	mu      sync.Mutex // guards what follows
	told    map[string]time.Time
	pending []Matter
	more    int // that found no room in pending
}

// Bounds of what is kept, and how long a matter rests.
const (
	rest       = 24 * time.Hour
	maxPending = 50
	maxTold    = 10_000
	retryPause = time.Minute
)

// New returns a Notifier.
func New(cfg Config) *Notifier {
	if cfg.Lifetime == 0 {
		cfg.Lifetime = mail.Lifetime
	}
	if cfg.PerHour == 0 {
		cfg.PerHour = 10
	}
	if cfg.Gather == 0 {
		cfg.Gather = 2 * time.Second
	}
	return &Notifier{cfg: cfg, wake: make(chan struct{}, 1), told: map[string]time.Time{}}
}

// Tell takes a matter to be written about, unless it was told within a day.
func (n *Notifier) Tell(m Matter) {
	if n.cfg.To.IsNull() {
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, ok := n.told[m.Key]; ok && now.Sub(at) < rest {
		return
	}
	if len(n.told) >= maxTold {
		for key, at := range n.told {
			if now.Sub(at) >= rest {
				delete(n.told, key)
			}
		}
	}
	if len(n.told) < maxTold {
		n.told[m.Key] = now
	}
	if len(n.pending) >= maxPending {
		n.more++
		return
	}
	n.pending = append(n.pending, m)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// mxChanged tells that the mail hosts of a domain are below names that were not known.
func (n *Notifier) mxChanged(e *event.MXChanged) {
	m := Matter{
		Key:     "mx-changed " + e.Domain + " " + strings.Join(e.Found, " "),
		Subject: "mail for " + e.Domain + " waits: its mail hosts changed",
		Text:    "Mail under the rule " + strings.Join(e.Rules, ", ") + " for " + e.Domain + " waits (mx-changed): ",
		Hint: "ask the partner, by telephone, whether that is right; then: postern peers approve " +
			e.Domain + " " + strings.Join(e.Found, " "),
	}
	if !e.Waits {
		m.Subject = "the mail hosts of " + e.Domain + " changed"
		m.Text = "Mail under the rule " + strings.Join(e.Rules, ", ") + " for " + e.Domain +
			" still goes to a mail host that is known (mx-changed at others): "
	}
	m.Text += "its mail hosts were below " + strings.Join(e.Known, ", ") + ", and now some are below " +
		strings.Join(e.Found, ", ") + " (" + strings.Join(e.Hosts, ", ") +
		"). DNS says so without proof, and whoever forges DNS could say the same."
	if len(e.Seen) > 0 {
		m.Text += " DNS named " + strings.Join(e.Seen, ", ") +
			" beside them at the first use already, and no mail ever went there."
	}
	n.Tell(m)
}

// Emit tells of the events that an administrator should be written to about.
func (n *Notifier) Emit(e event.Event) {
	switch e := e.(type) {
	case event.MXChanged:
		n.mxChanged(&e)
	case event.PeerChanged:
		n.peer(&e)
	case event.ClientPlain:
		n.client(&e)
	case event.FellShort:
		n.refused(&e)
	case event.CertificateEnding:
		n.ending(&e)
	case event.CertificateOrdered:
		if e.Temporary && e.Fault != "" {
			n.Tell(Matter{Key: "certificate missing", Subject: "the gateway has no public certificate",
				Text: "The CA gave no certificate: " + e.Fault + ". Mail is taken with one that the gateway has " +
					"signed itself, which senders who insist on a public one refuse.",
				Hint: "`postern config check`; it is tried again at " + e.Next.UTC().Format(time.RFC3339)})
		}
	case event.PolicyUnavailable:
		n.policy(&e, time.Now())
	case event.ReportReceived:
		n.report(&e)
	case event.Warned:
		switch e.What {
		case "notice held", "backscatter":
			n.Tell(Matter{Key: e.What, Subject: e.What, Text: e.Text, Hint: e.Hint})
		case "starttls lost everywhere":
			n.Tell(Matter{Key: n.here(e.What), Subject: e.What, Text: e.Text, Hint: e.Hint})
		case "policy hosts":
			n.Tell(Matter{Key: n.here(e.What), Subject: "no MTA-STS policy can be fetched", Text: e.Text + ".",
				Hint: e.Hint})
		case "exception ends":
			n.Tell(Matter{Key: e.What + " " + e.Text, Subject: "an exception ends soon", Text: e.Text + ".",
				Hint: e.Hint})
		}
	}
}

// client tells of one of our own clients that came without TLS.
func (n *Notifier) client(e *event.ClientPlain) {
	name := e.Client.String()
	m := Matter{
		Key:     "client " + string(e.Kind) + " " + name,
		Subject: "mail that a rule protects came without TLS from " + name,
		Text: fmt.Sprintf("%s (%s) handed in message %s without TLS at %s. The rule %s forces it onward, but on "+
			"the way to the gateway anybody could read it.",
			name, e.Helo, e.Message, e.Listener, strings.Join(e.Rules, ", ")),
		Hint: "turn on TLS at that client; " +
			"when all of them have it, relay.require = \"encrypted\" refuses mail without",
	}
	if e.Kind == event.ClientLostTLS {
		m.Subject = name + " handed in mail without TLS, which it always had"
		m.Text = fmt.Sprintf("%s (%s) handed in message %s without TLS at %s. It always had TLS, last at %s.",
			name, e.Helo, e.Message, e.Listener, e.LastTLS.UTC().Format(time.RFC3339))
		m.Hint = "look at that client's settings and at what stands between it and the gateway: " +
			"something may take STARTTLS out of SMTP"
	}
	n.Tell(m)
}

// days are so many, in words.
func days(n int) string {
	if n == 1 {
		return "a day"
	}
	return fmt.Sprintf("%d days", n)
}

// ending tells of a certificate of ours that runs out.
func (n *Notifier) ending(e *event.CertificateEnding) {
	end := e.End.UTC().Format(time.RFC3339)
	m := Matter{
		Key:     fmt.Sprintf("own certificate %s %s %s %d", e.Kind, e.Name, end, e.Step),
		Subject: "the gateway's own certificate " + e.Name + " ends within " + days(e.Step),
		Text: fmt.Sprintf("The certificate that this gateway shows as a %s ends at %s. Partners who insist on a "+
			"valid one exchange no mail after that.", e.Kind, end),
		Hint: "renew it; the files are read again when they change",
	}
	if e.Step == 0 {
		m.Subject = "the gateway's own certificate " + e.Name + " has ended"
	}
	if e.Fault != "" {
		m.Text += " Its renewal failed: " + e.Fault + "."
		m.Hint = "`postern config check`; the log has each attempt (certificate-order-failed)"
	}
	n.Tell(m)
}

// report tells of a partner that begins to report failures, where its signature says that it does.
func (n *Notifier) report(e *event.ReportReceived) {
	if !e.News || e.Signer == "" || e.Failed == 0 {
		return
	}
	n.Tell(Matter{
		Key:     "tls report " + e.Signer,
		Subject: e.Signer + " reports that it could not reach us over TLS",
		Text: fmt.Sprintf("A report signed by %s says that %d sessions failed (%s), with mail for %s. "+
			"It reported none for a week or more.",
			e.Signer, e.Failed, strings.Join(e.Results, ", "), cmp.Or(strings.Join(e.Domains, ", "), "hosts of ours")),
		Hint: "postern reports received " + e.ID + " shows what we saw of these sessions",
	})
}

func (n *Notifier) peer(e *event.PeerChanged) {
	name := e.Host
	if name == "" {
		name = e.IP.String()
	}
	switch {
	case e.Change == "tls-lost" && (e.UnderRule || e.Mail != ""):
		text := fmt.Sprintf("%s (%s, port %d) always had TLS (%s), and now it has none: %s.", name, e.IP, e.Port,
			e.Before, e.After)
		if e.Mail != "" {
			text += " By the ratchet, " + e.Mail + "."
		}
		if e.UnderRule {
			text += " Mail that a rule protects waits until TLS is back."
		}
		n.Tell(Matter{Key: "tls-lost " + name, Subject: name + " lost its TLS", Text: text,
			Hint: "look with another connection whether it is so everywhere; ask the partner; " +
				"postern peers show " + name})
	case e.Change == "certificate-expiring":
		n.Tell(Matter{Key: "certificate-expiring " + name + " " + e.Before + " " + e.After,
			Subject: "the certificate of " + name + " " + e.After,
			Text: "A rule demands authenticated TLS of " + name + ". Its certificate (" + e.Before + ") " + e.After +
				"; after that, mail under the rule waits.",
			Hint: "remind the partner to renew it; postern peers show " + name})
	}
}

// A policy that is kept and cannot be renewed is told of when it ends within policyEnds; one that cannot be had at all
// when that has been so for policyLong, and on the day after it no more.
const (
	policyEnds = 3 * 24 * time.Hour
	policyLong = 3 * 24 * time.Hour
)

// policy tells of an MTA-STS policy that cannot be had.
func (n *Notifier) policy(e *event.PolicyUnavailable, now time.Time) {
	long := now.Sub(e.Since)
	hint := "ask the domain's administrators to repair it; postern policies show " + e.Domain
	switch {
	case e.Kept && e.Ends.Sub(now) <= policyEnds:
		n.Tell(Matter{Key: "policy-ends " + e.Domain, Hint: hint,
			Subject: "the MTA-STS policy of " + e.Domain + " ends and cannot be renewed",
			Text: "What was fetched counts until " + e.Ends.UTC().Format(time.RFC3339) + "; after that mail goes " +
				"there as if the domain had no policy. Why: " + e.Text + "."})
	case !e.Kept && long >= policyLong && long < policyLong+rest:
		n.Tell(Matter{Key: "policy-unavailable " + e.Domain, Hint: hint,
			Subject: "the MTA-STS policy of " + e.Domain + " cannot be had",
			Text:    announced(e.Fault) + ", so that mail goes there as if there were none. Why: " + e.Text + "."})
	}
}

// announced says in part of a sentence for how long what is not to be had.
func announced(fault string) string {
	if policy.Announced(fault) {
		return "The domain announces one, and for three days nobody could fetch it"
	}
	return "For three days nobody could find out whether the domain announces one"
}

// Run writes what is told until ctx ends. It starts no goroutine. The error is always nil: what cannot be queued is
// warned of and tried again.
func (n *Notifier) Run(ctx context.Context) error {
	var sent []time.Time // of the last hour
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		}
		wait := n.cfg.Gather
		for {
			if !pause.For(ctx, wait) {
				return nil
			}
			now := time.Now()
			for len(sent) > 0 && now.Sub(sent[0]) >= time.Hour {
				sent = sent[1:]
			}
			if len(sent) >= n.cfg.PerHour {
				wait = sent[0].Add(time.Hour).Sub(now)
				continue
			}
			wrote, err := n.write(ctx, now)
			if wrote {
				sent = append(sent, now)
			}
			if err == nil {
				failing = false
				break
			}
			if !failing && !errors.Is(err, errEnough) {
				failing = true
				n.cfg.Sink.Emit(event.Warned{What: "notify", Text: "the administrator cannot be written to: " +
					err.Error(), Hint: "it is tried again every minute; what it is about stands in the log"})
			}
			wait = retryPause
		}
	}
}

// take returns what waits to be written.
func (n *Notifier) take() ([]Matter, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	matters, more := n.pending, n.more
	n.pending, n.more = nil, 0
	return matters, more
}

// giveBack puts back what could not be written.
func (n *Notifier) giveBack(matters []Matter, more int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending, n.more = append(matters, n.pending...), n.more+more
	if over := len(n.pending) - maxPending; over > 0 {
		n.pending, n.more = n.pending[:maxPending], n.more+over
	}
}
