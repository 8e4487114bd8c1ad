package acceptance

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

// exception is an entry of the rules file that sets something aside for a month.
func (w *world) exception(domain, kind string) string {
	return fmt.Sprintf("[[exception]]\ndomain = %q\nignore = [%q]\nreason = \"ticket 4711\"\nexpires = %s\n", domain, kind,
		w.Now.AddDate(0, 1, 0).Format(time.DateOnly))
}

func (w *world) tlsa(host, record string) {
	w.T.Helper()
	w.Record(fmt.Sprintf("_%d._tcp.%s TLSA %s", w.Port, host, record))
}

// nobodysKey is a TLSA record that no certificate matches.
var nobodysKey = "3 1 1 " + strings.Repeat("ab", 32)

// What an exception sets aside, check sets aside too, and says so.
func TestCheckKnowsTheExceptionsInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"dane", "later"} {
		w.signed(name+".test", w.Offers(pki.Options{SelfSigned: true, Names: []string{"mx." + name + ".test"}}))
		w.tlsa("mx."+name+".test", nobodysKey)
	}
	w.Domain("sts.test", w.Expired("mx.sts.test"))
	w.policyHost("sts.test", "1", policy("enforce", "mx.sts.test"))
	w.Domain("foreign.test", w.Good("mx.foreign.test"))
	w.policyHost("foreign.test", "1", policy("enforce", "else.foreign.test"))
	rules := w.exception("dane.test", "dane") + w.exception("sts.test", "sts") + w.exception("foreign.test", "sts")
	w.Start(rules)
	agree := func(want map[string]string) {
		t.Helper()
		verdicts, objects := w.checksAll(0, "dane.test", "later.test", "sts.test", "foreign.test")
		for domain, outcome := range want {
			if v := verdicts[domain]["opportunistic"]; v.Outcome != outcome {
				t.Errorf("check says of %s: %+v, and mail is %s", domain, v, outcome)
			}
			said := strings.Contains(objects[domain], `"mode":"exception"`) && strings.Contains(objects[domain], "ticket 4711")
			if said != (outcome == "delivered") {
				t.Errorf("check of %s does not tell what is set aside: %s", domain, objects[domain])
			}
		}
	}
	for _, domain := range []string{"dane.test", "sts.test", "foreign.test"} {
		w.Send("anna@home.test", "excepted", "a@"+domain)
		w.Await("a@"+domain, harness.In("delivered"))
	}
	w.Send("anna@home.test", "kept to", "a@later.test")
	w.Await("a@later.test", harness.Waits("dane-mismatch"))
	agree(map[string]string{"dane.test": "delivered", "sts.test": "delivered", "foreign.test": "delivered", "later.test": "deferred"})
	until := w.Now.AddDate(0, 1, 0).Format(time.DateOnly)
	if out := strings.Join(strings.Fields(w.Postern("check", "dane.test")), " "); !strings.Contains(out, "DANE, set aside") || !strings.Contains(out, "an exception until "+until+": ticket 4711") {
		t.Errorf("check says\n%s", out)
	}

	w.Apply(rules + w.exception("later.test", "dane")) // made while it runs
	w.Await("a@later.test", harness.In("delivered"))
	agree(map[string]string{"dane.test": "delivered", "later.test": "delivered"})
	w.Stop() // without a gateway a file can be named, as for a rule
	agree(map[string]string{"later.test": "deferred"})
	file := w.Write("rules.toml", []byte(harness.Force("else", `"else.test"`)+w.exception("later.test", "dane")))
	if v := w.checks(1, "--rules", file, "--as-rule", "else", "later.test")["later.test"]["opportunistic"]; v.Outcome != "delivered" {
		t.Errorf("with the rules of a file check says %+v", v)
	}
}

