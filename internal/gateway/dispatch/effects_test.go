package dispatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// copies adds the copies that rules order, as the receiving side does.
func (w *world) copies(view *inforce.View, m *queue.Message, judged []inforce.Judged, s *queue.Submission) {
	known := map[string]bool{}
	for i := range judged {
		for _, e := range judged[i].Effects {
			if e.Kind != policy.EffectBCC || e.Test {
				continue
			}
			for _, a := range e.To {
				if known[a] {
					continue
				}
				known[a] = true
				to := mail.MustAddress(a)
				j := view.Copies(m, mail.Header{}, &inforce.Look{}, []mail.Address{to}, judged)[0]
				j.Effects = policy.Effects{{Rule: e.Rule, Kind: policy.EffectCopy}}
				window := 120 * time.Hour
				if j.Window > 0 {
					window = j.Window
				}
				d := view.Delivery(mail.Recipient{Address: to, Notify: mail.NotifyNever}, &j, m.AcceptedAt, m.AcceptedAt.Add(window))
				d.Noticed = true
				s.Deliveries = append(s.Deliveries, d)
			}
		}
	}
}

// effectRule is a rule of an action; more are further lines below [[rule]].
func effectRule(name, action, recipient, section string) string {
	text := fmt.Sprintf("\n[[rule]]\nname = %q\naction = %q\n", name, action)
	if recipient != "" {
		text += fmt.Sprintf("[rule.match]\nrecipient = [%q]\n", recipient)
	}
	if section != "" {
		text += "[rule." + strings.ReplaceAll(action, "-", "_") + "]\n" + section + "\n"
	}
	return text
}

// to returns the record of a recipient of ordinary mail.
func (w *world) to(recipient string) queue.Record {
	w.t.Helper()
	for _, r := range w.records(queue.Ordinary) {
		if r.Recipient.Address.String() == recipient {
			return r
		}
	}
	w.t.Fatalf("no record of %s", recipient)
	return queue.Record{}
}

// portal is a partner that a route of that name leads to.
func (w *world) portal() *partner.Partner {
	p := w.partner("portal.example.test", "192.0.2.50:25")
	w.t.Cleanup(p.Close)
	w.reload(w.toPortal)
	return p
}

func (w *world) toPortal(c *route.Config) {
	w.owns(c)
	c.Routes = append(c.Routes, route.Route{Name: "portal", To: []route.HostPort{{Host: mail.MustDomain("portal.example.test")}}})
}

const withPortal = zoneText + "portal.example.test. A 192.0.2.50\n"

func TestARejectedRecipientIsReturnedAndTheOthersGo(t *testing.T) {
	story(t, func(w *world) {
		w.apply(clinicTicked + effectRule("no shop", "reject", "shop.test", `text = "not to the shop"`))
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test", "x@shop.test")
		time.Sleep(3 * time.Second)
		if r := w.to("dr@clinic.test"); r.State != queue.Delivered {
			t.Errorf("%v %q", r.State, r.Reason)
		}
		if r := w.to("x@shop.test"); r.State != queue.Failed || r.Attempts != 0 || len(w.shop.Commands()) > 0 {
			t.Errorf("%v after %d attempts, heard %v", r.State, r.Attempts, w.shop.Commands())
		}
		if r := w.one(queue.DSN); r.State != queue.Delivered {
			t.Fatalf("the notice: %v %q", r.State, r.Reason)
		}
		text := w.own.Messages()[0].Data
		for _, part := range []string{"Status: 5.7.1", "Diagnostic-Code: x-postern; rule no shop: not to the shop", "Final-Recipient: rfc822; x@shop.test",
			`The rule "no shop"`} {
			if !strings.Contains(strings.ReplaceAll(text, "\r\n ", " "), part) {
				t.Errorf("the notice lacks %q:\n%s", part, text)
			}
		}
		if strings.Contains(text, "dr@clinic.test") || strings.Contains(text, "secret body") {
			t.Errorf("the notice says too much:\n%s", text)
		}
	})
}

