package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/nodes"
	"postern/internal/gateway/route"
	"postern/internal/lab/testkit/nodeboard"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// member is one of two gateways on one store, as far as the rules are concerned.
type member struct {
	*Service
	keeper *inforce.Keeper
	node   *nodes.Node
	rec    *recorder
	cut    atomic.Bool
	stop   func()
}

func joins(t *testing.T, store *memstore.Store, board *nodeboard.Board, name string) *member {
	table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.example.test"), HostsFile: "none"})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{rec: &recorder{}}
	m.keeper = inforce.NewKeeper(t.Context(), inforce.Config{Ledger: store, Table: table, Shared: true})
	line := &nodeboard.Line{Board: board, Lose: func(bool) bool { return m.cut.Load() }, Delay: func() time.Duration { return time.Millisecond }}
	m.node = nodes.New(nodes.Config{Registry: line, Session: name + " session", Name: name, Release: "1.2.3", Reload: m.keeper.Reload,
		InForce: func() nodes.Mark {
			v := m.keeper.Now()
			return nodes.Mark{Rules: v.Revision, Number: v.Number}
		}})
	board.Tell(m.node.Poke)
	m.Service = New(Config{Store: store, Ledger: store, Rules: m.keeper, Nodes: m.node, Dispatcher: m.rec, Sink: m.rec})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); m.node.Run(ctx) }()
	m.stop = func() { cancel(); <-ended }
	return m
}

// judges judges a message as receiving one does, and returns the revision of the rules that it was judged by.
func (m *member) judges() (int64, error) {
	end, err := m.node.Begin(context.Background())
	if err != nil {
		return 0, err
	}
	defer end()
	var stored queue.Message
	_, err = m.keeper.Now().Judge(&stored, mail.Header{}, []mail.Address{mail.MustAddress("x@clinic.test")})
	return stored.RulesRevision, err
}

// TestWhatIsAppliedAtOneGatewayHoldsAtTheOther, in a hundred rounds, for mail that comes right after.
func TestWhatIsAppliedAtOneGatewayHoldsAtTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, board := memstore.New(), nodeboard.New()
		two := []*member{joins(t, store, board, "gw-a"), joins(t, store, board, "gw-b")}
		defer two[0].stop()
		defer two[1].stop()
		time.Sleep(time.Second)
		for round := range 100 {
			here, there := two[round%2], two[(round+1)%2]
			text := strings.ReplaceAll(clinicRules, `"clinic"`, fmt.Sprintf("%q", fmt.Sprint("clinic-", round)))
			before := int64(round)
			out, err := here.For(everywhere(access.Administrator)).ApplyRules(t.Context(), ApplyRequest{Name: "rules.toml", Text: text, IfRevision: &before})
			if err != nil || len(out.NotYet) > 0 || out.NotYetProblem != "" || out.WaitedMS > 1000 {
				t.Fatalf("round %d: %+v, %v", round, out, err)
			}
			if by, err := there.judges(); err != nil || by != out.Revision {
				t.Fatalf("round %d: judged by revision %d, applied is %d, %v", round, by, out.Revision, err)
			}
		}
	})
}

// TestAChangeSaysWhereItDoesNotHoldYet, and who cannot reach the store changes nothing.
func TestAChangeSaysWhereItDoesNotHoldYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, board := memstore.New(), nodeboard.New()
		a, b := joins(t, store, board, "gw-a"), joins(t, store, board, "gw-b\x1b[31m")
		defer a.stop()
		defer b.stop()
		time.Sleep(time.Second)
		apply := func(m *member, text string) (ApplyResult, error) {
			return m.For(everywhere(access.Administrator)).ApplyRules(t.Context(), ApplyRequest{Name: "rules.toml", Text: text})
		}
		end, err := b.node.Begin(t.Context()) // a message that does not come to its end
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		out, err := apply(a, clinicRules)
		if err != nil || !out.Applied || len(out.NotYet) != 1 || out.NotYet[0].State != nodes.Live || strings.Contains(out.NotYet[0].Name, "\x1b") ||
			time.Since(began) > 61*time.Second || out.WaitedMS < 59_000 {
			t.Errorf("after %v: %+v, %v", time.Since(began), out, err)
		}
		if w := warned(a.rec); !strings.Contains(w, "revision 1 is not in force yet at gw-b") {
			t.Errorf("the log says %q", w)
		}
		end()
		time.Sleep(time.Second)
		if out, err := apply(a, clinicRules); err != nil || out.Applied || len(out.NotYet) > 0 {
			t.Errorf("the same again: %+v, %v", out, err)
		}
		b.cut.Store(true)
		time.Sleep(20 * time.Second)
		if _, err := apply(b, clinicRules+"# x\n"); !errors.Is(err, nodeboard.ErrCut) || !strings.Contains(err.Error(), "nothing was changed") || b.keeper.Now().Revision != 1 {
			t.Errorf("who cannot reach the others: %v", err)
		}
		list, err := a.For(everywhere(access.Auditor)).Nodes(t.Context())
		if err != nil || len(list) != 2 || !list[0].Self || list[0].State != nodes.Live || list[1].State != nodes.Doubtful || list[0].Release != "1.2.3" ||
			list[0].RulesRevision != 1 || list[0].RenewedMS == nil || *list[1].LeaseLeftMS <= 0 || list[0].StoreMS == nil {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestAGatewayThatStandsAloneListsItself.
func TestAGatewayThatStandsAloneListsItself(t *testing.T) {
	s, _, _ := service(t)
	s.cfg.Hostname = "gw.example.test"
	list, err := s.For(everywhere(access.Auditor)).Nodes(t.Context())
	if err != nil || len(list) != 1 || !list[0].Self || list[0].Name != "gw.example.test" || list[0].LeaseLeftMS != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func warned(r *recorder) (out string) {
	for _, e := range r.events {
		if w, ok := e.(event.Warned); ok {
			out += w.Text
		}
	}
	return out
}
