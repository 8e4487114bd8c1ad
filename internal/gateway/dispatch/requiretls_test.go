package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

func requireTLS(m *queue.Message) { m.Envelope.RequireTLS = true }

func waives(m *queue.Message) { m.Waives = true }

// promises has a partner offer REQUIRETLS inside TLS.
func (w *world) promises(name string) partner.Behaviour {
	return partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{name}}), Inside: []string{"PIPELINING", "REQUIRETLS"}}
}

// mailed are the MAIL commands that a partner heard.
func mailed(p *partner.Partner) (out []string) {
	for _, c := range p.Commands() {
		if c.Verb == "MAIL" {
			out = append(out, c.Line)
		}
	}
	return out
}

func TestRequireTLSGoesOnWhereItIsOffered(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.promises("mx.clinic.test"))
		w.start()
		w.shape = requireTLS
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Second)
		rec := w.one(queue.Ordinary)
		if rec.State != queue.Delivered || rec.Reached != policy.Authenticated || !rec.Requirement.RequireTLS {
			t.Fatalf("%v, reached %v, %q", rec.State, rec.Reached, rec.Reason)
		}
		if got := mailed(w.clinic); len(got) != 1 || !strings.HasSuffix(got[0], " REQUIRETLS") {
			t.Errorf("heard %q", got)
		}
	})
}

// The report about what is hopeless goes at once, has headers only, and travels as its mail would have (RFC 8689 §5).
func TestWithoutThePromiseMailFailsAtOnceAndItsReportKeepsIt(t *testing.T) {
	story(t, func(w *world) {
		w.own.Set(w.promises("mail.example.test"))
		w.start()
		w.shape = func(m *queue.Message) {
			requireTLS(m)
			m.Envelope.Ret = mail.ReturnFull
		}
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Second)
		rec := w.one(queue.Ordinary)
		if rec.State != queue.Failed || rec.Reason != policy.RequireTLSNotOffered || len(mailed(w.clinic)) != 0 {
			t.Fatalf("%v, %q, heard %q", rec.State, rec.Reason, mailed(w.clinic))
		}
		report := w.one(queue.DSN)
		if report.State != queue.Delivered || !report.Message.Envelope.RequireTLS || !report.Requirement.RequireTLS {
			t.Fatalf("the report: %v, %+v, %q", report.State, report.Requirement, report.Reason)
		}
		if got := mailed(w.own); len(got) != 1 || !strings.HasSuffix(got[0], " REQUIRETLS") {
			t.Errorf("the sender's server heard %q", got)
		}
		text := w.own.Messages()[0].Data
		for _, part := range []string{"Status: 5.7.30", "requiretls-not-offered", "Subject: results"} {
			if !strings.Contains(text, part) {
				t.Errorf("the report lacks %q:\n%s", part, text)
			}
		}
		if strings.Contains(text, "secret body") {
			t.Error("the report carries the body")
		}
	})
}

func TestAReportOfRequireTLSIsHeldUntilItMayTravel(t *testing.T) {
	story(t, func(w *world) {
		w.start()
		w.shape = requireTLS
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		if rec := w.one(queue.DSN); rec.State != queue.Held {
			t.Fatalf("the report is %v for %q", rec.State, rec.Reason)
		}
		if got := mailed(w.own); len(got) > 0 {
			t.Fatalf("the sender's server heard %q", got)
		}
		w.own.Set(w.promises("mail.example.test"))
		time.Sleep(17 * time.Minute)
		if rec := w.one(queue.DSN); rec.State != queue.Delivered {
			t.Errorf("afterwards it is %v for %q", rec.State, rec.Reason)
		}
	})
}

