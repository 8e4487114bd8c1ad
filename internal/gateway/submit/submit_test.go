package submit_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/gateway/submit"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// counted is where drafts are made, and how many were.
type counted struct {
	*memstore.Store
	made int
}

func (c *counted) NewDraft(ctx context.Context) (queue.Draft, error) {
	c.made++
	return c.Store.NewDraft(ctx)
}

func view(t *testing.T) *inforce.View {
	t.Helper()
	table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.example.test"), HostsFile: "none"})
	if err != nil {
		t.Fatal(err)
	}
	return inforce.NewKeeper(context.Background(), inforce.Config{Ledger: memstore.New(), Table: table}).Now()
}

func letter(about ...*queue.Work) *submit.Letter {
	at := time.Date(2027, 3, 3, 9, 0, 0, 0, time.UTC)
	return &submit.Letter{ID: queue.NewID(at, 1), Kind: queue.DSN, To: mail.MustAddress("a@sender.test"), At: at, Lifetime: mail.Lifetime,
		Text: []byte("Message-ID: <1@gw.example.test>\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"), About: about}
}

func TestALetterIsAWholeMessage(t *testing.T) {
	l, store := letter(), memstore.New()
	s, err := submit.Compose(context.Background(), view(t), store, l)
	if err != nil {
		t.Fatal(err)
	}
	m := &s.Message
	if m.Size != int64(len(l.Text)) || m.HeaderSize != 35 || m.MessageID != "<1@gw.example.test>" || !m.EightBit || m.HeaderUTF8 ||
		m.Envelope.Body != mail.Body8BitMIME || !m.Envelope.From.IsNull() {
		t.Errorf("composed %+v", m)
	}
	d := &s.Deliveries[0]
	if d.NextHop != "mx:sender.test" || d.Requirement.Forced() || !d.Noticed || d.Recipient.Notify != mail.NotifyNever || !d.ExpiresAt.Equal(l.At.Add(mail.Lifetime)) {
		t.Errorf("to be delivered as %+v", d)
	}
	if err := store.Accept(context.Background(), s); err != nil {
		t.Error(err)
	}
}

func TestALetterHasTheProtectionAndTheWindowOfWhatItSpeaksOf(t *testing.T) {
	forced := policy.Requirement{Channel: policy.Authenticated}
	at := time.Date(2027, 3, 3, 8, 0, 0, 0, time.UTC)
	l := letter(&queue.Work{Message: queue.Message{ID: "m1"}, Delivery: queue.Delivery{Requirement: forced,
		Demands: []policy.Demand{{Source: policy.FromRule("clinic"), Requirement: forced}}, AcceptedAt: at, ExpiresAt: at.Add(time.Hour)}})
	s, err := submit.Compose(context.Background(), view(t), memstore.New(), l)
	if err != nil {
		t.Fatal(err)
	}
	d := &s.Deliveries[0]
	if d.Requirement.Channel != policy.Authenticated || !d.ExpiresAt.Equal(l.At.Add(time.Hour)) || s.Message.About != "m1" {
		t.Errorf("about %q, to be delivered as %+v", s.Message.About, d)
	}
	d.State = queue.Held
	var told event.NoticeQueued
	submit.Announce(s, func(*queue.Message, queue.SiteKey, time.Time) { t.Error("woken for what is held") },
		sink(func(e event.Event) { told = e.(event.NoticeQueued) }))
	if !told.Held || told.Kind != "dsn" || told.About != "m1" {
		t.Errorf("told %+v", told)
	}
}

// sink is a Sink that is a function.
type sink func(event.Event)

func (s sink) Emit(e event.Event) { s(e) }

func TestNothingIsWrittenWhileItIsNotKnownWhatIsInForce(t *testing.T) {
	store := &counted{Store: memstore.New()}
	_, err := submit.Compose(context.Background(), &inforce.View{Err: inforce.ErrNoRules}, store, letter())
	if !errors.Is(err, inforce.ErrNoRules) || store.made != 0 {
		t.Errorf("%v, and %d drafts were made", err, store.made)
	}
	if !strings.Contains(err.Error(), "rules") {
		t.Error(err)
	}
}
