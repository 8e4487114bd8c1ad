package dispatch_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/queue"
)

// ownsClinic serves clinic.test too, at a server that nobody reaches.
func (w *world) ownsClinic(c *route.Config) {
	w.owns(c)
	c.Own = append(c.Own, route.Own{Domain: mail.MustDomain("clinic.test"), To: []route.HostPort{{Host: mail.MustDomain("mail.clinic.internal"), Port: 25}}})
}

// TestADomainThatLeavesOursIsUnderTheRules: mail that waited for our own server is judged by the rules, whether the
// configuration is read again or the gateway starts with another one.
func TestADomainThatLeavesOursIsUnderTheRules(t *testing.T) {
	for name, leave := range map[string]func(w *world){
		"reload":  func(w *world) { w.reload(w.owns) },
		"restart": func(w *world) { w.restart(w.owns) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
				w.apply(clinicRule)
				w.reload(w.ownsClinic)
				w.start()
				id := w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(10 * time.Minute)
				if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.Requirement.Forced() {
					t.Fatalf("mail for our own domain: %v, %+v", rec.State, rec.Requirement)
				}
				leave(w)
				time.Sleep(10 * time.Minute)
				rec := w.one(queue.Ordinary)
				if len(leaked(w.clinic)) != 0 {
					t.Fatalf("what a rule forces went in the clear: %q", leaked(w.clinic))
				}
				if rec.Requirement.Channel != policy.Authenticated || rec.NextHop != "mx:clinic.test" || rec.Message.ID != id {
					t.Fatalf("it demands %+v at %s", rec.Requirement, rec.NextHop)
				}
				w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}})})
				time.Sleep(20 * time.Minute)
				if rec := w.one(queue.Ordinary); rec.State != queue.Delivered || rec.Reached != policy.Authenticated {
					t.Errorf("after the repair it is %v (%s)", rec.State, rec.Reason)
				}
			})
		})
	}
}

// bindings bind clients of 192.0.2.0/24, who all may relay, to a domain.
type bindings string

func (b bindings) Relays(*queue.Inbound) bool { return true }

func (b bindings) Bound(*queue.Inbound) []string { return []string{string(b)} }

func (b bindings) Digest() string { return string(b) }

// TestWhatWaitsIsUnderTheBindingOfItsClient: mail with the null sender is the mail of whom the client is bound to, also
// where that is written down while the mail waits.
func TestWhatWaitsIsUnderTheBindingOfItsClient(t *testing.T) {
	for name, bind := range map[string]func(w *world){
		"reload":  func(w *world) { w.reload(w.owns) },
		"restart": func(w *world) { w.restart(w.owns) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.shop.Set(partner.Behaviour{Replies: map[string]string{"RCPT": "451 4.3.0 later"}})
				w.apply("[[rule]]\nname = 'ours'\naction = 'force-tls'\ndomain = ['home.test']\n")
				w.start()
				w.shape = func(m *queue.Message) {
					m.Inbound.Relayed, m.Inbound.Client = true, netip.MustParseAddr("192.0.2.7")
				}
				w.accept("", nil, "x@shop.test")
				time.Sleep(10 * time.Minute)
				if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.Requirement.Forced() {
					t.Fatalf("before it is bound: %v, %+v", rec.State, rec.Requirement)
				}
				w.clients = bindings("home.test")
				bind(w)
				time.Sleep(10 * time.Minute)
				if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.Requirement.Channel != policy.Authenticated {
					t.Errorf("it demands %+v in %v", rec.Requirement, rec.State)
				}
			})
		})
	}
}

// restart stops the dispatcher and starts another with other tables over the same store.
func (w *world) restart(change func(*route.Config)) {
	w.halt()
	w.again(change)
}

func (w *world) halt() {
	w.stop()
	<-w.done
}

func (w *world) again(change func(*route.Config)) {
	w.done = make(chan struct{})
	before := w.keeper.Now().Number
	w.keeper = inforce.NewKeeper(context.Background(), inforce.Config{Ledger: w.store, Table: w.newTable(change), Clients: w.clients, Files: w.digest})
	w.d = w.renewed()
	if w.keeper.Now().Number != before {
		w.d.Changed()
	}
	w.start()
}