// A report that a stranger's server wrote under REQUIRETLS would be lost if it failed at once: nobody hears of it.
func TestAReportOfAnotherServerIsNotDiscarded(t *testing.T) {
	story(t, func(w *world) {
		w.start()
		w.shape = requireTLS
		w.accept("", nil, "dr@clinic.test")
		time.Sleep(40 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.RequireTLSNotOffered {
			t.Fatalf("it is %v, %+v", rec.State, rec.SiteState.Last)
		}
		w.clinic.Set(w.promises("mx.clinic.test"))
		time.Sleep(17 * time.Minute)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Errorf("afterwards it is %v", rec.State)
		}
	})
}

// What may pass later waits in its ordinary lifetime, and goes when it is mended.
func TestRequireTLSWaitsForWhatMayBeMended(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.own.Set(w.promises("mail.example.test"))
		w.start()
		w.shape = requireTLS
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(3 * time.Hour)
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.CertExpired {
			t.Fatalf("%v %+v", rec.State, rec.SiteState.Last)
		}
		if delay := w.one(queue.Delay); delay.State != queue.Delivered || !delay.Message.Envelope.RequireTLS {
			t.Errorf("the delay notice: %v, %+v", delay.State, delay.Message.Envelope)
		}
		w.apply(clinicRule) // judged again, it keeps what its sender asked for
		w.apply("")
		time.Sleep(time.Minute)
		w.clinic.Set(w.promises("mx.clinic.test"))
		time.Sleep(20 * time.Minute)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered || !rec.Requirement.RequireTLS {
			t.Errorf("%v, %+v", rec.State, rec.Requirement)
		}
		if len(mailed(w.clinic)) != 1 {
			t.Errorf("heard %q", mailed(w.clinic))
		}
	}, long)
}

// Two recipients, two hosts: each has its own end, and ordinary mail to the same host is not concerned.
func TestRequireTLSSplitsByHost(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.promises("mx.clinic.test"))
		w.own.Set(w.promises("mail.example.test"))
		w.start()
		w.accept("a@example.test", nil, "plain@shop.test")
		w.shape = requireTLS
		w.accept("a@example.test", nil, "dr@clinic.test", "buyer@shop.test")
		time.Sleep(time.Second)
		got := map[string]queue.State{}
		for _, rec := range w.records(queue.Ordinary) {
			got[rec.Recipient.Address.String()] = rec.State
		}
		if got["dr@clinic.test"] != queue.Delivered || got["buyer@shop.test"] != queue.Failed || got["plain@shop.test"] != queue.Delivered {
			t.Errorf("%v", got)
		}
		if heard := mailed(w.shop); len(heard) != 1 || strings.Contains(heard[0], "REQUIRETLS") {
			t.Errorf("the shop heard %q", heard)
		}
	})
}

func TestRequireTLSToOurOwnServersTakesTheTrustOfThatLeg(t *testing.T) {
	for trust, want := range map[string]queue.State{"right.pem": queue.Delivered, "wrong.pem": queue.Queued} {
		story(t, func(w *world) {
			w.reload(func(c *route.Config) {
				w.owns(c)
				c.Own[0].Trust = trust
			})
			w.own.Set(w.promises("mail.example.test"))
			w.trust(nil)
			w.start()
			w.shape = requireTLS
			w.accept("dr@clinic.test", nil, "a@example.test")
			time.Sleep(40 * time.Second)
			if rec := w.one(queue.Ordinary); rec.State != want {
				t.Errorf("%s: %v for %q", trust, rec.State, rec.Reason)
			}
		})
	}
}

// mismatched is a world in which TLSA records of the clinic's host match nothing.
func (w *world) mismatched(waivable bool) {
	w.zone(zoneText + "_25._tcp.mx.clinic.test. TLSA 3 1 1 " + strings.Repeat("ab", 32) + "\n")
	w.reload(func(c *route.Config) {
		w.owns(c)
		c.DANE, c.Waivable = policy.Enforced, waivable
	})
}

