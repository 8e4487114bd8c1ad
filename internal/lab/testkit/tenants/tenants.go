// Package tenants fills a gateway with the mail of two tenants, for tests of who is told what: whatever is there
// because of the tenant "zebra" has that word in it, in every place that an answer could take its text from. An answer
// to somebody who is limited to apple.test has no zebra in it.
package tenants

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/check"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/history/certstore"
	"postern/internal/history/peers"
	"postern/internal/history/traffic"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/live"
	"postern/internal/operator/mailhosts"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// Mark is in whatever belongs to the other tenant. Twin is a word as long, of nothing that is there.
const (
	Mark = "zebra"
	Twin = "penny"
)

// Domain is the one of the tenant that looks.
const Domain = "apple.test"

// The messages. The letters of the marked ones are such that they are ids.
const (
	Sent    queue.ID = "0fk3n00000000001" // apple to partner.test, delivered
	Waiting queue.ID = "0fk3n00000000002" // apple to partner.test, waits; the site was last tried for others
	// another tenant's to apple and to zebra, handed in by a marked client under a marked rule
	Foreign queue.ID = "0fk3n00000000003"
	Inward  queue.ID = "0fk3n00000000004" // apple to another tenant's own server, whose name is marked
	Kept    queue.ID = "0fk3n00000000005" // apple to partner.test, in quarantine by apple's rule
	KeptOff queue.ID = "0fk3n00000000006" // another tenant's to apple, in quarantine by a marked rule
	Theirs  queue.ID = "0fk3n000000zebra" // zebra's, delivered
	Stuck   queue.ID = "0fk3n0000zebra02" // zebra's, waits
	Failed  queue.ID = "0fk3n0000zebra03" // zebra's, failed
	Hidden  queue.ID = "0fk3n0000zebra04" // zebra's, in quarantine
)

// Rules are the rules of both; each has a warning.
const Rules = `[[rule]]
name = "apple-rule"
action = "force-tls"
[rule.match]
sender = ["apple.test"]
recipient = ["*partner.test"]

[[rule]]
name = "zebra-rule"
description = "zebra's own"
action = "force-tls"
[rule.match]
sender = ["zebra.test"]
recipient = ["*zebrapartner.test"]
[rule.force_tls]
trust = "/etc/zebra/ca.pem"
names = ["zebra-name.test"]
`

// Config is a gateway with the mail of both tenants.
func Config(t testing.TB) (admin.Config, *memstore.Store, *live.Pulse) {
	t.Helper()
	w := &world{t: t, s: memstore.New()}
	keeper := backlog.Keeper(t, w.s, route.Own{Domain: mail.MustDomain(Domain), To: hosts(t, "apple-host.test")},
		route.Own{Domain: mail.MustDomain("third.test"), To: hosts(t, "zebra-host.test")},
		route.Own{Domain: mail.MustDomain("zebra.test"), To: hosts(t, "zebra-host.test")})
	w.mail()
	w.besides()
	pulse := &live.Pulse{}
	cfg := admin.Config{Store: w.s, Ledger: w.s, Rules: keeper, Peers: known{}, Pins: mxpins.NewBook(w.s),
		Traffic: traffic.NewBook(w.s),
		Certs:   certstore.NewBook(w.s), Received: w.reports(), Pulse: pulse, Checker: checker{},
		Settings: settings, Certificates: certificates, Hostname: "gw.test", Version: "test", StartedAt: backlog.Noon,
		Reload: func(context.Context) (admin.ReloadResult, error) {
			return admin.ReloadResult{}, errors.New("zebra.pem cannot be read")
		},
		Problem: func() error { return errors.New("the disk of zebra is full") },
		MailHosts: func(context.Context, mail.Domain) (mailhosts.MailHosts, error) {
			return mailhosts.MailHosts{Hosts: []mail.Domain{mail.MustDomain("mx.zebrapartner.test")}}, nil
		},
		Unprotected: func(time.Time) []live.Unprotected {
			return []live.Unprotected{{Client: "zebra-app.test", Rules: []string{"zebra-rule"},
				Message: string(Theirs)}}
		}}
	if _, err := admin.New(cfg).For(access.Root("zebra-admin")).ApplyRules(context.Background(),
		admin.ApplyRequest{Name: "zebra.toml", Text: Rules}); err != nil {
		t.Fatal(err)
	}
	return cfg, w.s, pulse
}

func hosts(t testing.TB, name string) []route.HostPort {
	t.Helper()
	return []route.HostPort{{Host: mail.MustDomain(name), Port: 25}}
}

type world struct {
	t testing.TB
	s *memstore.Store
	n int
}