func TestARestartWithoutAChangeJudgesNothingAnew(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.Busy})
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Second)
		number := w.keeper.Now().Number
		for _, rec := range w.records(queue.Ordinary) {
			if rec.JudgedUnder(&rec.Message) != number {
				t.Errorf("judged under %d, and %d is in force", rec.JudgedUnder(&rec.Message), number)
			}
		}
		w.restart(w.owns)
		time.Sleep(time.Second)
		if n := w.keeper.Now().Number; n != number {
			t.Errorf("the number was %d and is %d", number, n)
		}
		w.restart(w.ownsClinic)
		if n := w.keeper.Now().Number; n <= number {
			t.Errorf("with other tables the number is %d", n)
		}
		time.Sleep(time.Second)
		number = w.keeper.Now().Number
		w.files.Store("another CA")
		if changed, err := w.keeper.Tend(context.Background()); !changed || err != nil || w.keeper.Now().Number <= number {
			t.Errorf("with another file: %v, %v, number %d", changed, err, w.keeper.Now().Number)
		}
		number = w.keeper.Now().Number
		w.apply(clinicRule)
		if n := w.keeper.Now().Number; n <= number {
			t.Errorf("after equal rules the number is %d", n)
		}
	})
}

// TestACorrectedRuleFreesItsMail: what a rule wrongly named is replaced for waiting mail as well, at once; what would
// be less waits for an administrator.
func TestACorrectedRuleFreesItsMail(t *testing.T) {
	good := "sha256:" + strings.Repeat("00", 32) // put in place below
	for name, tt := range map[string]struct {
		wrong, right string
		less         bool
	}{
		"pin":                  {"pins = ['sha256:" + strings.Repeat("ab", 32) + "']", "pins = ['" + good + "']", false},
		"pin that is gone":     {"pins = ['sha256:" + strings.Repeat("ab", 32) + "']", "", true},
		"name":                 {"names = ['mx.clinci.test']", "names = ['mx.clinic.test']", false},
		"name, any mail host":  {"names = ['mx.clinci.test']", "mx = 'any'", true},
		"name, of the domain":  {"names = ['mx.clinci.test']", "names = 'domain'", false},
		"CA":                   {"trust = 'wrong.pem'", "trust = 'right.pem'", false},
		"CA, the public":       {"trust = 'wrong.pem'", "", false},
		"TLS floor":            {"min_tls = '1.3'", "min_tls = '1.2'", true},
		"revocation":           {"revocation = 'require'", "revocation = 'check'", true},
		"mx":                   {"mx = 'proven'", "mx = 'pinned'", true},
		"mx for a name":        {"mx = 'proven'", "names = ['mx.clinic.test']", false},
		"pin and a ticked box": {"pins = ['sha256:" + strings.Repeat("ab", 32) + "']", "pins = ['" + good + "']\nunspecified_recipients = 'opportunistic'", false},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				cert := w.ca.Issue(pki.Options{Names: []string{"mx.clinic.test", "clinic.test"}})
				tls := w.cert(pki.Options{Names: []string{"mx.clinic.test", "clinic.test"}})
				tls.Certificates[0] = cert.TLS
				if name == "TLS floor" {
					tls.MaxVersion = 0x0303
				}
				w.clinic.Set(partner.Behaviour{TLS: tls})
				if strings.HasPrefix(name, "mx") {
					w.zone(atHome)
				}
				right := strings.ReplaceAll(tt.right, good, "sha256:"+certcheck.Facts(cert.Leaf).SPKI)
				w.apply(clinicRule + "[rule.force_tls]\n" + tt.wrong + "\n")
				w.start()
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(3 * time.Hour)
				if rec := w.one(queue.Ordinary); rec.State != queue.Queued {
					t.Fatalf("under the wrong rule it is %v (%s)", rec.State, rec.Reason)
				}
				w.apply(clinicRule + "[rule.force_tls]\n" + right + "\n")
				time.Sleep(5 * time.Second)
				rec := w.one(queue.Ordinary)
				if want := map[bool]queue.State{false: queue.Delivered, true: queue.Queued}[tt.less]; rec.State != want {
					t.Fatalf("five seconds after the correction it is %v, want %v: %v, demands %+v", rec.State, want, rec.Why(), rec.Demands)
				}
			})
		})
	}
}
