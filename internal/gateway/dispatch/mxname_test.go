package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

// dnsNow answers with the zone of this moment.
type dnsNow struct{ zone atomic.Pointer[dns.Resolver] }

func (d *dnsNow) now() dns.Resolver { return *d.zone.Load() }

func (d *dnsNow) MX(ctx context.Context, n mail.Domain) (dns.MXAnswer, error) {
	return d.now().MX(ctx, n)
}
func (d *dnsNow) Addrs(ctx context.Context, n mail.Domain) dns.Addresses {
	return d.now().Addrs(ctx, n)
}
func (d *dnsNow) CNAME(ctx context.Context, n mail.Domain) (dns.CNAMEAnswer, error) {
	return d.now().CNAME(ctx, n)
}
func (d *dnsNow) TXT(ctx context.Context, n mail.Domain) (dns.TXTAnswer, error) {
	return d.now().TXT(ctx, n)
}
func (d *dnsNow) TLSA(ctx context.Context, n mail.Domain) (dns.TLSAAnswer, error) {
	return d.now().TLSA(ctx, n)
}

// zone changes what DNS says; a line with "!" makes its name unsigned.
func (w *world) zone(text string) {
	var r dns.Resolver = zone.New(w.t, text)
	w.dns.zone.Store(&r)
}

// book fails where the test says so.
type book struct {
	*mxpins.Book
	w *world
}

func (b book) Pins(ctx context.Context, domain string) ([]mxpins.Pin, error) {
	if b.w.unread {
		return nil, errors.New("the disk is gone")
	}
	return b.Book.Pins(ctx, domain)
}

// Remember writes first uses.
func (b book) Remember(ctx context.Context, first bool, pins []mxpins.Pin) ([]mxpins.Pin, error) {
	if b.w.unwritten {
		return nil, errors.New("the disk is full")
	}
	return b.Book.Remember(ctx, first, pins)
}

// The mail hosts of clinic.test, unsigned: its own, another of its own, a stranger's.
const (
	atHome = `
!clinic.test      MX 10 mx.clinic.test
mx.clinic.test    A 192.0.2.10
`
	atHomeElsewhere = `
!clinic.test      MX 10 mx2.clinic.test
mx2.clinic.test   A 192.0.2.12
`
	abroad = `
!clinic.test      MX 10 mx.evil.test
mx.evil.test      A 192.0.2.66
`
)

// host adds a mail host with a good certificate for its name.
func (w *world) host(name, ip string) *partner.Partner {
	p := w.partner(name, ip+":25")
	w.t.Cleanup(p.Close)
	return p
}

// pinned lists what is remembered of clinic.test, "rule name by".
func (w *world) pinned() (out []string) {
	pins, err := mxpins.NewBook(w.store).Pins(context.Background(), "clinic.test")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range pins {
		out = append(out, p.Rule+" "+p.Name+" "+p.By)
	}
	return out
}

// told lists the changes of mail hosts the administrator was told of.
func (w *world) told() (out []event.MXChanged) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if c, ok := e.(event.MXChanged); ok {
			out = append(out, c)
		}
	}
	return out
}

// last is the newest delivery of ordinary mail.
func (w *world) last() queue.Record { return w.records(queue.Ordinary)[0] }

// spoke reports whether mail was spoken of at p.
func spoke(p *partner.Partner) bool {
	return slices.ContainsFunc(p.Commands(), func(c partner.Command) bool { return c.Verb == "MAIL" || c.Verb == "RCPT" || c.Verb == "DATA" })
}

