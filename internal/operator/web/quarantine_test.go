package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/lab/testkit/tenants"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/policy"
	"postern/internal/queue"
)

// returner ends quarantines as a gateway does that delivers.
type returner struct {
	ids []queue.DeliveryID
}

func (*returner) Kick(context.Context, ...queue.SiteKey) {}
func (*returner) Changed()                               {}
func (*returner) Wished()                                {}
func (d *returner) Return(_ context.Context, ids []queue.DeliveryID) (int, error) {
	d.ids = append(d.ids, ids...)
	return len(ids), nil
}

// keep has a rule hold a message for so many days.
func (b *browser) keep(id queue.ID, rule string, days int, then policy.Then, to ...string) {
	b.Helper()
	at := backlog.Noon
	draft, err := b.store.NewDraft(b.Context())
	if err == nil {
		_, err = draft.Write([]byte("Subject: x\r\n\r\nsecret of " + string(id) + "\r\n"))
	}
	sub := &queue.Submission{Message: queue.Message{ID: id, AcceptedAt: at, HeaderSize: 14,
		Envelope: mail.Envelope{From: mail.MustAddress("anna@example.com")}}, Body: draft}
	for _, address := range to {
		d := queue.NewDelivery{NextHop: "mx:other.test", Delivery: queue.Delivery{AcceptedAt: at, ExpiresAt: at.AddDate(0, 0, 5),
			Recipient: mail.Recipient{Address: mail.MustAddress(address)}}}
		if strings.HasPrefix(address, "free@") {
			d.Due, d.Deadline = at, d.ExpiresAt
		} else {
			d.Effects = policy.Effects{{Rule: rule, Kind: policy.EffectHold, Days: days, Then: then}}
			d.Affect()
		}
		sub.Deliveries = append(sub.Deliveries, d)
	}
	if err == nil {
		err = b.store.Accept(b.Context(), sub)
	}
	if err != nil {
		b.Fatal(err)
	}
}

const (
	keptOne queue.ID = "0fk3n0000000000a"
	keptTwo queue.ID = "0fk3n0000000000b"
)

// keeps is a console with two messages in quarantine, besides what waits otherwise.
func keeps(t *testing.T) (*browser, *returner) {
	t.Helper()
	d := &returner{}
	b := newConsole(t, func(c *admin.Config) { c.Dispatcher = d })
	b.keep(keptOne, "look", 7, policy.ThenReturn, "dr@clinic.test", "ann@clinic.test", "free@other.test")
	b.keep(keptTwo, "size & shape", 3, policy.ThenDelete, "bob@other.test")
	b.setUp()
	return b, d
}

// The page shows who wrote to whom, when, which rule holds it, until when and what then: held mail that no rule holds is
// not on it, nor is a recipient whom the rule did not mean.
func TestThePageOfTheQuarantineSaysWhatRulesHold(t *testing.T) {
	b, _ := keeps(t)
	p := b.get("/quarantine")
	b.wellMade(p)
	until := backlog.Noon.AddDate(0, 0, 7).UTC().Format(time.DateOnly)
	p.has(b, 200, "anna@example.com", "dr@clinic.test, ann@clinic.test", "look", until, "returned to the sender",
		"bob@other.test", "size &amp; shape", "deleted, and nobody is told", "3 deliveries", "Release", "Return", "Delete", "Read it (recorded)")
	if rows := strings.Count(p.text, `data-name="Accepted"`); rows != 2 || strings.Contains(p.text, "free@other.test") {
		t.Errorf("%d rows:\n%s", rows, plain(p.tree))
	}
	for path, want := range map[string]string{"?quarantine=look": "dr@clinic.test", "?quarantine=size*": "bob@other.test",
		"?recipient=clinic.test": "dr@clinic.test", "?sender=nobody.test": "Nothing found", "?quarantine=looks": "Nothing found"} {
		p := b.get("/quarantine"+path).has(b, 200, want)
		if strings.Count(p.text, `data-name="Accepted"`) > 1 {
			t.Errorf("%s finds both", path)
		}
	}
	b.get("/").has(b, 200, `href="/quarantine"`)
	b.get("/quarantine?after=a-b").has(b, 400, "no cursor")

	for role, has := range map[access.Role][]bool{access.Auditor: {false, false}, access.Operator: {true, false}} {
		b.become("one-"+string(role), role)
		p := b.get("/quarantine").has(b, 200, "dr@clinic.test")
		if got := strings.Contains(p.text, ">Delete<"); got != has[0] {
			t.Errorf("%s may decide: %v", role, got)
		}
		if strings.Contains(p.text, "Read it") != has[1] {
			t.Errorf("%s is offered to read", role)
		}
		if role == access.Auditor {
			b.post("/queue", "message", string(keptOne), "action", "release", "back", "/quarantine").has(b, 403)
		}
		b.post("/trace/"+string(keptOne)+"/content").has(b, 403)
	}
}

