package dispatch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy"
	"postern/internal/queue"
)

// otherwise is the rule for the clinic with another way, and further keys below [rule.force_tls].
func otherwise(keys string) string {
	return clinicRule + "[rule.force_tls]\notherwise = [\"route:portal\", \"bounce\"]\n" + keys
}

// acted are the ways that were told in the log.
func (w *world) acted() (out []event.RuleActed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if a, ok := e.(event.RuleActed); ok && a.Effect == string(policy.EffectOtherwise) {
			out = append(out, a)
		}
	}
	return out
}

func (w *world) good(name string) partner.Behaviour {
	return partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{name}})}
}

func TestWhatWouldBeReturnedGoesAnotherWay(t *testing.T) {
	for name, tt := range map[string]struct {
		rules  string
		broken partner.Behaviour
		before time.Duration // not on its way yet, and after a minute more it has arrived
		why    policy.Reason
	}{
		"no TLS, which is refused at once":  {otherwise("without_tls = \"reject\""), partner.Behaviour{}, 0, policy.StartTLSNotOffered},
		"no TLS, to the end of the window":  {otherwise("defer = \"3h\""), partner.Behaviour{}, 3*time.Hour - time.Minute, policy.StartTLSNotOffered},
		"the server is down for the window": {otherwise("defer = \"3h\""), partner.Behaviour{Fault: partner.Busy}, 3*time.Hour - time.Minute, ""},
		"beside a rule without another way": {otherwise("defer = \"3h\"") + strings.ReplaceAll(clinicRule, `"clinic"`, `"hard"`) +
			"[rule.force_tls]\nmin_tls = \"1.3\"\n", partner.Behaviour{}, 3*time.Hour - time.Minute, policy.StartTLSNotOffered},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.zone(withPortal)
				portal := w.portal()
				w.clinic.Set(tt.broken)
				w.apply(ordering(tt.rules, receipted))
				w.start()
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(tt.before)
				if tt.before > 0 && (len(portal.Commands()) > 0 || len(w.acted()) > 0) {
					t.Fatalf("before the window is over the portal heard %v", portal.Commands())
				}
				time.Sleep(2 * time.Minute)
				r := w.to("dr@clinic.test")
				if r.State != queue.Delivered || r.Reached != policy.Authenticated || r.NextHop != "via:portal" || !r.Requirement.Forced() {
					t.Fatalf("%v %q at %s", r.State, r.Reason, r.NextHop)
				}
				way := r.Effects.Way()
				if way == nil || way.Rule != "clinic" || way.Ways[0] != "portal" || tt.why != "" && way.Why != tt.why || way.Why == "" {
					t.Errorf("the record: %+v", r.Effects)
				}
				if told := w.acted(); len(told) != 1 || told[0].Rule != "clinic" || !strings.Contains(told[0].Text, "sent to the route portal") {
					t.Errorf("told %+v", told)
				}
				if len(leaked(portal)) > 0 || len(w.clinic.Messages()) > 0 || len(portal.Messages()) != 1 {
					t.Errorf("leaked %v, the clinic got %v", leaked(portal), w.clinic.Messages())
				}
				var said string
				for _, m := range w.own.Messages() {
					said += unfolded(m.Data)
				}
				if !strings.Contains(said, `by the rule "clinic" it was sent to the route portal`) || strings.Contains(said, "Action: failed") {
					t.Errorf("the receipt says:\n%s", said)
				}
			}, long)
		})
	}
}

// The other way is under the same demand, has a window of its own, and then the mail is returned, once.
func TestTheOtherWayHasTheSameDemandAndItsOwnWindow(t *testing.T) {
	for name, bad := range map[string]func(*world) partner.Behaviour{
		"no TLS":              func(*world) partner.Behaviour { return partner.Behaviour{} },
		"another's name":      func(w *world) partner.Behaviour { return w.good("evil.test") },
		"an old certificate":  func(w *world) partner.Behaviour { return w.expired("portal.example.test") },
		"another rule's name": nil,
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.zone(withPortal)
				portal := w.portal()
				w.clinic.Set(partner.Behaviour{})
				rules := otherwise("defer = \"3h\"\n")
				if bad != nil {
					portal.Set(bad(w))
				} else {
					rules += strings.ReplaceAll(clinicRule, `"clinic"`, `"named"`) + "[rule.force_tls]\nnames = [\"mx.clinic.test\"]\n"
				}
				w.apply(rules)
				w.start()
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(5*time.Hour + 50*time.Minute)
				if r := w.to("dr@clinic.test"); r.State != queue.Queued || !strings.HasPrefix(r.NextHop, "via:portal") || r.Attempts == 0 && r.SiteState.Failures == 0 {
					t.Fatalf("on its way: %v %q at %s", r.State, r.Reason, r.NextHop)
				}
				time.Sleep(15 * time.Minute)
				if r := w.to("dr@clinic.test"); r.State != queue.Failed || len(portal.Messages()) > 0 || len(leaked(portal)) > 0 {
					t.Errorf("%v %q, leaked %q", r.State, r.Reason, leaked(portal))
				}
				if n := len(w.records(queue.DSN)); n != 1 || len(w.acted()) != 1 {
					t.Errorf("%d notices, %d ways", n, len(w.acted()))
				}
				last := w.own.Messages()[len(w.own.Messages())-1].Data
				if !strings.Contains(unfolded(last), "sent to the route portal instead") {
					t.Errorf("the notice:\n%s", last)
				}
			}, long)
		})
	}
}