func TestTheFirstSuccessPinsAndTheSameRegistrableDomainPasses(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		second := w.host("mx2.clinic.test", "192.0.2.12")
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		rec := w.last()
		if rec.State != queue.Delivered || rec.Reached != policy.Authenticated || !slices.Contains(rec.History[0].Notes, deliver.NotePinnedFirst) {
			t.Fatalf("%v %v %+v", rec.State, rec.Reached, rec.History)
		}
		if got := w.pinned(); !slices.Equal(got, []string{"clinic clinic.test first-use"}) {
			t.Errorf("pinned %q", got)
		}
		w.zone(atHomeElsewhere)
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || rec.History[0].Used().Evidence.MXBy != policy.MXByPin ||
			slices.Contains(rec.History[0].Notes, deliver.NotePinnedFirst) || slices.Contains(rec.History[0].Notes, string(policy.MXUnproven)) {
			t.Errorf("%v %+v", rec.State, rec.History)
		}
		if len(second.Messages()) != 1 || len(w.told()) != 0 {
			t.Errorf("%d messages at the second host, told %v", len(second.Messages()), w.told())
		}
	})
}

func TestMailWaitsForANewMailHostUntilItIsApproved(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		evil := w.host("mx.evil.test", "192.0.2.66")
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		w.zone(abroad)
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(30 * time.Minute)
		rec := w.last()
		if rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.MXChanged || spoke(evil) {
			t.Fatalf("%v %+v, spoke %v", rec.State, rec.SiteState.Last, spoke(evil))
		}
		if got := w.pinned(); !slices.Equal(got, []string{"clinic clinic.test first-use"}) {
			t.Errorf("trying widened what is known: %q", got)
		}
		if told := w.told(); len(told) != 1 || told[0].Domain != "clinic.test" || !told[0].Waits || !slices.Equal(told[0].Rules, []string{"clinic"}) ||
			!slices.Equal(told[0].Found, []string{"evil.test"}) || !slices.Equal(told[0].Known, []string{"clinic.test"}) {
			t.Errorf("told %+v", told)
		}
		pin := mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: "evil.test", Since: time.Now(), By: "administrator"}
		if _, err := mxpins.NewBook(w.store).Remember(t.Context(), false, []mxpins.Pin{pin}); err != nil {
			t.Fatal(err)
		}
		w.d.Kick(t.Context(), rec.Site)
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || len(evil.Messages()) != 1 {
			t.Errorf("approved: %v, %d messages", rec.State, len(evil.Messages()))
		}
	})
}

func TestAKnownHostOfThePlanTakesWhatAStrangerMayNot(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		evil := w.host("mx.evil.test", "192.0.2.66")
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		w.zone(abroad + "!clinic.test MX 20 mx.clinic.test\nmx.clinic.test A 192.0.2.10\n")
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || spoke(evil) || len(w.clinic.Messages()) != 2 {
			t.Errorf("%v, spoke %v, %d messages", rec.State, spoke(evil), len(w.clinic.Messages()))
		}
		if told := w.told(); len(told) != 1 || told[0].Waits {
			t.Errorf("told %+v", told)
		}
		if got := w.pinned(); !slices.Equal(got, []string{"clinic clinic.test first-use"}) {
			t.Errorf("pinned %q", got)
		}
	})
}

func TestSignedDNSVouchesForANewMailHost(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		moved := w.host("mx.evil.test", "192.0.2.66")
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		w.zone("clinic.test MX 10 mx.evil.test\nmx.evil.test A 192.0.2.66\n")
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || rec.History[0].Used().Evidence.MXBy != policy.MXBySignedDNS || len(moved.Messages()) != 1 {
			t.Fatalf("%v %+v", rec.State, rec.History)
		}
		if got := w.pinned(); !slices.Equal(got, []string{"clinic clinic.test first-use", "clinic evil.test signed-dns"}) {
			t.Errorf("pinned %q", got)
		}
		w.zone(abroad) // no longer signed, but known
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || len(w.told()) != 0 {
			t.Errorf("%v, told %v", rec.State, w.told())
		}
	})
}