// watch runs `postern check --watch`; since returns what it printed since it was asked last.
func (w *world) watch(args ...string) (since func() string) {
	w.T.Helper()
	cmd := exec.Command(harness.Binary(), append([]string{"check", "--watch", "300ms", "--json"}, args...)...)
	cmd.Env = append(cmd.Environ(), "POSTERN_CONFIG="+w.ConfigFile())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.T.Fatal(err)
	}
	var mu sync.Mutex
	var lines []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for in := bufio.NewScanner(out); in.Scan(); {
			mu.Lock()
			lines = append(lines, in.Text())
			mu.Unlock()
		}
	}()
	w.T.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		said := strings.Join(lines, "\n")
		lines = nil
		return said
	}
}

// A gateway that starts anew makes nobody blind, and that it is away is no change of what a domain publishes.
func TestWatchingOutlastsTheGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("a.test", w.Good("mx.a.test"))
	host := w.policyHost("a.test", "1", policy("testing", "mx.a.test"))
	w.Start("")
	w.Send("anna@home.test", "first", "x@a.test")
	w.Await("x@a.test", harness.In("delivered"))
	since := w.watch("a.test")
	said := ""
	seen := func(what string, within time.Duration) bool {
		for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if said += since(); strings.Contains(said, what) {
				return true
			}
		}
		return false
	}
	if !seen(`"kind":"target"`, 10*time.Second) {
		t.Fatal("nothing is told")
	}
	time.Sleep(time.Second)
	// what the gateway keeps is not asked for again, and what the domain says is newer
	host.set(policy("testing", "mx.a.test", "mx2.a.test"))
	w.announces("a.test", "2")
	said = ""
	w.Stop()
	if seen(`"kind":"change"`, 2*time.Second) {
		t.Errorf("while the gateway is away a change is told:\n%s", said)
	}
	w.Serve()
	if seen(`"kind":"change"`, 3*time.Second) {
		t.Errorf("when it is back a change is told:\n%s", said)
	}
	w.Postern("policies", "refresh", "a.test")
	if !seen(`"after":"testing 2 mx.a.test mx2.a.test"`, 5*time.Second) {
		t.Errorf("after a restart of the gateway nothing is told:\n%s", said)
	}

	said = ""
	w.Stop()
	seen("nothing", time.Second) // what the domain says is known then
	host.set(policy("testing", "mx.a.test"))
	w.announces("a.test", "3")
	if !seen(`"after":"testing 3 mx.a.test"`, 5*time.Second) {
		t.Errorf("without a gateway nothing is told:\n%s", said)
	}
}

// Where DANE and MTA-STS both apply, the trace, the listing for people, check and the notice to the sender name the one
// that fell short.
func TestThePolicyNamedIsTheOneThatFellShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["delivery.delay_notice"] = `"2s"`
	shown := func(host string) *pki.Certificate {
		return w.CA.Issue(pki.Options{Names: []string{host}, SelfSigned: true})
	}
	half := shown("mx.half.test")
	w.Domain("half.test", serving(half)) // unsigned DNS chose the host, so both hold
	w.tlsa("mx.half.test", fmt.Sprintf("3 1 1 %x", sha256.Sum256(half.Leaf.RawSubjectPublicKeyInfo)))
	w.policyHost("half.test", "1", policy("enforce", "mx.half.test"))
	w.signed("unusable.test", serving(shown("mx.unusable.test")))
	w.tlsa("mx.unusable.test", "1 1 1 "+strings.Repeat("ab", 32))
	w.policyHost("unusable.test", "1", policy("enforce", "mx.unusable.test"))
	w.signed("key.test", w.Good("mx.key.test"))
	w.tlsa("mx.key.test", nobodysKey)
	w.policyHost("key.test", "1", policy("testing", "mx.key.test"))
	w.Start("")
	w.Send("anna@home.test", "a", "a@half.test")
	w.Send("anna@home.test", "b", "a@unusable.test")
	w.requireTLS("", "c", "a@key.test")
	for domain, want := range map[string]struct{ reason, policy, also, hint string }{
		"half.test":     {"cert-self-signed", "sts", `"kind":"dane"`, `ignore = ["sts"]`},
		"unusable.test": {"cert-self-signed", "sts", `"kind":"dane"`, `ignore = ["sts"]`},
		"key.test":      {"dane-mismatch", "dane", `"kind":"requiretls"`, "TLSA record of the new key"},
	} {
		got := w.Await("a@"+domain, harness.Waits(want.reason))
		got.Want(t, map[string]string{"policy": want.policy})
		if _, also, _ := strings.Cut(got.Raw, `"also":[`); !strings.Contains(also, want.also) {
			t.Errorf("%s: what applies besides is not told: %s", domain, got.Raw)
		}
		said := strings.Join(strings.Fields(w.Postern("queue", "show", got.Message)), " ")
		if !strings.Contains(said, want.hint) || strings.Contains(said, "trust this one in the rule") {
			t.Errorf("%s: queue show says\n%s", domain, said)
		}
	}
	// the notice about REQUIRETLS demands what the sender's server does not promise
	harness.Eventually(t, harness.Patience, "the sender is told", func() bool { return len(w.Home().Messages()) >= 2 })
	for _, m := range w.Home().Messages() {
		said := strings.Join(strings.Fields(m.Data), " ")
		if !strings.Contains(said, "asks in public (an MTA-STS policy)") || strings.Contains(said, "in the rule,") || strings.Contains(said, "a rule of your") {
			t.Errorf("the sender is told\n%s", m.Data)
		}
	}
}