// What is no want of the demand is returned as ever, and what a rule under test orders is not done.
func TestNoOtherWay(t *testing.T) {
	for name, tt := range map[string]struct {
		rules  string
		broken partner.Behaviour
		to     string
	}{
		"the server refuses the recipient": {otherwise(""), partner.Behaviour{Replies: map[string]string{"RCPT": "550 5.1.1 no"}}, "dr@clinic.test"},
		"a rule under test":                {clinicRule + ordering(strings.ReplaceAll(otherwise(""), `"clinic"`, `"trial"`), "mode = \"test\""), partner.Behaviour{}, "dr@clinic.test"},
		"bounce alone":                     {clinicRule + "[rule.force_tls]\notherwise = [\"bounce\"]\n", partner.Behaviour{}, "dr@clinic.test"},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.zone(withPortal)
				portal := w.portal()
				if tt.broken.Replies != nil {
					tt.broken.TLS = w.good("mx.clinic.test").TLS
				}
				w.clinic.Set(tt.broken)
				w.apply(tt.rules)
				w.start()
				w.accept("a@example.test", nil, tt.to)
				time.Sleep(25 * time.Hour)
				if r := w.to(tt.to); r.State != queue.Failed || len(portal.Commands()) > 0 || r.Effects.Way() != nil {
					t.Errorf("%v, the portal heard %v", r.State, portal.Commands())
				}
			}, long)
		})
	}
}

// Whatever is applied, reloaded or restarted between two steps: the mail neither goes back nor goes with less, and
// takes its way once.
func TestMailOnAnotherWayStaysThere(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"the gateway starts anew":    func(w *world) { w.restart(w.toPortal) },
		"the rule is gone":           func(w *world) { w.apply("") },
		"the rule has no otherwise":  func(w *world) { w.apply(clinicRule) },
		"the rule asks for more":     func(w *world) { w.apply(otherwise("min_tls = \"1.3\"\ndefer = \"1h\"")) },
		"the route is gone for long": func(w *world) { w.reload(w.owns); time.Sleep(time.Hour); w.reload(w.toPortal) },
		"the clinic has TLS now":     func(w *world) { w.clinic.Set(w.good("mx.clinic.test")); w.d.Changed() },
		"the gateway was down a week": func(w *world) {
			w.stop()
			<-w.done
			time.Sleep(7 * 24 * time.Hour)
			w.done = make(chan struct{})
			w.d = w.renewed()
			w.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.zone(withPortal)
				portal := w.portal()
				portal.Set(w.expired("portal.example.test"))
				w.clinic.Set(partner.Behaviour{})
				w.apply(otherwise("without_tls = \"reject\""))
				w.start()
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(10 * time.Minute)
				change(w)
				if name != "the gateway was down a week" {
					time.Sleep(time.Hour)
					if r := w.to("dr@clinic.test"); name != "the rule asks for more" && (r.State != queue.Queued || r.NextHop != "via:portal") || !r.Requirement.Forced() {
						t.Fatalf("%v %q at %s", r.State, r.Reason, r.NextHop)
					}
				}
				portal.Set(w.good("portal.example.test"))
				time.Sleep(2 * time.Hour)
				r := w.to("dr@clinic.test")
				if name == "the gateway was down a week" || name == "the rule asks for more" { // its window is over
					if r.State != queue.Failed || len(w.records(queue.DSN)) != 1 {
						t.Errorf("in the end %v, %d notices", r.State, len(w.records(queue.DSN)))
					}
				} else if r.State != queue.Delivered || r.Reached != policy.Authenticated || len(portal.Messages()) != 1 {
					t.Errorf("in the end %v %q", r.State, r.Reason)
				}
				if len(w.clinic.Messages()) > 0 || len(leaked(portal)) > 0 || len(w.acted()) != 1 {
					t.Errorf("the clinic got %v, leaked %v, ways %d", w.clinic.Messages(), leaked(portal), len(w.acted()))
				}
			}, long)
		})
	}
}