func TestARuleForProvenNamesWaitsForUnsignedDNS(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		w.apply(clinicRule + "[rule.force_tls]\nmx = 'proven'\n")
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		rec := w.last()
		if rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.MXUnproven || spoke(w.clinic) || len(w.pinned()) != 0 {
			t.Fatalf("%v %+v, pinned %q", rec.State, rec.SiteState.Last, w.pinned())
		}
		w.zone("clinic.test MX 10 mx.clinic.test\nmx.clinic.test A 192.0.2.10\n")
		w.d.Kick(t.Context(), rec.Site)
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || len(rec.History) == 0 || slices.Contains(rec.History[len(rec.History)-1].Notes, string(policy.MXUnproven)) {
			t.Errorf("signed: %v %+v", rec.State, rec.History)
		}
	})
}

func TestARuleThatTakesAnyMailHostRecordsThatNobodyVouched(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		w.apply(clinicRule + "[rule.force_tls]\nmx = 'any'\n")
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || !slices.Contains(rec.History[0].Notes, string(policy.MXUnproven)) || len(w.pinned()) != 0 {
			t.Errorf("%v %+v, pinned %q", rec.State, rec.History, w.pinned())
		}
	})
}

func TestWhereTheRuleNamesTheHostDNSDoesNotMatter(t *testing.T) {
	for _, names := range []string{"['mx.evil.test']", "'domain'"} {
		story(t, func(w *world) {
			w.zone(abroad)
			w.t.Cleanup(w.partner("mx.evil.test", "192.0.2.66:25").Close)
			w.apply(clinicRule + "[rule.force_tls]\nmx = 'proven'\nnames = " + names + "\n")
			w.start()
			w.accept("a@example.test", nil, "dr@clinic.test")
			time.Sleep(10 * time.Second)
			rec := w.last()
			if names == "'domain'" { // the certificate is not of the domain, and that is all that counts
				if rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.CertNameMismatch {
					t.Errorf("%s: %v %+v", names, rec.State, rec.SiteState.Last)
				}
				return
			}
			if rec.State != queue.Delivered || len(w.pinned()) != 0 {
				t.Errorf("%s: %v %+v, pinned %q", names, rec.State, rec.SiteState.Last, w.pinned())
			}
		})
	}
}

func TestEveryRuleOfADeliveryMustKnowTheHost(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		evil := w.host("mx.evil.test", "192.0.2.66")
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		everyone := "[[rule]]\nname = 'all'\naction = 'force-tls'\nmatch.sender = ['example.test']\n"
		w.apply(clinicRule + everyone)
		w.zone(abroad)
		w.accept("a@example.test", nil, "dr@clinic.test") // first use for one rule, a change for the other
		time.Sleep(10 * time.Second)
		rec := w.last()
		if rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.MXChanged || spoke(evil) {
			t.Fatalf("%v %+v", rec.State, rec.SiteState.Last)
		}
		w.zone(atHome)
		w.d.Kick(t.Context(), rec.Site)
		time.Sleep(10 * time.Second)
		if got := w.pinned(); w.last().State != queue.Delivered || !slices.Equal(got, []string{"all clinic.test first-use", "clinic clinic.test first-use"}) {
			t.Errorf("%v, pinned %q", w.last().State, got)
		}
	})
}

// TestAFirstUseIsWrittenDownBeforeMAIL: who was told of mail is remembered, whatever becomes of it.
func TestAFirstUseIsWrittenDownBeforeMAIL(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Replies: map[string]string{"DATA": "451 4.3.0 not now"}})
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Queued || !slices.Equal(w.pinned(), []string{"clinic clinic.test first-use"}) {
			t.Errorf("%v, pinned %q", rec.State, w.pinned())
		}
	})
}

