package young

import (
	"slices"
	"testing"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/stored"
)

// TestNothingIsLeftOfALife: however a message leaves, nothing of it stays in memory.
func TestNothingIsLeftOfALife(t *testing.T) {
	for name, live := range map[string]func(y *Mail, m *Message){
		"refused": func(y *Mail, m *Message) { y.Remove(m) },
		"waiting": func(y *Mail, m *Message) { y.Admit(m, 1, testTime); y.Land(y.Take(all)) },
		"thawed": func(y *Mail, m *Message) {
			y.Admit(m, 1, testTime)
			y.Thaw(y.Take(all))
			y.Land(y.TakeDue(true, 0, testTime))
		},
		"delivered": func(y *Mail, m *Message) {
			y.Admit(m, 1, testTime)
			settle(t, y, m)
			y.Land(y.TakeDue(true, 1<<20, testTime))
		},
		"old": func(y *Mail, m *Message) {
			y.Admit(m, 1, testTime)
			if ms := y.TakeDue(true, 1<<20, testTime); len(ms) > 0 {
				t.Errorf("%d messages are due that wait since a moment", len(ms))
			}
			y.Land(y.TakeDue(true, 1<<20, testTime.Add(oldAge+1)))
		},
	} {
		y := New()
		n, _ := recorded(t, 20)
		live(y, y.Announce(n))
		if !y.Empty() || y.bytes != 0 || y.bodyBytes != 0 || y.finished != 0 || y.states != [6]int64{} ||
			len(y.waiting)+len(y.busy)+len(y.byID)+len(y.bySeq) != 0 {
			t.Errorf("%s: this is left: %+v", name, y)
		}
	}
}

func all(*Message) bool { return true }

// settle has all deliveries of a message delivered; meanwhile nobody else has them.
func settle(t *testing.T, y *Mail, m *Message) {
	t.Helper()
	var leases []queue.Lease
	for i := range m.Deliveries {
		leases = append(leases, queue.Lease{Delivery: m.Deliveries[i].ID})
	}
	ended, ok := y.Settle(leases)
	if _, again := y.Settle(leases); !ok || again || len(y.Take(all)) > 0 {
		t.Errorf("reserved: %v, a second time: %v", ok, again)
	}
	y.Retract(ended)
	if ended, ok = y.Settle(leases); !ok {
		t.Error("not reserved again")
	}
	for _, d := range ended {
		st := stored.Settlement{Settlement: &queue.Settlement{State: queue.Delivered}}
		y.Delivered(d, &st, testTime)
	}
	if m.Left() != 0 {
		t.Errorf("%d deliveries wait", m.Left())
	}
}

// TestOrderOfClaim: what waits at a site comes by due and number, and nothing that somebody is at.
func TestOrderOfClaim(t *testing.T) {
	y := New()
	var ids []queue.DeliveryID
	for i, due := range []time.Duration{3, 1, 2, 1} {
		d := stored.Delivery{Delivery: queue.Delivery{State: queue.Queued, Site: "mx:b.test", Due: testTime.Add(due)}}
		n := &stored.Message{Message: queue.Message{ID: queue.ID([]byte{'a' + byte(i)})}, Deliveries: []stored.Delivery{d}}
		n.Number(int64(i + 1))
		y.Admit(y.Announce(n), 1, testTime)
		ids = append(ids, n.Deliveries[0].ID)
	}
	if got, want := at(y), []queue.DeliveryID{ids[1], ids[3], ids[2], ids[0]}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if ms, ready := y.TakeThose([]int64{1, 4}); !ready || len(ms) != 2 {
		t.Errorf("%d taken, %v", len(ms), ready)
	}
	if got, want := at(y), []queue.DeliveryID{ids[1], ids[2]}; !slices.Equal(got, want) {
		t.Errorf("while two are taken: %v, want %v", got, want)
	}
	if _, ready := y.TakeThose([]int64{2, 4}); ready {
		t.Error("a message was taken twice")
	}
	if _, busy := y.Moved("mx:b.test"); !busy || y.Needs() != 1 {
		t.Error("nobody is told that some are on their way")
	}
}

func at(y *Mail) (ids []queue.DeliveryID) {
	for _, d := range y.At("mx:b.test", 10, func(*Delivery) bool { return true }) {
		ids = append(ids, d.ID)
	}
	return ids
}