// to is one delivery of a message; hop is its next hop.
func to(address, hop, rule string) queue.NewDelivery {
	n := queue.NewDelivery{NextHop: hop,
		Delivery: queue.Delivery{Recipient: mail.Recipient{Address: mail.MustAddress(address)}}}
	if rule != "" {
		n.Requirement, n.Rules, n.Matched, n.Tested = backlog.Forced(), []string{rule}, true, []string{rule + "-tested"}
	}
	return n
}

// kept is one delivery that a rule holds.
func kept(address, hop, rule string) queue.NewDelivery {
	n := to(address, hop, "")
	n.Effects = policy.Effects{{Rule: rule, Kind: policy.EffectHold, Days: 7, Then: policy.ThenReturn}}
	return n
}

// accept stores a message that a client called who handed in.
func (w *world) accept(id queue.ID, from, who string, deliveries ...queue.NewDelivery) {
	w.t.Helper()
	ctx, at := context.Background(), backlog.Noon.Add(time.Duration(w.n)*time.Minute)
	w.n++
	for i := range deliveries {
		d := &deliveries[i]
		d.AcceptedAt = at
		d.Due, d.Deadline, d.ExpiresAt = at, at.Add(2*time.Hour), at.Add(24*time.Hour)
		d.Affect()
	}
	body, err := w.s.NewDraft(ctx)
	if err == nil {
		_, err = body.Write([]byte("Subject: " + who + "\r\n\r\nhello\r\n"))
	}
	m := queue.Message{ID: id, MessageID: "<" + who + "@" + who + ".test>", AcceptedAt: at, RulesRevision: 1,
		Inbound: queue.Inbound{Client: netip.MustParseAddr("192.0.2.7"), Helo: who + "-app.test",
			Listener: who + "-listener", Protocol: "ESMTPSA", User: who + "-user", Relayed: true,
			TLS: &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128,
				ServerName: who + ".gw.test", Client: &mail.ClientCertificate{Presented: true, Subject: "CN=" + who}}}}
	if id == Foreign || id == KeptOff {
		m.MessageID = "<third@third.test>"
	}
	m.Envelope.From = mail.MustAddress(from)
	if err == nil {
		err = w.s.Accept(ctx, &queue.Submission{Message: m, Deliveries: deliveries, Body: body})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// tried is an attempt at a host, whose texts speak of somebody.
func tried(host, who string, reason policy.Reason) *attempt.Attempt {
	owner := "apple" // of the server: what it shows and says is its owner's
	if strings.Contains(host, Mark) {
		owner = Mark
	}
	leaf := policy.Certificate{Subject: "CN=" + host, Issuer: "CN=" + owner + " CA", NotBefore: backlog.Noon,
		NotAfter: backlog.Noon.AddDate(0, 0, 20), SHA256: digest(owner), DNSNames: []string{host}}
	short := []policy.Shortfall{}
	if reason != "" {
		short = append(short, policy.Shortfall{Reason: reason, Text: "as the rule of " + who + " demands"})
	}
	testing := policy.Published{Kind: policy.PublishedSTS, Mode: policy.Testing, ID: owner,
		Hosts:      []string{"mx." + owner + ".test"},
		Shortfalls: []policy.Shortfall{{Reason: policy.STSMXMismatch, Text: "not a host of " + owner}}}
	return &attempt.Attempt{At: backlog.Noon.Add(time.Hour), Reason: reason, Text: "text for " + who,
		Notes: []string{who + "-note"},
		Reply: &attempt.Reply{Host: host, Command: "RCPT", Code: 450, Status: "4.2.0", Text: owner + " says wait"},
		Tries: []attempt.Try{{At: backlog.Noon, Host: host, IP: netip.MustParseAddr("192.0.2.9"), Port: 25,
			Rung: attempt.Modern, Used: reason == "", Reached: policy.Authenticated,
			Reason: reason, Text: "text for " + who, Remote: "words of " + owner, Shortfalls: short,
			Published: []policy.Published{testing},
			Evidence: &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.3", Bits: 128},
				Chain: []policy.Certificate{leaf}, Expected: []string{"name-for-" + who + ".test"},
				Presented: []string{host}}}}}
}

// digest of a certificate: hex letters, and the mark where it belongs.
func digest(who string) string {
	return who + "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"[:59]
}

