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
)

func TestEveryKeyOfForceTLSCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	private := pki.New(w.now, "Private Root")
	w.write("private.pem", private.RootPEM())
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
		w.domain(name+".test", b)
		want[name+".test"] = reason
		rules.WriteString(force(name, fmt.Sprintf("%q", name+".test"), append(keys, `defer = "30s"`)...))
	}
	good := func(name string) partner.Behaviour { return w.good("mx." + name + ".test") }
	named := func(names ...string) partner.Behaviour { return w.offers(pki.Options{Names: names}) }
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
	w.start(rules.String())
	for domain := range want {
		w.send("anna@home.test", "by every key", "a@"+domain)
	}
	for domain, reason := range want {
		state := "queued"
		if reason == "" {
			state = "delivered"
		}
		if domain == "rejects.test" {
			state = "failed"
		}
		got := w.await("a@"+domain, func(tr trace) bool { return tr.State == "delivered" || tr.Reason != "" && tr.State != "sending" })
		if got.State != state || got.Reason != reason {
			t.Errorf("%s is %s, reason %q, want %s, %q: %s", domain, got.State, got.Reason, state, reason, got.Text)
		}
		if lines := forbidden(w.hosts["mx."+domain], state == "delivered"); len(lines) > 0 {
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
	later := w.good("mx.clinic.test")
	later.Replies = map[string]string{"RCPT": "450 4.2.1 come back"}
	clinic := w.domain("clinic.test", later)
	never := w.good("mx.bank.test")
	never.Replies = map[string]string{"RCPT": "550 5.7.1 not you"}
	w.domain("bank.test", never)
	w.settings["delivery.lifetime"] = `"40s"`
	w.start(force("both", `"clinic.test", "bank.test"`, `defer = "3s"`))
	w.send("anna@home.test", "put off by the server", "dr@clinic.test")
	w.send("anna@home.test", "refused by the server", "desk@bank.test")
	w.await("desk@bank.test", in("failed")).want(t, map[string]string{"reason": "remote-5xx", "status": "5.7.1"})
	time.Sleep(5 * time.Second) // the window of three seconds is over: it was met
	w.await("dr@clinic.test", waits("remote-4xx"))
	clinic.Set(w.good("mx.clinic.test"))
	w.await("dr@clinic.test", in("delivered")).want(t, map[string]string{"reached": "authenticated"})
	if n := len(bodies(w.home(), "dr@clinic.test")); n != 0 {
		t.Errorf("%d reports about what was delivered", n)
	}
}

func TestANoticeToAnotherOrganisationIsForcedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.domain("clinic.test", w.expired("mx.clinic.test"))
	w.domain("sender.test", w.good("mx.sender.test"))
	bare := w.domain("bare.test", partner.Behaviour{})
	w.start(force("clinic", `"clinic.test"`, `defer = "2s"`))
	w.send("a@sender.test", "for the doctor", "one@clinic.test", "two@clinic.test", "three@clinic.test")
	w.send("a@bare.test", "for the doctor", "four@clinic.test")
	eventually(t, patience, "the report arrives", func() bool { return len(w.hosts["mx.sender.test"].Messages()) > 0 })
	w.await("a@bare.test", in("held")).want(t, map[string]string{"reason": "starttls-not-offered"})
	time.Sleep(2 * time.Second)
	told := 0
	for _, m := range w.hosts["mx.sender.test"].Messages() {
		told += strings.Count(m.Data, "Final-Recipient:")
	}
	if told != 3 {
		t.Errorf("%d recipients were reported, want each of three once", told)
	}
	if lines := append(forbidden(bare, false), forbidden(w.hosts["mx.sender.test"], true)...); len(lines) > 0 {
		t.Errorf("heard %q", lines)
	}
}

func TestMailToASilentServerStepsDownWithinItsAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.domain("slow.test", broken(partner.HangsTLS)(w, "mx.slow.test"))
	w.settings["delivery.attempt_timeout"] = `"8s"`
	w.settings["delivery.retry"] = `["60s"]`
	w.start("")
	w.send("anna@home.test", "without a rule", "a@slow.test")
	w.await("a@slow.test", in("delivered")).want(t, map[string]string{"reached": "plaintext", "reason": "tls-timeout"})
}

func TestInboundRulesAreNotAcceptedAndIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("")
	inbound := strings.Replace(force("inbound", `"home.test"`), `"outbound"`, `"inbound"`, 1)
	if a := w.run("", "rules", "apply", w.write("in.toml", []byte(inbound))); a.code == 0 {
		c := w.connect(stranger)
		c.say("EHLO far.example", "250")
		c.say("MAIL FROM:<friend@far.example>", "250")
		if reply := c.say("RCPT TO:<anna@home.test>", ""); strings.HasPrefix(reply, "250") {
			t.Errorf("an inbound force-tls rule was applied and plaintext mail is accepted:\n%s%s", a.stdout, a.stderr)
		}
	}
}
