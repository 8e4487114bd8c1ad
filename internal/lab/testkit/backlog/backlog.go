// Package backlog fills a store with a few messages in every state, the same ones each time, for tests of whatever
// shows mail to people.
package backlog

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// Noon is when the first message was accepted; the others follow, a minute apart.
var Noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// The messages.
const (
	// forced to dr@clinic.test, tried twice; its other recipient was delivered in plaintext
	Waiting queue.ID = "0fk3n00000000001"
	// forced to nurse@clinic.test, waits at the failing site without a try of its own
	Untried  queue.ID = "0fk3n00000000002"
	Good     queue.ID = "0fk3n00000000003" // delivered over authenticated TLS
	Refused  queue.ID = "0fk3n00000000004" // returned by the peer
	Notice   queue.ID = "0fk3n00000000005" // a notice about Waiting that may not travel
	Stopped  queue.ID = "0fk3n00000000006" // cancelled
	Ordinary queue.ID = "0fk3n00000000007" // opportunistic, not tried yet
)

// Forced is the requirement of the rule "clinic".
func Forced() policy.Requirement {
	return policy.Combine(policy.Requirement{Channel: policy.Authenticated,
		Peer: []policy.PeerDemand{policy.PublicDemand()}})
}

// NextHop is where mail for a domain waits.
func NextHop(d mail.Domain, _ policy.Requirement) string { return "mx:" + d.String() }

// Keeper is what is in force over a store: its rules, and the own domains example.com and those of own.
func Keeper(t testing.TB, store inforce.Ledger, own ...route.Own) *inforce.Keeper {
	t.Helper()
	own = append(own, route.Own{Domain: mail.MustDomain("example.com")})
	table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.test"), Own: own, HostsFile: "none",
		Resolver: zone.New(t, "")})
	if err != nil {
		t.Fatal(err)
	}
	return inforce.NewKeeper(context.Background(), inforce.Config{Ledger: store, Table: table})
}

// Expired is a failed attempt at a peer whose certificate has expired.
func Expired(at time.Time) *attempt.Attempt {
	return &attempt.Attempt{At: at, TookMS: 45, Reason: policy.CertExpired,
		Text: "the certificate was valid until 2026-11-01", Notes: []string{"mx-unproven", "revocation-off"},
		Tries: []attempt.Try{{At: at, TookMS: 45, Host: "mx.clinic.test", IP: netip.MustParseAddr("192.0.2.9"),
			Port: 25, Rung: attempt.Modern,
			Reached: policy.Encrypted, Reason: policy.CertExpired, Text: "the certificate was valid until 2026-11-01",
			Evidence: evidence(true)}}}
}