// Two messages wait at one site. The one that sets aside what is published goes, whatever its place in the queue, and
// the channel that it had carries nothing of the other, in either order and also while it lingers.
func TestAWaiverServesItsOwnMessageAlone(t *testing.T) {
	for _, c := range []struct {
		name    string
		accepts func(w *world)
	}{
		{"the ordinary one first", func(w *world) {
			w.accept("a@example.test", nil, "kept@clinic.test")
			w.shape = waives
			w.accept("a@example.test", nil, "waived@clinic.test")
			w.start()
		}},
		{"the waiving one first", func(w *world) {
			w.shape = waives
			w.accept("a@example.test", nil, "waived@clinic.test")
			w.shape = nil
			w.accept("a@example.test", nil, "kept@clinic.test")
			w.start()
		}},
		{"while the channel lingers", func(w *world) {
			w.start()
			w.shape = waives
			w.accept("a@example.test", nil, "waived@clinic.test")
			time.Sleep(500 * time.Millisecond)
			w.shape = nil
			w.accept("a@example.test", nil, "kept@clinic.test")
		}},
		{"at a site that has failed", func(w *world) {
			w.start()
			w.accept("a@example.test", nil, "kept@clinic.test")
			time.Sleep(30 * time.Second)
			w.shape = waives
			w.accept("a@example.test", nil, "waived@clinic.test")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(w *world) {
				w.mismatched(true)
				c.accepts(w)
				time.Sleep(7 * time.Minute)
				for _, rec := range w.records(queue.Ordinary) {
					switch {
					case rec.Recipient.Address.Local == "waived":
						if rec.State != queue.Delivered || len(rec.History) == 0 || rec.History[len(rec.History)-1].Notes[0] != deliver.NoteWaived {
							t.Errorf("the waiving one is %v for %q: %+v", rec.State, rec.Reason, rec.History)
						}
					case rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.DANEMismatch || len(rec.SiteState.Last.Notes) > 0:
						t.Errorf("the other is %v, %+v", rec.State, rec.SiteState.Last)
					}
				}
				if got := mailed(w.clinic); len(got) != 1 {
					t.Errorf("heard %q", got)
				}
			})
		})
	}
}

func TestAWaiverLowersNeitherRulesNorRequireTLSNorAnythingWhereItMayNot(t *testing.T) {
	for name, c := range map[string]struct {
		waivable bool
		rule     string
		shape    func(*queue.Message)
		server   func(w *world) partner.Behaviour
		want     queue.State
		reason   policy.Reason
	}{
		"not allowed": {false, "", waives, func(w *world) partner.Behaviour { return w.promises("mx.clinic.test") }, queue.Queued, policy.DANEMismatch},
		"a rule, met": {true, clinicRule, waives, func(w *world) partner.Behaviour { return w.promises("mx.clinic.test") }, queue.Delivered, ""},
		"a rule, not met": {true, clinicRule, waives, func(w *world) partner.Behaviour { return w.expired("mx.clinic.test") },
			queue.Queued, policy.CertExpired},
		"REQUIRETLS, where both are said": {true, "", requireTLS, func(w *world) partner.Behaviour { return w.promises("mx.clinic.test") },
			queue.Queued, policy.DANEMismatch},
		"plaintext, where nothing better is to be had": {true, "", waives, func(*world) partner.Behaviour { return partner.Behaviour{} },
			queue.Delivered, policy.StartTLSNotOffered},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.mismatched(c.waivable)
				w.clinic.Set(c.server(w))
				w.apply(c.rule)
				w.start()
				w.shape = c.shape
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(40 * time.Second)
				rec := w.one(queue.Ordinary)
				reason := rec.Reason
				if rec.State == queue.Queued {
					reason = rec.SiteState.Last.Reason
				}
				if rec.State != c.want || reason != c.reason {
					t.Errorf("%v for %q, want %v for %q", rec.State, reason, c.want, c.reason)
				}
				if c.want != queue.Delivered && len(mailed(w.clinic)) > 0 {
					t.Errorf("heard %q", mailed(w.clinic))
				}
			})
		})
	}
}
