package dispatch_test

import (
	"context"
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/notify"
	"postern/internal/history/peers"
	"postern/internal/history/peers/memory"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// remembers is what the world's deliverer is told of peers: nothing, unless remember was called.
type remembers struct{ w *world }

func (r remembers) Missing(host string, addr netip.AddrPort) (s peers.Stand) {
	r.w.broken.change(func() {
		if r.w.memory != nil {
			s = r.w.memory.Missing(host, addr)
		}
	})
	return s
}

// remember gives the world a memory of peers, and an administrator in example.test who is written to. Call it before
// start, and what it returns before the world ends.
func (w *world) remember(c peers.Ratchet) (end func()) {
	n := notify.New(notify.Config{
		To: mail.MustAddress("admin@example.test"), From: mail.MustAddress("postmaster@gw.example.test"), Hostname: mail.MustDomain("gw.example.test"),
		Store: w.store, InForce: w.inForce, Wake: w.d.Wake, Sink: w, Random: func() uint32 { return atomic.AddUint32(&w.serial, 1) },
	})
	m, err := memory.Open(context.Background(), memory.Config{Book: memory.NewBook(w.store), Sink: event.Tee{w, n}, Ratchet: c})
	if err != nil {
		w.t.Fatal(err)
	}
	w.broken.change(func() {
		w.memory = m
		w.heard = func(e event.Event) {
			n.Emit(e)
			m.Emit(e)
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { _ = n.Run(ctx); done <- struct{}{} }()
	go func() { _ = m.Run(ctx); done <- struct{}{} }()
	return func() { stop(); <-done; <-done }
}

// sound is a partner with TLS, bare one without.
func (w *world) sound() partner.Behaviour {
	return partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}, NotAfter: time.Now().AddDate(1, 0, 0)})}
}

var bare = partner.Behaviour{Fault: partner.NoTLS}

// proveTLS lets mail go to the clinic over TLS once a day for five days.
func (w *world) proveTLS() {
	w.clinic.Set(w.sound())
	for range 5 {
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(24 * time.Hour)
	}
	if n := len(w.clinic.Messages()); n != 5 {
		w.t.Fatalf("%d of 5 messages arrived over TLS", n)
	}
}

// newest is the record of the message accepted last.
func (w *world) newest(id queue.ID) queue.Record {
	w.t.Helper()
	for _, r := range w.records(queue.Ordinary) {
		if r.Message.ID == id {
			return r
		}
	}
	w.t.Fatalf("message %s is not known", id)
	return queue.Record{}
}

// letters are the messages that reached the administrator.
func (w *world) letters() (out []string) {
	for _, m := range w.own.Messages() {
		if slices.Contains(m.To, "admin@example.test") {
			out = append(out, m.Data)
		}
	}
	return out
}

var holding = peers.Ratchet{Mode: peers.Hold, After: 5, Days: 3, Hold: 4 * time.Hour}

func TestTheRatchetHoldsThenStepsDown(t *testing.T) {
	story(t, func(w *world) {
		defer w.remember(holding)()
		w.start()
		w.proveTLS()
		w.clinic.Set(bare)
		id := w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(30 * time.Second)
		until := time.Now().Add(4*time.Hour - 30*time.Second).UTC().Format("2006-01-02T15:04")
		r := w.newest(id)
		if last := r.SiteState.Last; r.State != queue.Queued || last == nil || last.Reason != policy.StartTLSStripped ||
			!strings.Contains(last.Text, "ratchet") || !strings.Contains(last.Text, until) {
			t.Fatalf("half a minute after the loss: %v, %+v", r.State, r.SiteState.Last)
		}
		time.Sleep(3*time.Hour + 58*time.Minute)
		if n := len(leaked(w.clinic)); n != 0 {
			t.Fatalf("within the hold %d mail commands went in plaintext", n)
		}
		second := w.accept("a@example.test", nil, "dr@clinic.test") // it waits no longer than the first
		time.Sleep(20 * time.Minute)
		for _, id := range []queue.ID{id, second} {
			if r := w.newest(id); r.State != queue.Delivered || r.Reached != policy.Plaintext || r.Reason != policy.StartTLSStripped {
				t.Errorf("after the hold: %v, reached %v, %q", r.State, r.Reached, r.Reason)
			}
		}
		letters := w.letters()
		if len(letters) != 1 {
			t.Fatalf("the administrator got %d letters", len(letters))
		}
		for _, want := range []string{"Subject: [postern] mx.clinic.test lost its TLS\r\n", "Auto-Submitted: auto-generated\r\n", "waits for TLS until",
			"To: <admin@example.test>\r\n", "Message-ID: <", "postern peers show mx.clinic.test"} {
			if !strings.Contains(letters[0], want) {
				t.Errorf("the letter lacks %q:\n%s", want, letters[0])
			}
		}
	}, long)
}