// A way that could not be stored is taken once, when it can.
func TestAWayIsTakenOnceThoughItCouldNotBeStored(t *testing.T) {
	story(t, func(w *world) {
		w.zone(withPortal)
		portal := w.portal()
		w.clinic.Set(partner.Behaviour{})
		failures := 0
		w.broken.settle = func(b queue.Batch) error {
			for _, s := range b.Settlements {
				if s.Move != nil && s.Move.Effects != nil && failures < 3 {
					failures++
					return errors.New("the disk is away")
				}
			}
			return nil
		}
		w.apply(otherwise("without_tls = \"reject\""))
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Delivered || len(portal.Messages()) != 1 || len(w.acted()) != 1 || failures != 3 {
			t.Errorf("%v %q, %d ways after %d failures", r.State, r.Reason, len(w.acted()), failures)
		}
	}, long)
}

// The gateway stops before or after any step is stored, and starts again when the lease of what it had in hand is over.
func TestAWayIsTakenOnceWhereverTheGatewayStops(t *testing.T) {
	for _, stored := range []bool{false, true} {
		for stop := range 6 {
			story(t, func(w *world) {
				w.zone(withPortal)
				portal := w.portal()
				w.clinic.Set(partner.Behaviour{})
				steps := 0
				w.broken.settle = func(queue.Batch) error {
					if steps++; steps-1 != stop {
						return nil
					}
					w.stop()
					if stored {
						return nil
					}
					return errors.New("the process is gone")
				}
				w.apply(ordering(otherwise("defer = \"3h\""), receipted))
				w.start()
				w.accept("a@example.test", nil, "dr@clinic.test")
				for range 12 {
					time.Sleep(30 * time.Minute)
					w.restart(w.toPortal)
				}
				r := w.to("dr@clinic.test")
				if r.State != queue.Delivered || r.Reached != policy.Authenticated || len(portal.Messages()) != 1 || len(w.clinic.Messages()) > 0 {
					t.Errorf("stopped at step %d (stored %v): %v %q, the portal got %d", stop, stored, r.State, r.Reason, len(portal.Messages()))
				}
				if way := r.Effects.Way(); way == nil || way.Taken != 1 || len(leaked(portal)) > 0 || len(w.records(queue.DSN)) != 1 {
					t.Errorf("stopped at step %d (stored %v): %+v, leaked %q, %d receipts", stop, stored, way, leaked(portal), len(w.records(queue.DSN)))
				}
			}, long)
		}
	}
}

