package young

import (
	"reflect"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/stored"
)

var testTime = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// recorded makes an accept record of two deliveries, as the committer would.
func recorded(t testing.TB, size int) (*stored.Message, []byte) {
	t.Helper()
	held := queue.NewDelivery{NextHop: "to:relay:25"}
	held.Recipient.Address, held.State, held.Noticed = mail.MustAddress("b@d.test"), queue.Held, true
	held.Requirement = policy.Requirement{Channel: policy.Authenticated, WithoutTLS: policy.WithoutTLSReject}
	due := queue.NewDelivery{NextHop: "mx:b.test"}
	due.Recipient.Address, due.Due, due.ExpiresAt = mail.MustAddress("a@b.test"), testTime, testTime.Add(time.Hour)
	due.Deadline, due.Rules = testTime.Add(time.Minute), []string{"x"}
	body := stored.Body{Data: make([]byte, size), Size: int64(size)}
	if size > 64<<10 {
		body.File, body.Data = "large.body", nil
	}
	n, err := stored.Ready(&queue.Submission{Message: queue.Message{ID: "m", MessageID: "<1@x>", AcceptedAt: testTime, RulesRevision: 7,
		Envelope: mail.Envelope{From: mail.MustAddress("S@s.test")}}, Deliveries: []queue.NewDelivery{due, held}}, body)
	if err != nil {
		t.Fatal(err)
	}
	r := AcceptRecord(n)
	n.Number(41)
	NumberRecord(r.Head, n.Seq)
	return n, append(r.Head, r.Body...)
}

// TestAcceptRecord: what comes out of a record of the journal is stored as what went in would be.
func TestAcceptRecord(t *testing.T) {
	for _, size := range []int{0, 100, 200 << 10} {
		want, record := recorded(t, size)
		got, err := readAccept(record[1:])
		if err != nil || record[0] != kindAccept {
			t.Fatalf("kind %d, %v", record[0], err)
		}
		if string(got.Body.Data) != string(want.Body.Data) || got.Body.File != want.Body.File || (size > 64<<10) != (got.Body.File != "") {
			t.Errorf("a body of %d bytes came back with %d and the file %q", size, len(got.Body.Data), got.Body.File)
		}
		if got.Facts != want.Facts || got.Sender != want.Sender || got.MessageIDKey != want.MessageIDKey || got.Seq != want.Seq ||
			got.ID != want.ID || got.Size != int64(size) || got.RulesRevision != 7 ||
			!got.AcceptedAt.Equal(testTime) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for i := range want.Deliveries {
			g, w := got.Deliveries[i], want.Deliveries[i]
			// The rest of the delivery is in facts, or the message's.
			w.Recipient, w.Rules, w.Message, w.AcceptedAt = g.Recipient, g.Rules, g.Message, g.AcceptedAt
			if !reflect.DeepEqual(g, w) {
				t.Errorf("delivery %d: got %+v at %+v, want %+v at %+v", i, g, g.At, w, w.At)
			}
		}
	}
}

// FuzzRecord: whatever a record holds, it is read or refused; and what is read of a settlement can be written again.
func FuzzRecord(f *testing.F) {
	_, accept := recorded(f, 20)
	f.Add(accept)
	f.Add(SettleRecord(&stored.Batch{Now: testTime, Settlements: []stored.Settlement{
		{Facts: "{}", Settlement: &queue.Settlement{Lease: queue.Lease{Delivery: 5}, Reached: policy.Encrypted, Noticed: true}},
		{Settlement: &queue.Settlement{Reason: policy.CertExpired}},
	}}).Head)
	f.Fuzz(func(t *testing.T, record []byte) {
		if len(record) == 0 {
			return
		}
		if n, err := readAccept(record[1:]); err == nil {
			if n.Open() != len(n.Deliveries) || len(n.Deliveries) == 0 {
				t.Errorf("%d of %d deliveries wait", n.Open(), len(n.Deliveries))
			}
			again := AcceptRecord(n)
			NumberRecord(again.Head, n.Seq)
			same, err := readAccept(append(again.Head, again.Body...)[1:])
			if err != nil || !reflect.DeepEqual(same, n) {
				t.Errorf("written and read again: %+v (%v), want %+v", same, err, n)
			}
		}
		if b, err := readSettle(record[1:]); err == nil {
			again, err := readSettle(SettleRecord(b).Head[1:])
			if err != nil || !reflect.DeepEqual(again, b) {
				t.Errorf("written and read again: %+v (%v), want %+v", again, err, b)
			}
		}
	})
}