func (w *world) mail() {
	w.accept(Sent, "a@apple.test", "apple", to("p@partner.test", "mx:partner.test", "apple-rule"))
	w.accept(Waiting, "a@apple.test", "apple", to("q@partner.test", "mx:partner.test", "apple-rule"))
	w.accept(Foreign, "c@third.test", Mark, to("boss@apple.test", "own:apple-host.test:25", "zebra-rule"),
		to("z@zebra.test", "own:zebra-host.test:25", "zebra-rule"))
	w.accept(Inward, "a@apple.test", "apple", to("x@third.test", "own:zebra-host.test:25", ""))
	w.accept(Kept, "a@apple.test", "apple", kept("k@partner.test", "mx:partner.test", "apple-rule"))
	w.accept(KeptOff, "c@third.test", Mark, kept("boss@apple.test", "own:apple-host.test:25", "zebra-rule"))
	w.accept(Hidden, "z@zebra.test", Mark, kept("k@zebrapartner.test", "mx:zebrapartner.test", "zebra-rule"))
	w.accept(Theirs, "z@zebra.test", Mark, to("p@zebrapartner.test", "mx:zebrapartner.test", "zebra-rule"))
	w.accept(Stuck, "z@zebra.test", Mark, to("q@zebrapartner.test", "mx:zebrapartner.test", "zebra-rule"))
	w.accept(Failed, "z@zebra.test", Mark, to("r@zebrapartner.test", "mx:zebrapartner.test", "zebra-rule"))
	w.settle(Sent, "", queue.Delivered, tried("mx.partner.test", "apple", ""))
	w.settle(Waiting, "mx:partner.test", queue.Queued, tried("mx.partner.test", "apple", policy.CertExpired))
	w.settle(Foreign, "own:apple-host.test:25", queue.Queued, tried("apple-host.test", Mark, policy.CertExpired))
	w.settle(Inward, "own:zebra-host.test:25", queue.Queued, tried("zebra-host.test", Mark, policy.CertExpired))
	w.settle(Theirs, "", queue.Delivered, tried("mx.zebrapartner.test", Mark, ""))
	w.settle(Stuck, "mx:zebrapartner.test", queue.Queued, tried("mx.zebrapartner.test", Mark, policy.CertExpired))
	w.settle(Failed, "", queue.Failed, tried("mx.zebrapartner.test", Mark, policy.CertExpired))
	w.wish()
}

// settle ends the try of a message's first delivery; site, where it is named, fails since then, as a later try for
// another tenant's mail told.
func (w *world) settle(id queue.ID, site string, state queue.State, a *attempt.Attempt) {
	w.t.Helper()
	ctx, now := context.Background(), backlog.Noon.Add(time.Hour)
	b := queue.Batch{Now: now, Sites: map[queue.SiteKey]queue.SiteState{}}
	for r, err := range w.s.List(ctx, queue.Filter{IDs: []queue.ID{id}}) {
		if err != nil {
			w.t.Fatal(err)
		}
		works, err := w.s.Claim(ctx, queue.Claim{IDs: []queue.DeliveryID{r.ID}, Now: now, Until: now.Add(time.Minute)})
		if err != nil || len(works) != 1 {
			w.t.Fatalf("claimed %d of %s: %v", len(works), id, err)
		}
		st := queue.Settlement{Lease: works[0].Lease, State: state, Attempt: a, Reason: a.Reason}
		if state == queue.Queued {
			st.Due = now.Add(time.Hour)
		}
		if state == queue.Delivered {
			st.Reached = policy.Authenticated
		}
		b.Settlements = append(b.Settlements, st)
		if site != "" && r.NextHop == site {
			last := tried(a.Tries[0].Host, "apple", policy.CertExpired)
			last.At, last.Reply.Text, last.Tries[0].Remote = now, "zebra is not liked", "zebra is not liked"
			if id != Waiting {
				last = tried(a.Tries[0].Host, Mark, policy.CertExpired)
				last.At = now
			}
			b.Sites[r.Site] = queue.SiteState{Failures: 3, Since: backlog.Noon, RetryAt: now.Add(time.Hour), Last: last}
		}
	}
	if err := w.s.Settle(ctx, b); err != nil {
		w.t.Fatal(err)
	}
}

