package acceptance

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
)

func TestEveryKeyOfForceTLSCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	private := pki.New(w.Now, "Private Root")
	w.Write("private.pem", private.RootPEM())
	pin := func(p partner.Behaviour) string {
		leaf, err := x509.ParseCertificate(p.TLS.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`pins = ["sha256:%x"]`, sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	}
	var rules strings.Builder
	want := map[string]string{} // reason, "" for delivered
	add := func(name string, b partner.Behaviour, reason string, keys ...string) {
		w.Domain(name+".test", b)
		want[name+".test"] = reason
		rules.WriteString(harness.Force(name, fmt.Sprintf("%q", name+".test"), append(keys, `defer = "30s"`)...))
	}
	good := func(name string) partner.Behaviour { return w.Good("mx." + name + ".test") }
	named := func(names ...string) partner.Behaviour { return w.Offers(pki.Options{Names: names}) }
	tls12 := good("old")
	tls12.TLS.MaxVersion = tls.VersionTLS12
	tls10 := good("older")
	tls10.TLS.MaxVersion = tls.VersionTLS10
	tls10.TLS.MinVersion = tls.VersionTLS10
	pinned := good("pinned")
	privately := partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{private.Issue(pki.Options{Names: []string{"mx.privately.test"}}).TLS}}}

	add("mx", good("mx"), "", `names = "mx"`)
	add("anymx", good("anymx"), "", `mx = "any"`)
	add("provenmx", good("provenmx"), "mx-unproven", `mx = "proven"`)
	add("domain", named("domain.test"), "", `names = "domain"`)
	add("below", named("mail.below.test"), "", `names = "domain"`)
	add("deep", named("a.mail.deep.test"), "cert-name-mismatch", `names = "domain"`)
	add("mxonly", named("mx.hosting.test"), "cert-name-mismatch", `names = "domain"`)
	add("listed", named("mail.listed.example"), "", `names = ["mail.listed.example"]`)
	add("wild", named("m7.wild.example"), "", `names = ["*.wild.example"]`)
	add("unlisted", good("unlisted"), "cert-name-mismatch", `names = ["mail.unlisted.example"]`)
	add("wildcert", named("*.wildcert.test"), "")
	add("starcert", named("*.test"), "cert-name-mismatch")
	add("private", privately, "cert-name-mismatch", `trust = "private.pem"`)
	add("privately", privately, "", `trust = "private.pem"`)
	add("publicly", good("publicly"), "cert-untrusted", `trust = "private.pem"`)
	add("pinned", pinned, "", pin(pinned))
	add("mispinned", good("mispinned"), "pin-mismatch", pin(pinned))
	add("old", tls12, "")
	add("min13", tls12, "tls-version", `min_tls = "1.3"`)
	add("older", tls10, "", `min_tls = "1.0"`)
	add("rejects", partner.Behaviour{}, "starttls-not-offered", `without_tls = "reject"`)
	w.Start(rules.String())
	for domain := range want {
		w.Send("anna@home.test", "by every key", "a@"+domain)
	}
	for domain, reason := range want {
		state := "queued"
		if reason == "" {
			state = "delivered"
		}
		if domain == "rejects.test" {
			state = "failed"
		}
		got := w.Await("a@"+domain, func(tr harness.Trace) bool {
			return tr.State == "delivered" || tr.Reason != "" && tr.State != "sending"
		})
		if got.State != state || got.Reason != reason {
			t.Errorf("%s is %s, reason %q, want %s, %q: %s", domain, got.State, got.Reason, state, reason, got.Text)
		}
		if lines := harness.Forbidden(w.Hosts["mx."+domain], state == "delivered"); len(lines) > 0 {
			t.Errorf("%s heard %q", domain, lines)
		}
		note := map[string]string{"domain.test": "", "below.test": "", "listed.test": "", "wild.test": "", "anymx.test": "mx-unproven"}
		wanted, special := note[domain]
		if !special {
			wanted = "mx-pinned-first-use"
		}
		if state == "delivered" && (slices.Contains(got.Notes, "mx-unproven") != (wanted == "mx-unproven") ||
			slices.Contains(got.Notes, "mx-pinned-first-use") != (wanted == "mx-pinned-first-use")) {
			t.Errorf("%s: the notes %q say of the host's name something else than %q", domain, got.Notes, wanted)
		}
	}
}

func TestAServersOwnRefusalIsNotATLSFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	later := w.Good("mx.clinic.test")
	later.Replies = map[string]string{"RCPT": "450 4.2.1 come back"}
	clinic := w.Domain("clinic.test", later)
	never := w.Good("mx.bank.test")
	never.Replies = map[string]string{"RCPT": "550 5.7.1 not you"}
	w.Domain("bank.test", never)
	w.Settings["delivery.lifetime"] = `"40s"`
	w.Start(harness.Force("both", `"clinic.test", "bank.test"`, `defer = "3s"`))
	w.Send("anna@home.test", "put off by the server", "dr@clinic.test")
	w.Send("anna@home.test", "refused by the server", "desk@bank.test")
	w.Await("desk@bank.test", harness.In("failed")).Want(t, map[string]string{"reason": "remote-5xx", "status": "5.7.1"})
	time.Sleep(5 * time.Second) // the window of three seconds is over: it was met
	w.Await("dr@clinic.test", harness.Waits("remote-4xx"))
	clinic.Set(w.Good("mx.clinic.test"))
	w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
	if n := len(harness.Bodies(w.Home(), "dr@clinic.test")); n != 0 {
		t.Errorf("%d reports about what was delivered", n)
	}
}

func TestANoticeToAnotherOrganisationIsForcedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Expired("mx.clinic.test"))
	w.Domain("sender.test", w.Good("mx.sender.test"))
	bare := w.Domain("bare.test", partner.Behaviour{})
	w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "2s"`))
	w.Send("a@sender.test", "for the doctor", "one@clinic.test", "two@clinic.test", "three@clinic.test")
	w.Send("a@bare.test", "for the doctor", "four@clinic.test")
	harness.Eventually(t, harness.Patience, "the report arrives", func() bool { return len(w.Hosts["mx.sender.test"].Messages()) > 0 })
	w.Await("a@bare.test", harness.In("held")).Want(t, map[string]string{"reason": "starttls-not-offered"})
	time.Sleep(2 * time.Second)
	told := 0
	for _, m := range w.Hosts["mx.sender.test"].Messages() {
		told += strings.Count(m.Data, "Final-Recipient:")
	}
	if told != 3 {
		t.Errorf("%d recipients were reported, want each of three once", told)
	}
	if lines := append(harness.Forbidden(bare, false), harness.Forbidden(w.Hosts["mx.sender.test"], true)...); len(lines) > 0 {
		t.Errorf("heard %q", lines)
	}
}

func TestMailToASilentServerStepsDownWithinItsAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("slow.test", broken(partner.HangsTLS)(w, "mx.slow.test"))
	w.Settings["delivery.attempt_timeout"] = `"8s"`
	w.Settings["delivery.retry"] = `["60s"]`
	w.Start("")
	w.Send("anna@home.test", "without a rule", "a@slow.test")
	w.Await("a@slow.test", harness.In("delivered")).Want(t, map[string]string{"reached": "plaintext", "reason": "tls-timeout"})
}

func TestInboundRulesAreNotAcceptedAndIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	inbound := strings.Replace(harness.Force("inbound", `"home.test"`), `"outbound"`, `"inbound"`, 1)
	if a := w.Run("", "rules", "apply", w.Write("in.toml", []byte(inbound))); a.Code == 0 {
		c := w.Connect(harness.Stranger)
		c.Say("EHLO far.example", "250")
		c.Say("MAIL FROM:<friend@far.example>", "250")
		if reply := c.Say("RCPT TO:<anna@home.test>", ""); strings.HasPrefix(reply, "250") {
			t.Errorf("an inbound force-tls rule was applied and plaintext mail is accepted:\n%s%s", a.Stdout, a.Stderr)
		}
	}
}
