package web

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/route"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy"
	"postern/internal/queue"
)

// publishes puts a table in force by which mail finds the hosts of a zone and keeps to their TLSA records.
func (b *browser) publishes(text string) {
	b.Helper()
	table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.test"), HostsFile: "none", Resolver: zone.New(b.T, text), DANE: policy.Enforced})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.rules.SetTable(b.Context(), table, nil); err != nil {
		b.Fatal(err)
	}
}

const signedClinic = "clinic.test MX 10 mx.clinic.test\nclinic.test MX 20 gone.clinic.test\nmx.clinic.test A 192.0.2.1\n" +
	"_25._tcp.mx.clinic.test TLSA 3 1 1 abababababababababababababababababababababababababababababababab\n"

func TestExplainShowsWhatIsPublished(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.publishes(signedClinic)
	p := b.get("/rules/explain?from=a@example.com&to=dr@clinic.test,x@nowhere.test")
	b.wellMade(p)
	for _, want := range []string{"mx.clinic.test", "DANE, enforced, _25._tcp.mx.clinic.test: 3 1 1 abab", "adds channel authenticated; peer proven by a TLSA record",
		"gone.clinic.test is passed over", "cannot go now", "dns-nxdomain"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("not shown: %q in\n%s", want, p.text)
		}
	}
}

// delivered stores a message from a domain that went to a host by a connection of which something is published.
func (b *browser) delivered(id queue.ID, from, to, host string, at time.Time, published ...policy.Published) {
	b.Helper()
	b.accepted(id, from, to, at)
	b.tried(id, at, queue.Delivered, &attempt.Attempt{At: at, Tries: []attempt.Try{{At: at, Host: host, IP: netip.MustParseAddr("192.0.2.9"), Port: 25,
		Used: true, Published: published}}})
}

// accepted stores a message.
func (b *browser) accepted(id queue.ID, from, to string, at time.Time) {
	b.Helper()
	ctx := context.Background()
	body, err := b.store.NewDraft(ctx)
	if err != nil {
		b.Fatal(err)
	}
	m := queue.Message{ID: id, MessageID: "<" + string(id) + "@example.com>", AcceptedAt: at, RulesRevision: 1}
	m.Envelope.From = mail.MustAddress(from)
	d := queue.NewDelivery{NextHop: "mx:" + mail.MustAddress(to).Domain.String(), Delivery: queue.Delivery{Recipient: mail.Recipient{Address: mail.MustAddress(to)},
		Due: at, Deadline: at.Add(time.Hour), ExpiresAt: at.Add(time.Hour)}}
	if err := b.store.Accept(ctx, &queue.Submission{Message: m, Deliveries: []queue.NewDelivery{d}, Body: body}); err != nil {
		b.Fatal(err)
	}
}

// tried ends a try of a message.
func (b *browser) tried(id queue.ID, at time.Time, state queue.State, a *attempt.Attempt) {
	b.Helper()
	ctx := context.Background()
	for r, err := range b.store.List(ctx, queue.Filter{IDs: []queue.ID{id}}) {
		if err != nil {
			b.Fatal(err)
		}
		works, err := b.store.Claim(ctx, queue.Claim{IDs: []queue.DeliveryID{r.ID}, Now: at, Until: at.Add(time.Minute)})
		if err != nil || len(works) != 1 {
			b.Fatal(works, err)
		}
		if err := b.store.Settle(ctx, queue.Batch{Now: at, Settlements: []queue.Settlement{{Lease: works[0].Lease, State: state, Attempt: a,
			Reason: a.Reason, Due: at.Add(time.Minute)}}}); err != nil {
			b.Fatal(err)
		}
	}
}

// fellShort is what is published and was not kept to.
func fellShort(kind, mode string, reason policy.Reason, text string) policy.Published {
	return policy.Published{Kind: kind, Mode: mode, Shortfalls: []policy.Shortfall{{Reason: reason, Text: text}}}
}

