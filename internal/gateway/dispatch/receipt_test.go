package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// ordering puts a key directly below a rule.
func ordering(rule, key string) string {
	return strings.Replace(rule, "action = ", key+"\naction = ", 1)
}

// unfolded is a message on long lines, as people read it.
func unfolded(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

const receipted = "receipt = \"sender\""

func TestTheSenderGetsAReceiptOfWhatARuleForced(t *testing.T) {
	for name, tt := range map[string]struct {
		keywords []string
		notify   mail.Notify
		action   string // "" for no report
	}{
		"the server promises no notices":   {nil, 0, "relayed"},
		"the server promises them":         {[]string{"DSN", "PIPELINING"}, 0, "delivered"},
		"NOTIFY=FAILURE says nothing else": {nil, mail.NotifyFailure, "relayed"},
		"NOTIFY=SUCCESS is in it":          {nil, mail.NotifySuccess, "relayed"},
		"NOTIFY=SUCCESS passed on":         {[]string{"DSN"}, mail.NotifySuccess, "delivered"},
		"NOTIFY=NEVER is kept to":          {nil, mail.NotifyNever, ""},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Keywords: tt.keywords})
				w.apply(ordering(clinicTicked, receipted))
				w.start()
				w.accept("a@example.test", func(s *queue.Submission) {
					s.Deliveries[0].Recipient.Notify = tt.notify
				}, "dr@clinic.test", "x@shop.test")
				time.Sleep(time.Hour)
				if tt.action == "" {
					if n := len(w.records(queue.DSN)); n > 0 {
						t.Errorf("%d reports", n)
					}
					return
				}
				r := w.one(queue.DSN)
				if r.State != queue.Delivered || !r.Requirement.Forced() || r.Reached != policy.Authenticated {
					t.Fatalf("the report: %v %q, %+v", r.State, r.Reason, r.Requirement)
				}
				text := unfolded(w.own.Messages()[0].Data)
				for _, part := range []string{"Action: " + tt.action, "Status: 2.0.0", "Final-Recipient: rfc822; dr@clinic.test", "X-Postern-Rule: clinic",
					"X-Postern-Reached: authenticated", "TLSv1.3", "Proven by: a certificate of a trusted CA", "mx.clinic.test"} {
					if !strings.Contains(text, part) {
						t.Errorf("the report lacks %q:\n%s", part, w.own.Messages()[0].Data)
					}
				}
				if strings.Contains(text, "x@shop.test") || strings.Contains(text, "secret body") {
					t.Errorf("the report says too much:\n%s", text)
				}
			})
		})
	}
}

func TestNobodyElseGetsAReceipt(t *testing.T) {
	rule := ordering(clinicRule, receipted)
	for name, tt := range map[string]struct {
		rules, from string
		to          []string
		broken      bool
		receipts    int
	}{
		"the null sender":                {rule, "", []string{"dr@clinic.test"}, false, 0},
		"a rule under test":              {ordering(rule, "mode = \"test\""), "a@example.test", []string{"dr@clinic.test"}, false, 0},
		"of what has not gone":           {rule, "a@example.test", []string{"dr@clinic.test"}, true, 0},
		"of a copy":                      {rule + effectRule("copy", "bcc", "shop.test", `to = ["archive@clinic.test"]`), "a@example.test", []string{"x@shop.test"}, false, 0},
		"of whom the rule does not name": {rule, "a@example.test", []string{"x@shop.test", "dr@clinic.test"}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				if tt.broken {
					w.clinic.Set(partner.Behaviour{Fault: partner.Busy})
				}
				w.apply(tt.rules)
				w.start()
				w.accept(tt.from, nil, tt.to...)
				time.Sleep(time.Hour)
				if n := len(w.records(queue.DSN)); n != tt.receipts {
					t.Errorf("%d receipts, want %d", n, tt.receipts)
				}
				for _, m := range w.own.Messages() {
					if strings.Contains(m.Data, "x@shop.test") || strings.Contains(m.Data, "archive@") {
						t.Errorf("it says too much:\n%s", m.Data)
					}
				}
			})
		})
	}
}

// A receipt is forced as a bounce is: where the sender's server has no TLS it is held. What a rule ordered when the
// mail was accepted is ordered though the rule is gone, and a gateway that stops and starts tells once.
func TestAReceiptIsForcedOrderedAtAcceptanceAndGivenOnce(t *testing.T) {
	story(t, func(w *world) {
		w.own.Set(partner.Behaviour{})
		w.clinic.Set(partner.Behaviour{Fault: partner.Busy})
		w.apply(ordering(clinicRule, receipted))
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		w.apply(clinicRule)
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}})})
		w.restart(w.owns)
		time.Sleep(time.Hour)
		w.restart(w.owns)
		time.Sleep(time.Hour)
		if r := w.to("dr@clinic.test"); r.State != queue.Delivered {
			t.Fatalf("%v %q", r.State, r.Reason)
		}
		if r := w.one(queue.DSN); r.State != queue.Held || len(leaked(w.own)) > 0 {
			t.Errorf("the report: %v, leaked %q", r.State, leaked(w.own))
		}
	})
}