// The notice about a rejected recipient of forced mail is forced, and is held where the sender's server has no TLS.
func TestTheNoticeOfARejectIsForcedWhereItsMailWas(t *testing.T) {
	story(t, func(w *world) {
		w.own.Set(partner.Behaviour{})
		w.apply(clinicRule + effectRule("no", "reject", "clinic.test", ""))
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		if r := w.one(queue.DSN); r.State != queue.Held || !r.Requirement.Forced() {
			t.Errorf("%v %+v", r.State, r.Requirement)
		}
		if got := append(leaked(w.own), leaked(w.clinic)...); len(got) > 0 {
			t.Errorf("leaked %q", got)
		}
	})
}

func TestAQuarantineEndsAsItsRuleSays(t *testing.T) {
	for _, tt := range []struct {
		then    string
		state   queue.State
		notices int
	}{{"return", queue.Failed, 1}, {"delete", queue.Cancelled, 0}, {"release", queue.Delivered, 0}} {
		t.Run(tt.then, func(t *testing.T) {
			story(t, func(w *world) {
				w.apply(effectRule("look", "hold", "", "days = 7\nthen = \""+tt.then+`"`))
				w.start()
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(7*24*time.Hour - 2*time.Minute)
				if r := w.to("dr@clinic.test"); r.State != queue.Held || r.Quarantine() == nil || len(w.clinic.Commands())+len(w.records(queue.Delay)) > 0 {
					t.Fatalf("before the end: %v, due %v, deadline %v", r.State, r.Due, r.Deadline)
				}
				time.Sleep(5 * time.Minute)
				if r := w.to("dr@clinic.test"); r.State != tt.state || len(w.records(queue.DSN)) != tt.notices {
					t.Errorf("%v %q, %d notices", r.State, r.Reason, len(w.records(queue.DSN)))
				}
				time.Sleep(time.Hour)
				if n := len(w.clinic.Messages()); n > 1 || len(w.records(queue.DSN)) != tt.notices {
					t.Errorf("done twice: %d messages, %d notices", n, len(w.records(queue.DSN)))
				}
			}, long)
		})
	}
}

// What is released is judged by the rules of that moment, and has its whole window from then on.
func TestWhatIsReleasedIsJudgedByTheRulesOfThatMoment(t *testing.T) {
	story(t, func(w *world) {
		look := effectRule("look", "hold", "", "days = 7")
		w.apply(look)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(3 * 24 * time.Hour)
		w.clinic.Set(partner.Behaviour{}) // no TLS any more
		w.apply(look + clinicRule)
		time.Sleep(time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Held || r.Quarantine() == nil || !r.Requirement.Forced() {
			t.Fatalf("after the change: %v, %+v, deadline %v", r.State, r.Requirement, r.Deadline)
		}
		released, err := w.store.Act(context.Background(), queue.Action{Kind: queue.Release, Now: time.Now(), By: "test"})
		if err != nil || released.Changed != 1 {
			t.Fatal(released, err)
		}
		w.d.Kick(context.Background(), released.Sites...)
		time.Sleep(20 * time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Queued || r.Reason != policy.StartTLSNotOffered {
			t.Errorf("released: %v %q", r.State, r.Reason)
		}
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}})})
		time.Sleep(2 * time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Delivered || r.Reached != policy.Authenticated || len(leaked(w.clinic)) > 0 {
			t.Errorf("in the end: %v %q, leaked %q", r.State, r.Reason, leaked(w.clinic))
		}
	}, long)
}

func TestAnAdministratorReturnsWhatIsHeld(t *testing.T) {
	story(t, func(w *world) {
		w.apply(effectRule("look", "hold", "clinic.test", ""))
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test", "x@shop.test")
		time.Sleep(time.Second)
		held, gone := w.to("dr@clinic.test").ID, w.to("x@shop.test").ID
		for i, want := range []string{"1 <nil>", "0 " + dispatch.ErrNotHeld.Error()} {
			n, err := w.d.Return(context.Background(), []queue.DeliveryID{held, gone})
			if got := fmt.Sprint(n, err); !strings.HasPrefix(got, want) {
				t.Errorf("return %d: %s, want %s", i, got, want)
			}
		}
		time.Sleep(time.Second)
		if r := w.to("dr@clinic.test"); r.State != queue.Failed || len(w.records(queue.DSN)) != 1 || len(w.clinic.Commands()) > 0 {
			t.Errorf("%v, %d notices", r.State, len(w.records(queue.DSN)))
		}
		if r := w.to("x@shop.test"); r.State != queue.Delivered {
			t.Errorf("the other: %v", r.State)
		}
	})
}