// Two reports in one mail are two reports.
func TestAllReportsInOneMailAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["tlsrpt.receive"] = `["tls@home.test"]`
	w.Start("")
	part := func(id string) string {
		return "--x\r\nContent-Type: application/tlsrpt+json; name=\"r.json\"\r\n\r\n{\"organization-name\":\"Sender\",\"report-id\":\"" + id +
			"\",\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"home.test\"},\"summary\":{\"total-successful-session-count\":1}}]}\r\n"
	}
	c := w.Connect(harness.Stranger)
	defer c.Conn.Close()
	c.Say("EHLO reporter.test", "250")
	c.Say("MAIL FROM:<r@reporter.test>", "250")
	c.Say("RCPT TO:<tls@home.test>", "250")
	c.Say("DATA", "354")
	c.Raw("From: r@reporter.test\r\nTo: tls@home.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + part("first") + part("second") + "--x--\r\n")
	c.Say(".", "250")
	if said := w.Postern("reports", "received", "--json"); !strings.Contains(said, `"first"`) || !strings.Contains(said, `"second"`) {
		t.Errorf("kept are\n%s", said)
	}
}

// Of two hosts that cannot be used the policy that excludes one is told, in whatever order they stand.
func TestAHostWithoutAddressHidesNoPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for domain, prefs := range map[string][2]int{"bare.test": {10, 20}, "foreign.test": {20, 10}} {
		w.Record(fmt.Sprintf("!%s MX %d gone.%s", domain, prefs[0], domain), fmt.Sprintf("!%s MX %d mx.%s", domain, prefs[1], domain))
		w.Partner("mx."+domain, w.Good("mx."+domain))
		w.policyHost(domain, "1", policy("enforce", "else."+domain))
	}
	w.Record("!_mta-sts.nobody.test servfail")
	w.Domain("nobody.test", w.Good("mx.nobody.test"))
	w.Start("")
	for _, domain := range []string{"bare.test", "foreign.test"} {
		w.Send("anna@home.test", "m", "a@"+domain)
		w.Await("a@"+domain, harness.Waits("sts-mx-mismatch")).Want(t, map[string]string{"policy": "sts"})
		if v := w.checks(0, domain)[domain]["opportunistic"]; v.Reason != "sts-mx-mismatch" {
			t.Errorf("check says %+v", v)
		}
	}
	if said := w.Postern("check", "nobody.test"); !strings.Contains(said, "MTA-STS: not known: ") || strings.Contains(said, "announced") {
		t.Errorf("where nobody knows, check says\n%s", said)
	}
}