// Each verb does on the page of the quarantine what it does elsewhere, says what it did there, and is in the audit
// trail; reading asks for a proof that is not old.
func TestTheQuarantineIsDecidedOnItsPage(t *testing.T) {
	b, d := keeps(t)
	act := func(kind string, id queue.ID) page {
		return b.post("/queue", "message", string(id), "action", kind, "back", "/quarantine?quarantine=look")
	}
	b.post("/trace/"+string(keptTwo)+"/content").has(b, 200, "secret of "+string(keptTwo))
	b.stale()
	b.goOn(b.post("/trace/"+string(keptOne)+"/content")).has(b, 200, "secret of "+string(keptOne))

	b.wellMade(act("return", keptOne).has(b, 200, "return: 2 deliveries", "Quarantine"))
	if len(d.ids) != 2 {
		t.Errorf("returned are %v", d.ids)
	}
	act("release", keptOne).has(b, 200, "release: 2 deliveries", "Nothing found in quarantine")
	b.get("/quarantine").has(b, 200, "bob@other.test")
	act("cancel", keptTwo).has(b, 200, "cancel: 1 delivery")
	b.get("/quarantine").has(b, 200, "Nothing is in quarantine")
	b.get("/trace/"+string(keptTwo)).has(b, 200, "cancelled")
	var told []string
	for _, e := range b.told() {
		if strings.HasPrefix(e.Action, "queue ") {
			told = append(told, e.Action+" "+e.Target+" by "+e.By)
		}
	}
	for _, want := range []string{"queue read " + string(keptTwo), "queue read " + string(keptOne), "queue return " + string(keptOne),
		"queue release " + string(keptOne), "queue cancel " + string(keptTwo)} {
		if !strings.Contains(strings.Join(told, "\n"), want+" by anna") {
			t.Errorf("the audit trail lacks %q: %q", want, told)
		}
	}
}

// All that a search finds is decided at once, and nothing else that waits.
func TestAllThatARuleHoldsIsDecidedAtOnce(t *testing.T) {
	b, d := keeps(t)
	b.post("/queue/found", "quarantine", "size*", "action", "return", "back", "/quarantine").has(b, 200, "return: 1 delivery", "dr@clinic.test")
	if len(d.ids) != 1 {
		t.Errorf("returned are %v", d.ids)
	}
	b.post("/queue/found", "quarantine", "*", "action", "release", "back", "/quarantine").has(b, 200, "release: 3 deliveries", "Nothing is in quarantine")
	b.post("/queue/found", "quarantine", "*", "action", "release", "back", "/quarantine").has(b, 404)
}

// Somebody who is limited to a domain sees what rules hold of its mail, and of nobody else's, also where the message is
// to it: a rule about mail that others sent is not told of.
func TestTheQuarantineOfATenantIsItsOwn(t *testing.T) {
	b, _, _ := newTenants(t, access.Administrator)
	p := b.get("/quarantine").has(b, 200, "k@partner.test", "apple-rule", "1 delivery")
	if rows := strings.Count(p.text, `data-name="Accepted"`); rows != 1 || strings.Contains(p.text, tenants.Mark) || strings.Contains(p.text, "boss@apple.test") {
		t.Errorf("%d rows:\n%s", rows, plain(p.tree))
	}
	b.get("/trace/"+string(tenants.KeptOff)).has(b, 200, "Held: by an administrator")
	for _, kind := range []string{"release", "return", "cancel"} {
		b.post("/queue", "message", string(tenants.Hidden), "action", kind, "back", "/quarantine").has(b, 404)
		b.post("/queue/found", "quarantine", "zebra-rule", "action", kind, "back", "/quarantine").has(b, 404)
	}
	b.post("/trace/"+string(tenants.Hidden)+"/content").has(b, 404)
	b.post("/queue/found", "quarantine", "*", "action", "release", "back", "/quarantine").has(b, 200, "release: 1 delivery")
	for r, err := range b.store.List(t.Context(), queue.Filter{IDs: []queue.ID{tenants.Hidden, tenants.KeptOff}}) {
		if err != nil || r.Quarantine() == nil {
			t.Errorf("%s is no longer in quarantine: %v, %v", r.Message.ID, r.State, err)
		}
	}
}