func TestTheRatchetLetsGoWhenTLSIsBack(t *testing.T) {
	story(t, func(w *world) {
		defer w.remember(holding)()
		w.start()
		w.proveTLS()
		for name, lost := range map[string]partner.Behaviour{"no offer": bare, "a broken handshake": {TLS: w.sound().TLS, Fault: partner.ResetsTLS},
			"a refusal": {TLS: w.sound().TLS, Fault: partner.RefusesTLS}, "a masked offer": {TLS: w.sound().TLS, Fault: partner.Masked}} {
			w.clinic.Set(lost)
			id := w.accept("a@example.test", nil, "dr@clinic.test")
			time.Sleep(2 * time.Hour)
			if r := w.newest(id); r.State == queue.Delivered || !strings.Contains(r.SiteState.Last.Text, "ratchet") {
				t.Fatalf("%s: %v, %q", name, r.State, r.Reason)
			}
			w.clinic.Set(w.sound())
			time.Sleep(20 * time.Minute)
			if r := w.newest(id); r.State != queue.Delivered || r.Reached < policy.Encrypted {
				t.Errorf("%s: after the return %v, reached %v", name, r.State, r.Reached)
			}
			time.Sleep(24 * time.Hour)
		}
		if n := len(leaked(w.clinic)); n != 0 {
			t.Errorf("%d mail commands went in plaintext", n)
		}
	}, long)
}

func TestWithoutTheRatchetALossIsOnlyTold(t *testing.T) {
	for _, mode := range []peers.Mode{peers.Off, peers.Warn} {
		story(t, func(w *world) {
			c := holding
			c.Mode = mode
			defer w.remember(c)()
			w.start()
			w.proveTLS()
			w.clinic.Set(bare)
			id := w.accept("a@example.test", nil, "dr@clinic.test")
			time.Sleep(time.Minute)
			if r := w.newest(id); r.State != queue.Delivered || r.Reached != policy.Plaintext || r.Reason != policy.StartTLSStripped {
				t.Errorf("%s: %v, reached %v, %q", mode, r.State, r.Reached, r.Reason)
			}
			if n, want := len(w.letters()), map[peers.Mode]int{peers.Warn: 1}[mode]; n != want {
				t.Errorf("%s: the administrator got %d letters, want %d", mode, n, want)
			}
		}, long)
	}
}

const clinicRejects = clinicRule + "[rule.force_tls]\nwithout_tls = 'reject'\n"

func TestAKnownHostThatLostItsTLSIsNotRejectedAtOnce(t *testing.T) {
	story(t, func(w *world) {
		defer w.remember(peers.Ratchet{Mode: peers.Off})()
		w.apply(clinicRejects)
		w.start()
		w.clinic.Set(w.sound())
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(24 * time.Hour)
		w.clinic.Set(bare)
		id := w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Hour)
		if r := w.newest(id); r.State != queue.Queued || r.SiteState.Last.Reason != policy.StartTLSStripped {
			t.Fatalf("an hour after the loss: %v, %q", r.State, r.Reason)
		}
		w.clinic.Set(w.sound())
		time.Sleep(20 * time.Minute)
		if r := w.newest(id); r.State != queue.Delivered || r.Reached != policy.Authenticated {
			t.Errorf("after the return: %v, reached %v", r.State, r.Reached)
		}
		w.clinic.Set(bare)
		time.Sleep(31 * 24 * time.Hour) // so long without an offer is none
		late := w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		if r := w.newest(late); r.State != queue.Failed || r.Reason != policy.StartTLSNotOffered {
			t.Errorf("a month later: %v, %q", r.State, r.Reason)
		}
		if n := len(leaked(w.clinic)); n != 0 {
			t.Errorf("%d mail commands went in plaintext", n)
		}
		if letters := w.letters(); len(letters) != 1 || !strings.Contains(letters[0], "waits until TLS is back") {
			t.Errorf("the administrator got %q", letters)
		}
	}, long)
}

func TestAPartnersCertificateThatRunsOutIsWrittenAbout(t *testing.T) {
	story(t, func(w *world) {
		defer w.remember(peers.Ratchet{Mode: peers.Warn})()
		w.apply(clinicRule)
		w.start()
		w.own.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mail.example.test"}, NotAfter: time.Now().AddDate(1, 0, 0)})})
		b := w.sound()
		b.TLS = &tls.Config{Certificates: []tls.Certificate{w.ca.Issue(pki.Options{Names: []string{"mx.clinic.test"}, NotAfter: time.Now().AddDate(0, 0, 40)}).TLS}}
		w.clinic.Set(b)
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(41 * 24 * time.Hour)
		var subjects []string
		for _, l := range w.letters() {
			_, rest, _ := strings.Cut(l, "Subject: ")
			subject, _, _ := strings.Cut(rest, "\r\n")
			subjects = append(subjects, subject)
		}
		if len(subjects) != 4 || !strings.Contains(subjects[0], "runs out in 30 days") || !strings.Contains(subjects[3], "hours") {
			t.Errorf("letters: %q", subjects)
		}
	}, long)
}

func TestAnAlertThatMayNotTravelAlertsNobody(t *testing.T) {
	story(t, func(w *world) {
		defer w.remember(holding)()
		w.apply("[[rule]]\nname = 'us'\nscope = 'outbound'\naction = 'force-tls'\n[rule.match]\nrecipient = ['example.test']\n")
		w.start()
		w.proveTLS()
		w.own.Set(bare)
		w.clinic.Set(bare)
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * 24 * time.Hour)
		if alerts := w.records(queue.Alert); len(alerts) != 1 {
			t.Errorf("%d alerts were written", len(alerts))
		}
	}, long)
}