func evidence(expired bool) *policy.Evidence {
	host, until := "mx.good.test", time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	if expired {
		host, until = "mx.clinic.test", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	}
	return &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128,
		Group: "X25519MLKEM768", Signature: "ECDSA"}, Expected: []string{host}, Presented: []string{host},
		Chain: []policy.Certificate{{Subject: "CN=" + host, Issuer: "CN=Test CA", NotBefore: until.AddDate(0, -3, 0),
			NotAfter: until,
			SHA256:   "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Key: "ECDSA P-256"}}}
}

// New returns a store with the messages.
func New(t testing.TB) *memstore.Store {
	t.Helper()
	s := memstore.New()
	b := &builder{t: t, s: s}
	b.accept(Waiting, queue.Ordinary, "a@example.com", forced("dr@clinic.test"), plain("x@plain.test"))
	b.accept(Untried, queue.Ordinary, "b@example.com", forced("nurse@clinic.test"))
	b.accept(Good, queue.Ordinary, "a@example.com", forced("p@good.test"))
	b.accept(Refused, queue.Ordinary, "a@example.com", plain("gone@plain.test"))
	notice := forced("a@example.com")
	notice.State = queue.Held
	b.accept(Notice, queue.DSN, "", notice)
	b.accept(Stopped, queue.Ordinary, "a@example.com", plain("oops@plain.test"))
	b.accept(Ordinary, queue.Ordinary, "c@example.com", plain("y@other.test"))
	b.settleAll()
	return s
}

func forced(to string) queue.NewDelivery {
	n := plain(to)
	n.Requirement, n.Rules, n.Matched = Forced(), []string{"clinic"}, true
	return n
}

func plain(to string) queue.NewDelivery {
	a := mail.MustAddress(to)
	return queue.NewDelivery{NextHop: NextHop(a.Domain, policy.Requirement{}),
		Delivery: queue.Delivery{Recipient: mail.Recipient{Address: a}}}
}

type builder struct {
	t testing.TB
	s *memstore.Store
	n int
}

func (b *builder) accept(id queue.ID, kind queue.Kind, from string, to ...queue.NewDelivery) {
	b.t.Helper()
	ctx, at := context.Background(), Noon.Add(time.Duration(b.n)*time.Minute)
	b.n++
	body, err := b.s.NewDraft(ctx)
	if err == nil {
		_, err = body.Write([]byte("Subject: test\r\n\r\nhello\r\n"))
	}
	m := queue.Message{ID: id, Kind: kind, MessageID: "<" + string(id) + "@example.com>", AcceptedAt: at,
		RulesRevision: 1,
		Inbound: queue.Inbound{Client: netip.MustParseAddr("192.0.2.7"), Helo: "app.example.com", Listener: "smtp",
			Protocol: "ESMTPS", TLS: &mail.TLS{Version: "TLSv1.2", Cipher: "ECDHE-RSA-AES128-GCM-SHA256", Bits: 128}}}
	if from != "" {
		m.Envelope.From = mail.MustAddress(from)
	}
	if kind == queue.DSN {
		m.About, m.Inbound = Waiting, queue.Inbound{}
	}
	for i := range to {
		to[i].ExpiresAt, to[i].Deadline, to[i].Due = at.Add(24*time.Hour), at.Add(2*time.Hour), at
		if to[i].State == queue.Held {
			to[i].Due, to[i].Deadline = time.Time{}, time.Time{}
		}
	}
	if err == nil {
		err = b.s.Accept(ctx, &queue.Submission{Message: m, Deliveries: to, Body: body})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// settleAll plays the first hour.
func (b *builder) settleAll() {
	clinic := queue.NewSiteKey("mx:clinic.test", Forced())
	retry := Noon.Add(70 * time.Minute)
	first, second := Expired(Noon.Add(5*time.Second)), Expired(Noon.Add(time.Hour))
	for _, at := range []*attempt.Attempt{first, second} {
		b.settle(Waiting, "dr@clinic.test",
			queue.Settlement{State: queue.Queued, Due: retry, Deadline: Noon.Add(2 * time.Hour), Attempt: at,
				Reason: at.Reason},
			map[queue.SiteKey]queue.SiteState{clinic: {Failures: 2, Since: Noon, RetryAt: retry, Last: second}})
	}
	used := attempt.Try{At: Noon, Host: "mx.plain.test", IP: netip.MustParseAddr("2001:db8::5"), Port: 25,
		Rung: attempt.Plain, Used: true, Reason: policy.StartTLSNotOffered}
	b.settle(Waiting, "x@plain.test", queue.Settlement{State: queue.Delivered, Reason: policy.StartTLSNotOffered,
		Attempt: &attempt.Attempt{At: Noon, Reason: policy.StartTLSNotOffered, Tries: []attempt.Try{used},
			Reply: &attempt.Reply{Host: "mx.plain.test", Command: ".", Code: 250, Status: "2.0.0",
				Text: "queued as 17"}}}, nil)
	good := attempt.Try{At: Noon, Host: "mx.good.test", IP: netip.MustParseAddr("192.0.2.20"), Port: 25,
		Rung: attempt.Modern, Used: true, Reached: policy.Authenticated, Evidence: evidence(false)}
	b.settle(Good, "p@good.test", queue.Settlement{State: queue.Delivered, Reached: policy.Authenticated,
		Attempt: &attempt.Attempt{At: Noon, Tries: []attempt.Try{good}, Notes: []string{"mx-unproven"}}}, nil)
	b.settle(Refused, "gone@plain.test", queue.Settlement{State: queue.Failed, Reason: policy.Remote5xx,
		Attempt: &attempt.Attempt{At: Noon, Reason: policy.Remote5xx, Text: "the server refused the recipient",
			Tries: []attempt.Try{used},
			Reply: &attempt.Reply{Host: "mx.plain.test", Command: "RCPT", Code: 550, Status: "5.1.1",
				Text: `no such user \x1b[31m`}}}, nil)
	if _, err := b.s.Act(context.Background(), queue.Action{Kind: queue.Cancel, Messages: []queue.ID{Stopped},
		Now: Noon.Add(time.Hour), By: "root"}); err != nil {
		b.t.Fatal(err)
	}
}

// settle ends one delivery's claim.
func (b *builder) settle(id queue.ID, to string, st queue.Settlement, sites map[queue.SiteKey]queue.SiteState) {
	b.t.Helper()
	ctx := context.Background()
	var ids []queue.DeliveryID
	for r, err := range b.s.List(ctx, queue.Filter{IDs: []queue.ID{id}, Recipient: to}) {
		if err != nil {
			b.t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	now := Noon.Add(time.Hour)
	works, err := b.s.Claim(ctx, queue.Claim{IDs: ids, Now: now, Until: now.Add(time.Minute)})
	if err != nil || len(works) != 1 {
		b.t.Fatalf("claimed %d deliveries of %s to %s: %v", len(works), id, to, err)
	}
	st.Lease = works[0].Lease
	if err := b.s.Settle(ctx, queue.Batch{Settlements: []queue.Settlement{st}, Sites: sites, Now: now}); err != nil {
		b.t.Fatal(err)
	}
}