// TestOfTwoFirstUsesAtATimeOneCounts: while the first message under a rule is on its way to the domain's own host, DNS
// names a stranger's, and another message, which another rule sends to a site of its own, is tried there.
func TestOfTwoFirstUsesAtATimeOneCounts(t *testing.T) {
	const everyone = "[[rule]]\nname = 'all'\naction = 'force-tls'\nmatch.sender = ['other.test']\n"
	story(t, func(w *world) {
		w.zone(atHome)
		evil := w.host("mx.evil.test", "192.0.2.66")
		first := true
		w.broken.reading = func() {
			if !first {
				return
			}
			first = false
			w.zone(abroad)
			w.accept("a@other.test", nil, "dr@clinic.test")
			time.Sleep(10 * time.Second)
		}
		w.apply(clinicRule + everyone)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(30 * time.Second)
		if spoke(evil) {
			t.Error("a stranger heard of mail while the first message was on its way")
		}
		states := map[string]queue.Record{}
		for _, rec := range w.records(queue.Ordinary) {
			states[rec.Message.Envelope.From.String()] = rec
		}
		if rec := states["a@example.test"]; rec.State != queue.Delivered || len(w.clinic.Messages()) != 1 {
			t.Errorf("the first: %v %+v", rec.State, rec.SiteState.Last)
		}
		if rec := states["a@other.test"]; rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.MXChanged {
			t.Errorf("the second: %v %+v", rec.State, rec.SiteState.Last)
		}
		if got := w.pinned(); !slices.Equal(got, []string{"clinic clinic.test first-use"}) {
			t.Errorf("pinned %q", got)
		}
		if told := w.told(); len(told) != 1 || !told[0].Waits {
			t.Errorf("told %+v", told)
		}
	})
}

// TestAFirstUseThatComesSecondLooksForAKnownHost: between the verdict and MAIL another message's first use was written
// down. The connection is not used, and a host that is known now takes the message.
func TestAFirstUseThatComesSecondLooksForAKnownHost(t *testing.T) {
	story(t, func(w *world) {
		w.zone(abroad + "!clinic.test MX 20 mx.clinic.test\nmx.clinic.test A 192.0.2.10\n")
		evil := w.host("mx.evil.test", "192.0.2.66")
		w.broken.open = func(context.Context) error { // the channel is open by now
			pin := mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test", Since: time.Now(), By: policy.MXByFirstUse}
			_, err := mxpins.NewBook(w.store).Remember(context.Background(), true, []mxpins.Pin{pin})
			return err
		}
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || spoke(evil) || len(w.clinic.Messages()) != 1 {
			t.Errorf("%v %+v, spoke %v", rec.State, rec.SiteState.Last, spoke(evil))
		}
	})
}

func TestAFirstUseThatCannotBeWrittenDownIsNone(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		w.unwritten = true
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.PolicyUnavailable || spoke(w.clinic) {
			t.Errorf("%v %+v", rec.State, rec.SiteState.Last)
		}
	})
}

func TestABookThatCannotBeReadStopsForcedMail(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome)
		w.unread = true
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.PolicyUnavailable || spoke(w.clinic) {
			t.Errorf("%v %+v", rec.State, rec.SiteState.Last)
		}
	})
}

func TestANoticeToAStrangersDomainPinsItsHostsAndWaitsOnlyForAChange(t *testing.T) {
	story(t, func(w *world) {
		w.zone(atHome + "!far.test MX 10 mx.far.test\nmx.far.test A 192.0.2.70\n")
		far := w.host("mx.far.test", "192.0.2.70")
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.apply(clinicRule + "[rule.force_tls]\ndefer = '1m'\n")
		w.start()
		w.accept("a@far.test", nil, "dr@clinic.test")
		time.Sleep(5 * time.Minute)
		bounce := w.one(queue.DSN)
		if bounce.State != queue.Delivered || bounce.Reached != policy.Authenticated || len(far.Messages()) != 1 {
			t.Fatalf("%v %v, %d messages: %+v", bounce.State, bounce.Reached, len(far.Messages()), bounce.SiteState.Last)
		}
		pins, err := mxpins.NewBook(w.store).Pins(t.Context(), "far.test")
		if err != nil || len(pins) != 1 || pins[0].Rule != "clinic" || pins[0].Name != "far.test" {
			t.Errorf("%v, %v", pins, err)
		}
	})
}