func TestThePageOfWhatWouldHaveWaited(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	now := time.Now()
	foreign := fellShort(policy.PublishedSTS, policy.Testing, policy.STSMXMismatch, "mx.a.test is not named")
	b.delivered("0fk3n0000000a001", "x@example.com", "p@a.test", "mx.a.test", now.Add(-time.Hour), foreign)
	b.delivered("0fk3n0000000a002", "x@example.com", "q@a.test", "mx2.a.test", now.Add(-time.Minute), foreign)
	b.delivered("0fk3n0000000a003", "x@other.example", "p@b.test", "mx.b.test", now.Add(-time.Hour),
		fellShort(policy.PublishedDANE, policy.Observed, policy.DANEMismatch, "<b>no</b> record matches"))
	b.delivered("0fk3n0000000a004", "x@example.com", "p@c.test", "mx.c.test", now.Add(-time.Hour),
		policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced}, fellShort(policy.PublishedSTS, "", policy.STSPolicyUnavailable, "silent"))
	b.delivered("0fk3n0000000a005", "x@example.com", "p@old.test", "mx.old.test", now.AddDate(0, 0, -20), foreign)
	p := b.get("/observed")
	b.wellMade(p)
	for _, want := range []string{"a.test", "MTA-STS, testing", ">2</td>", "mx.a.test, mx2.a.test", "sts-mx-mismatch", "/trace/0fk3n0000000a002", "DANE, observe", "dane-mismatch", "&lt;b&gt;no"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("not shown: %q in\n%s", want, p.text)
		}
	}
	for _, not := range []string{"c.test", "old.test", "policy-unavailable"} {
		if strings.Contains(p.text, not) {
			t.Errorf("shown: %q", not)
		}
	}
	if p = b.get("/observed?days=30&domain=old.test"); !strings.Contains(p.text, "mx.old.test") || strings.Contains(p.text, "destinations/a.test") {
		t.Errorf("one domain, longer back:\n%s", p.text)
	}
	if p = b.get("/observed?domain=nothing.test"); !strings.Contains(p.text, "None of 0 deliveries") {
		t.Errorf("nothing:\n%s", p.text)
	}
	b.anew()
	b.become("nina", access.Auditor, "other.example")
	if p = b.get("/observed"); !strings.Contains(p.text, "mx.b.test") || strings.Contains(p.text, "a.test") {
		t.Errorf("of one's own mail alone:\n%s", p.text)
	}
}

// A destination's page tells what mail found published, since when, what changed and which mail waited for it.
func TestADestinationTellsWhatItPublishes(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	now := time.Now()
	record := func(text string, short ...policy.Shortfall) policy.Published {
		return policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced, Source: "_25._tcp.mx.x.test", Records: []string{text}, Shortfalls: short}
	}
	b.delivered("0fk3n0000000b001", "x@example.com", "p@x.test", "mx.x.test", now.Add(-48*time.Hour))
	b.delivered("0fk3n0000000b002", "x@example.com", "p@x.test", "mx.x.test", now.Add(-24*time.Hour), record("3 1 1 aa"))
	short := policy.Shortfall{Reason: policy.DANEMismatch, Text: "<i>none</i> matches"}
	b.accepted("0fk3n0000000b003", "y@other.example", "held@x.test", now.Add(-2*time.Hour))
	b.tried("0fk3n0000000b003", now.Add(-time.Hour), queue.Queued, &attempt.Attempt{At: now.Add(-time.Hour), Reason: short.Reason, Text: short.Text,
		Tries: []attempt.Try{{At: now.Add(-time.Hour), Host: "mx.x.test", Reason: short.Reason, Text: short.Text, Published: []policy.Published{record("3 1 1 bb", short)}}}})
	p := b.get("/destinations/x.test")
	b.wellMade(p)
	for _, want := range []string{"What it publishes", "DANE, enforced, _25._tcp.mx.x.test: 3 1 1 bb", "so since", "<del>nothing was found</del> <ins>enforce _25._tcp.mx.x.test 3 1 1 aa</ins>",
		"<ins>enforce _25._tcp.mx.x.test 3 1 1 bb</ins>", "Mail that it held up", "held@x.test", "dane-mismatch", "&lt;i&gt;none"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("not shown: %q in\n%s", want, p.text)
		}
	}
	if strings.Contains(p.text, ": 3 1 1 aa") {
		t.Error("what is no more is shown as what is")
	}
	b.anew()
	b.become("nina", access.Auditor, "example.com")
	if p = b.get("/destinations/x.test"); strings.Contains(p.text, "held@x.test") || strings.Contains(p.text, "3 1 1 bb") || !strings.Contains(p.text, "3 1 1 aa") {
		t.Errorf("of one's own mail alone:\n%s", p.text)
	}
}