func TestRedirectedMailKeepsItsDemandAndNeverGoesElsewhere(t *testing.T) {
	story(t, func(w *world) {
		w.zone(withPortal)
		portal := w.portal()
		w.apply(clinicRule + effectRule("portal", "redirect", "", `route = "portal"`))
		w.start()
		portal.Set(w.expired("portal.example.test"))
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		if r := w.to("dr@clinic.test"); r.State != queue.Queued || r.Reason != policy.CertExpired || r.NextHop != "via:portal" {
			t.Fatalf("a portal that cannot prove itself: %v %q at %s", r.State, r.Reason, r.NextHop)
		}
		w.reload(w.owns) // the route is gone
		w.apply(clinicRule)
		time.Sleep(2 * time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Queued || r.Why() != policy.PolicyUnavailable {
			t.Errorf("without the route: %v %q", r.State, r.Why())
		}
		portal.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"portal.example.test"}})})
		w.reload(w.toPortal)
		time.Sleep(2 * time.Hour)
		r := w.to("dr@clinic.test")
		if r.State != queue.Delivered || r.Reached != policy.Authenticated || len(portal.Messages()) != 1 {
			t.Errorf("in the end: %v %q", r.State, r.Reason)
		}
		if len(w.clinic.Commands()) > 0 || len(leaked(portal)) > 0 {
			t.Errorf("the clinic heard %v, the portal in the clear %v", w.clinic.Commands(), leaked(portal))
		}
	})
}

// A copy of forced mail is forced, also where the mail is forced only later.
func TestACopyOfForcedMailIsForced(t *testing.T) {
	archive := effectRule("archive", "bcc", "", `to = ["archive@shop.test"]`)
	for name, later := range map[string]bool{"at once": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				rules := clinicTicked + archive
				if later {
					rules = archive
					w.shop.Set(partner.Behaviour{Replies: map[string]string{"MAIL": "451 4.3.0 later"}})
					w.clinic.Set(partner.Behaviour{Replies: map[string]string{"MAIL": "451 4.3.0 later"}})
				} else {
					w.shop.Set(partner.Behaviour{})
				}
				w.apply(rules)
				w.start()
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(30 * time.Second)
				before := len(leaked(w.shop))
				w.shop.Set(partner.Behaviour{})
				w.apply(clinicTicked + archive)
				time.Sleep(time.Hour)
				r := w.to("archive@shop.test")
				if r.State != queue.Queued || !r.Requirement.Forced() || r.Reason != policy.StartTLSNotOffered || !r.IsCopy() || r.Tainted() {
					t.Errorf("%v %+v %q", r.State, r.Requirement, r.Reason)
				}
				if got := leaked(w.shop); len(got) != before {
					t.Errorf("leaked %q", got)
				}
				time.Sleep(48 * time.Hour)
				if r := w.to("archive@shop.test"); r.State != queue.Failed {
					t.Errorf("in the end: %v", r.State)
				}
				for _, r := range w.records(queue.DSN) {
					text := fmt.Sprint(w.own.Messages())
					if strings.Contains(text, "archive@") {
						t.Errorf("the sender hears of the copy, in %s", r.Message.ID)
					}
				}
			}, long)
		})
	}
}