// wish has the other's administrator ask for something while apple's mail is being sent.
func (w *world) wish() {
	w.t.Helper()
	ctx, now := context.Background(), backlog.Noon.Add(3*time.Hour)
	for r, err := range w.s.List(ctx, queue.Filter{IDs: []queue.ID{Waiting}}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.s.Claim(ctx, queue.Claim{IDs: []queue.DeliveryID{r.ID}, Now: now,
			Until: now.Add(1000 * time.Hour)}); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.s.Act(ctx, queue.Action{Kind: queue.Hold, Messages: []queue.ID{Waiting}, Now: now,
		By: "zebra-admin"}); err != nil {
		w.t.Fatal(err)
	}
}

// besides is what is kept beside mail.
func (w *world) besides() {
	w.t.Helper()
	ctx, now := context.Background(), time.Now()
	_, err := mxpins.NewBook(w.s).Remember(ctx, false,
		mxpins.New("zebrapartner.test", []string{"zebra-rule"}, []mail.Domain{mail.MustDomain("mx.zebrapartner.test")},
			now, "zebra-admin"))
	sum := func(kind traffic.Kind, name string) traffic.Sum {
		return traffic.Sum{At: now.Truncate(24 * time.Hour).UTC(), Kind: kind, Name: name, Level: "authenticated",
			Outcome: traffic.Delivered, Count: 4711}
	}
	errs := []error{err, traffic.NewBook(w.s).AddTraffic(ctx,
		[]traffic.Sum{sum(traffic.OfRule, "zebra-rule"), sum(traffic.OfRule, "apple-rule"),
			sum(traffic.OfDomain, "zebrapartner.test"), sum(traffic.OfDomain, Domain)}),
		certstore.NewBook(w.s).PutCertificates(ctx,
			[]certstore.Certificate{{SHA256: digest(Mark), Seen: now, DER: []byte(Mark)},
				{SHA256: digest("apple"), Seen: now, DER: []byte("apple")}})}
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}

// known remembers servers of both.
type known struct{}

// List lists them.
func (known) List() []peers.Record {
	record := func(host, who string) peers.Record {
		now := time.Now()
		return peers.Record{Host: host, IP: netip.MustParseAddr("192.0.2.9"), Port: 25, FirstSeen: backlog.Noon,
			LastSeen: now, StartTLS: true, TLS: 4711, TLSDays: 4711, Streak: 4711, LastTLS: now, UnderRule: now,
			Certificate: &peers.Certificate{Subject: "CN=" + host, Issuer: "CN=" + who, NotAfter: now.AddDate(0, 0, 5),
				SHA256: digest(who)}}
	}
	return []peers.Record{record("mx.partner.test", "apple"), record("mx.zebrapartner.test", Mark),
		record("zebra-host.test", Mark), record("apple-host.test", "apple"), record("", Mark)}
}

// Missing remembers that every server had TLS.
func (known) Missing(string, netip.AddrPort) peers.Stand { return peers.Stand{Offered: backlog.Noon} }

// Forget forgets nothing.
func (known) Forget(context.Context, func(*peers.Record) bool) ([]peers.Record, error) {
	return nil, nil
}

func settings() admin.Settings {
	return admin.Settings{Path: "/etc/zebra/postern.toml", TOML: "# zebra",
		Domains:   []admin.DomainSetting{{Name: "zebra.test", DeliverTo: []string{"zebra-host.test"}}},
		Routes:    []admin.RouteSetting{{Match: []string{"zebrapartner.test"}, To: []string{"zebra-relay.test"}}},
		Listeners: []admin.ListenerSetting{{Name: "zebra-listener"}}}
}

func certificates() ([]check.Own, error) {
	leaf := policy.Certificate{Subject: "CN=zebra.gw.test", DNSNames: []string{"zebra.gw.test"}, NotAfter: backlog.Noon}
	return []check.Own{{Kind: check.OwnServer, File: "/etc/zebra/gw.pem", Chain: []policy.Certificate{leaf}, Step: 30,
		EndsAt: backlog.Noon, Warnings: []policy.Shortfall{{Reason: policy.CertExpired, Text: "zebra"}}}}, nil
}

// checker finds marked servers behind every target but apple's own and those that apple's mail goes to.
type checker struct{}

// Watch tells a step and reports.
func (checker) Watch(_ context.Context, t check.Target, more []check.Question,
	tell func(check.Progress)) *check.Report {
	who := Mark
	if t.Text == Domain || t.Text == "partner.test" || t.Text == "mx.partner.test" {
		who = "apple"
	}
	if tell == nil {
		tell = func(check.Progress) {}
	}
	tell(check.Progress{Step: "dns", Host: "mx." + who + ".test", Good: true, Text: "mail goes to " + who})
	v := check.Verdict{Question: check.Opportunistic, Outcome: check.Delivered, Reached: "encrypted",
		Host: "mx." + who + ".test"}
	r := &check.Report{Kind: "target", Target: t.Text, Domain: t.Domain.String(), At: time.Now(),
		Verdicts: []check.Verdict{v}}
	for _, q := range more {
		r.Verdicts = append(r.Verdicts, check.Verdict{Question: q.Name, Outcome: check.Failed,
			Reason: policy.CertExpired, Text: who})
	}
	return r
}

var _ inforce.Ledger = (*memstore.Store)(nil)