// A gateway that is down for the whole of the second window tries the other way before it returns the mail.
func TestTheOtherWayIsTriedBeforeItIsGivenUp(t *testing.T) {
	story(t, func(w *world) {
		w.zone(withPortal)
		portal := w.portal()
		w.clinic.Set(partner.Behaviour{})
		w.heard = func(e event.Event) {
			if a, ok := e.(event.RuleActed); ok && a.Effect == string(policy.EffectOtherwise) {
				w.stop()
			}
		}
		w.apply(otherwise("without_tls = \"reject\""))
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(7 * 24 * time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Queued || len(portal.Commands()) > 0 {
			t.Fatalf("while it is down: %v", r.State)
		}
		w.restart(w.toPortal)
		time.Sleep(10 * time.Minute)
		if r := w.to("dr@clinic.test"); r.State != queue.Delivered || len(portal.Messages()) != 1 {
			t.Errorf("%v %q", r.State, r.Reason)
		}
	}, long)
}

// More is demanded of mail on its other way: the window of that demand counts from when it took the way.
func TestWhatIsRaisedOnAnotherWayHasItsWindowFromThere(t *testing.T) {
	story(t, func(w *world) {
		w.zone(withPortal)
		portal := w.portal()
		portal.Set(w.expired("portal.example.test"))
		w.clinic.Set(partner.Behaviour{})
		w.apply(otherwise("defer = \"3h\""))
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(3*time.Hour + 10*time.Minute)
		w.apply(otherwise("min_tls = \"1.3\"\ndefer = \"1h\""))
		time.Sleep(40 * time.Minute)
		r := w.to("dr@clinic.test")
		if r.State != queue.Queued || r.NextHop != "via:portal" || r.ExpiresAt.Sub(r.AcceptedAt).Round(10*time.Minute) != 4*time.Hour {
			t.Errorf("%v %q, ends %v after its acceptance", r.State, r.Reason, r.ExpiresAt.Sub(r.AcceptedAt))
		}
		time.Sleep(time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Failed || len(leaked(portal)) > 0 {
			t.Errorf("in the end %v", r.State)
		}
	}, long)
}

// Mail of which an administrator took the demand is ordinary mail, and returned as such.
func TestMailWithoutDemandTakesNoOtherWay(t *testing.T) {
	story(t, func(w *world) {
		w.zone(withPortal)
		portal := w.portal()
		w.clinic.Set(partner.Behaviour{Fault: partner.Busy})
		w.apply(otherwise("defer = \"3h\""))
		w.start()
		w.accept("a@example.test", func(s *queue.Submission) {
			s.Deliveries[0].Requirement, s.Deliveries[0].Demands = policy.Requirement{}, nil
		}, "dr@clinic.test")
		time.Sleep(24 * time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Failed || len(portal.Commands()) > 0 {
			t.Errorf("%v %q, the portal heard %v", r.State, r.Reason, portal.Commands())
		}
	}, long)
}

// Mail that an administrator holds takes no other way.
func TestHeldMailTakesNoOtherWay(t *testing.T) {
	story(t, func(w *world) {
		w.zone(withPortal)
		portal := w.portal()
		portal.Set(partner.Behaviour{})
		w.clinic.Set(partner.Behaviour{})
		w.apply(otherwise("defer = \"3h\""))
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Hour)
		if _, err := w.store.Act(context.Background(), queue.Action{Kind: queue.Hold, Now: time.Now(), By: "test"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Held || len(portal.Commands()) > 0 {
			t.Errorf("held: %v, the portal heard %v", r.State, portal.Commands())
		}
	}, long)
}

// TestWhateverHappensForcedMailGoesOnceAndProtected: servers that break and mend, rules that change, gateways that stop.
func TestWhateverHappensForcedMailGoesOnceAndProtected(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ways, returned := 0, 0
	for i := range rounds {
		story(t, func(w *world) {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			switch rec := otherwiseOnce(t, w, r); {
			case rec.Effects.Way() != nil && rec.State == queue.Delivered:
				ways++
			case rec.State == queue.Failed:
				returned++
			}
		}, long)
	}
	if !testing.Short() && (ways == 0 || returned == 0) {
		t.Errorf("of %d messages %d went another way and %d were returned: the law was hardly tried", rounds, ways, returned)
	}
}

func randomOtherwise(r *rand.Rand) string {
	keys := []string{"", "defer = \"2h\"\n", "defer = \"1h\"\nwithout_tls = \"reject\"\n"}
	out := otherwise(keys[r.IntN(3)])
	if r.IntN(2) == 0 {
		out = ordering(out, receipted)
	}
	if hard := strings.ReplaceAll(clinicRule, `"clinic"`, `"hard"`) + "[rule.force_tls]\n" + keys[r.IntN(3)]; r.IntN(3) == 0 {
		if out += hard; r.IntN(2) == 0 {
			out = hard + otherwise(keys[r.IntN(3)])
		}
	}
	return out
}

func otherwiseOnce(t *testing.T, w *world, r *rand.Rand) queue.Record {
	w.zone(withPortal)
	portal := w.portal()
	servers := map[string]*partner.Partner{"mx.clinic.test": w.clinic, "portal.example.test": portal}
	weather := func(name string, good int) {
		behaviours := []partner.Behaviour{{}, {Fault: partner.Busy}, w.expired(name), w.good("evil.test")}
		if n := r.IntN(len(behaviours) + good); n < len(behaviours) {
			servers[name].Set(behaviours[n])
		} else {
			servers[name].Set(w.good(name))
		}
	}
	weather("mx.clinic.test", 0)
	weather("portal.example.test", 3)
	w.apply(randomOtherwise(r))
	w.start()
	w.accept("a@example.test", nil, "dr@clinic.test")
	for range 3 + r.IntN(5) {
		time.Sleep(time.Duration(r.IntN(int(90 * time.Minute))))
		switch r.IntN(5) {
		case 0:
			w.restart(w.toPortal)
		case 1:
			w.apply(randomOtherwise(r))
		case 2:
			w.apply("")
		case 3:
			weather("mx.clinic.test", 0)
		case 4:
			weather("portal.example.test", 3)
		}
	}
	time.Sleep(10 * 24 * time.Hour)
	rec := w.to("dr@clinic.test")
	got := len(w.clinic.Messages()) + len(portal.Messages())
	if rec.State.Waiting() || got > 1 || (got == 1) != (rec.State == queue.Delivered) || len(portal.Messages()) > 0 && rec.Effects.Way() == nil {
		t.Fatalf("%v, %d messages came, %+v", rec.State, got, rec.Effects)
	}
	if bad := append(leaked(w.clinic), leaked(portal)...); len(bad) > 0 || rec.State == queue.Delivered && rec.Reached != policy.Authenticated {
		t.Fatalf("leaked %q, reached %v", bad, rec.Reached)
	}
	notices := 0
	if rec.State == queue.Failed || rec.Effects.Done(policy.EffectReceipt) != nil {
		notices = 1
	}
	if n := len(w.records(queue.DSN)); n != notices || len(w.acted()) > 1 {
		t.Fatalf("%v: %d notices, want %d; %d ways", rec.State, n, notices, len(w.acted()))
	}
	return rec
}