// Fields stand above the header, in the mail to the recipients of their rule only.
func TestAddedFieldsStandAboveTheHeader(t *testing.T) {
	story(t, func(w *world) {
		w.apply(effectRule("mark", "add-header", "b@clinic.test", `fields = [{ name = "X-A", value = "1" }, { name = "X-B", value = "=?utf-8?q?=C3=BC?=" }]`))
		w.start()
		w.accept("a@example.test", nil, "a@clinic.test", "b@clinic.test", "c@clinic.test")
		time.Sleep(5 * time.Second)
		const body = "Subject: results\r\n"
		const head = "X-A: 1\r\nX-B: =?utf-8?q?=C3=BC?=\r\n"
		got := map[string]string{}
		for _, m := range w.clinic.Messages() {
			for _, to := range m.To {
				got[to], _, _ = strings.Cut(m.Data, "Message-ID")
			}
		}
		want := map[string]string{"a@clinic.test": body, "b@clinic.test": head + body, "c@clinic.test": body}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestLawEffectsHappenOnce: random rules of all actions, changed while mail waits, with a gateway that ends between any
// two steps and another that goes on. Nothing rejected or held is sent, nobody gets a message twice, each copy goes
// once, every rejected recipient's sender is told once, and nothing forced is said in the clear.
func TestLawEffectsHappenOnce(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 8
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for i := range rounds {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, long)
			defer w.close()
			effectsOnce(t, w, rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
}

func randomEffects(r *rand.Rand) string {
	all := []string{
		clinicRule, clinicTicked,
		effectRule("no", "reject", "shop.test", ""), effectRule("look", "hold", "clinic.test", "days = 1\nthen = \"release\""),
		effectRule("away", "redirect", "clinic.test", `route = "portal"`), effectRule("archive", "bcc", "", `to = ["archive@shop.test"]`),
		effectRule("mark", "add-header", "shop.test", `fields = [{ name = "X-A", value = "1" }]`), effectRule("boss", "allow", "clinic.test", ""),
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var out string
	for _, rule := range all[:2+r.IntN(5)] {
		if rule == clinicTicked && strings.Contains(out, `"clinic"`) || rule == clinicRule && strings.Contains(out, `"clinic"`) {
			continue
		}
		if r.IntN(5) == 0 {
			rule = strings.Replace(rule, "action =", "mode = \"test\"\naction =", 1)
		}
		out += rule
	}
	return out
}

func effectsOnce(t *testing.T, w *world, r *rand.Rand) {
	w.zone(withPortal)
	portal := w.portal()
	first := randomEffects(r)
	w.apply(first)
	w.start()
	w.accept("a@example.test", nil, "dr@clinic.test", "x@shop.test")
	said := map[string]policy.Effects{}
	for _, rec := range w.records(queue.Ordinary) {
		said[rec.Recipient.Address.String()] = rec.Effects
	}
	for range 3 + r.IntN(4) {
		time.Sleep(time.Duration(r.IntN(int(12 * time.Hour))))
		switch r.IntN(3) {
		case 0: // this gateway ends, another goes on
			w.stop()
			<-w.done
			w.done = make(chan struct{})
			w.d = w.renewed()
			w.start()
		case 1:
			w.apply(randomEffects(r))
		case 2:
			_, _ = w.store.Act(context.Background(), queue.Action{Kind: queue.Retry, Now: time.Now(), By: "test"})
		}
	}
	time.Sleep(10 * 24 * time.Hour)
	got := map[string]int{}
	for _, p := range []*partner.Partner{w.clinic, w.shop, portal} {
		for _, m := range p.Messages() {
			for _, to := range m.To {
				got[to]++
				if head := said[to].Head(); strings.HasPrefix(m.Data, "X-A: ") != (head != "") {
					t.Fatalf("%s got %q\n%s", to, m.Data, first)
				}
			}
		}
	}
	rejected := 0
	for to, es := range said {
		want := 1
		if es.Done(policy.EffectReject) != nil {
			want = 0
			rejected++
		}
		if got[to] != want {
			t.Fatalf("%s got it %d times, want %d: %v\n%s", to, got[to], want, es, first)
		}
	}
	if n := len(w.records(queue.DSN)); n != rejected {
		t.Fatalf("%d notices about %d rejected recipients\n%s", n, rejected, first)
	}
	if es := said["dr@clinic.test"]; (es.Route() != "") != slices.ContainsFunc(portal.Messages(), func(m partner.Message) bool { return slices.Contains(m.To, "dr@clinic.test") }) {
		t.Fatalf("the portal got %v, effects %v", portal.Messages(), es)
	}
}
