package acceptance

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
)

func TestAnEnforcedPolicyIsKeptTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers := map[string]struct {
		first  partner.Behaviour
		reason string // "": delivered
	}{
		"good":    {w.Good("mx.good.test"), ""},
		"expired": {w.Expired("mx.expired.test"), "cert-expired"},
		"self":    {w.Offers(pki.Options{Names: []string{"mx.self.test"}, SelfSigned: true}), "cert-self-signed"},
		"other":   {w.Good("mx.elsewhere.test"), "cert-name-mismatch"},
		"plain":   {partner.Behaviour{}, "starttls-not-offered"},
	}
	for name, s := range servers {
		w.Domain(name+".test", s.first)
		w.policyHost(name+".test", "1", policy("enforce", "mx."+name+".test"))
	}
	w.Domain("none.test", w.Expired("mx.none.test"))
	w.Start("")
	for name := range servers {
		w.Send("anna@home.test", "policy", "a@"+name+".test")
	}
	w.Send("anna@home.test", "policy", "a@none.test")
	w.Await("a@none.test", harness.In("delivered")).Want(t, map[string]string{"reached": "encrypted", "policy": ""})
	for name, s := range servers {
		if s.reason == "" {
			continue
		}
		got := w.Await("a@"+name+".test", harness.Waits(s.reason))
		got.Want(t, map[string]string{"policy": "sts"})
		server := w.Hosts["mx."+name+".test"]
		if lines := harness.Forbidden(server, false); len(lines) > 0 {
			t.Errorf("%s heard %q", name, lines)
		}
		server.Set(w.Good("mx." + name + ".test"))
		w.Run("", "queue", "retry", name+".test")
	}
	for name := range servers {
		got := w.Await("a@"+name+".test", harness.In("delivered"))
		got.Want(t, map[string]string{"reached": "authenticated", "proved_by": "certificate", "policy": "sts", "rule": "", "reason": ""})
		p := got.Published
		if p == nil || p.Mode != "enforce" || p.ID != "1" || p.Source == "" || p.AgeS == nil || len(p.Hosts) != 1 || p.Hosts[0] != "mx."+name+".test" || len(p.Shortfalls) > 0 {
			t.Errorf("%s: %s", name, got.Raw)
		}
		if lines := harness.Forbidden(w.Hosts["mx."+name+".test"], true); len(lines) > 0 {
			t.Errorf("%s heard in the clear: %q", name, lines)
		}
	}
}

// A host that the policy does not name is passed over, whatever certificate it shows, and a policy that was changed
// without a new id is found.
func TestAHostThatThePolicyDoesNotNameIsPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	evil := w.Domain("clinic.test", w.Good("mx.clinic.test"))
	host := w.policyHost("clinic.test", "1", policy("enforce", "mx1.clinic.test", "*.mail.clinic.test"))
	w.Domain("two.test", w.Good("mx.two.test"))
	w.Record("!two.test MX 20 a.mail.two.test")
	good := w.Partner("a.mail.two.test", w.Good("a.mail.two.test"))
	w.policyHost("two.test", "1", policy("enforce", "*.mail.two.test"))
	w.Start("")
	w.Send("anna@home.test", "mismatch", "a@clinic.test")
	w.Send("anna@home.test", "second", "a@two.test")
	waits := w.Await("a@clinic.test", harness.Waits("sts-mx-mismatch"))
	waits.Want(t, map[string]string{"policy": "sts"})
	if p := waits.Published; p == nil || p.Mode != "enforce" || len(p.Shortfalls) != 1 || p.Shortfalls[0].Reason != "sts-mx-mismatch" {
		t.Errorf("the trace does not say what is published: %s", waits.Raw)
	}
	w.Await("a@two.test", harness.In("delivered")).Want(t, map[string]string{"mx": "a.mail.two.test", "proved_by": "certificate"})
	if len(harness.Bodies(good, "second")) != 1 {
		t.Error("the host that the policy names got nothing")
	}
	for _, p := range []*partner.Partner{evil, w.Hosts["mx.two.test"]} {
		if lines := p.Commands(); len(lines) > 0 {
			t.Errorf("a host that the policy does not name was spoken to: %v", lines)
		}
	}
	if v := w.checks(0, "clinic.test")["clinic.test"]["opportunistic"]; v.Outcome != "deferred" || v.Reason != "sts-mx-mismatch" {
		t.Errorf("check says %+v", v)
	}

	host.set(policy("enforce", "mx.clinic.test")) // and the record stays as it is
	w.Run("", "queue", "retry", "clinic.test")
	w.Await("a@clinic.test", harness.In("delivered")).Want(t, map[string]string{"mx": "mx.clinic.test", "reached": "authenticated"})
	if out := strings.Join(strings.Fields(w.Postern("queue", "show", waits.Message)), " "); !strings.Contains(out, "Proved by certificate") ||
		!strings.Contains(out, "Published MTA-STS, enforced, id 1, fetched ") {
		t.Errorf("the trace for people says\n%s", out)
	}
}

func TestATestedPolicyAsksForNothingAndTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	behaviours := map[string]partner.Behaviour{"expired": w.Expired("mx.expired.test"), "plain": {}, "strange": w.Good("mx.strange.test"), "good": w.Good("mx.good.test")}
	for name, b := range behaviours {
		w.Domain(name+".test", b)
		mx := "mx." + name + ".test"
		if name == "strange" {
			mx = "else.strange.test"
		}
		w.policyHost(name+".test", "7", policy("testing", mx))
	}
	w.Start("")
	for name := range behaviours {
		w.Send("anna@home.test", "tested", "a@"+name+".test")
	}
	for name, reason := range map[string]string{"expired": "cert-expired", "plain": "starttls-not-offered", "strange": "sts-mx-mismatch", "good": ""} {
		got := w.Await("a@"+name+".test", harness.In("delivered"))
		got.Want(t, map[string]string{"policy": "sts"})
		p := got.Published
		if p == nil || p.Mode != "testing" || p.ID != "7" || (reason != "") != (len(p.Shortfalls) > 0) || reason != "" && p.Shortfalls[0].Reason != reason {
			t.Errorf("%s: the trace says %s", name, got.Raw)
		}
	}
}

// What was learnt withstands whoever hides record and policy host, and a power cut.
func TestAPolicyThatIsHiddenCountsUntilItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clinic := w.Domain("clinic.test", w.Good("mx.clinic.test"))
	host := w.policyHost("clinic.test", "1", policy("enforce", "mx.clinic.test"))
	w.Start("")
	w.Send("anna@home.test", "first", "a@clinic.test")
	w.Await("a@clinic.test", harness.In("delivered"))
	host.vanishes()
	w.announces("clinic.test", "")
	w.erase("mta-sts.clinic.test ")
	clinic.Set(partner.Behaviour{})
	w.Kill()
	w.Serve()
	w.Send("anna@home.test", "second", "b@clinic.test")
	got := w.Await("b@clinic.test", harness.Waits("starttls-not-offered"))
	if p := got.Published; p == nil || p.Mode != "enforce" || p.Source != "cache" {
		t.Errorf("the trace says %s", got.Raw)
	}
	if lines := harness.Forbidden(clinic, true); len(lines) > 0 {
		t.Errorf("heard in the clear: %q", lines)
	}
	if v := w.checks(0, "clinic.test")["clinic.test"]["opportunistic"]; v.Outcome != "deferred" || v.Reason != "starttls-not-offered" {
		t.Errorf("check beside the gateway says %+v", v)
	}
	w.Run("", "queue", "retry", "clinic.test") // an administrator does not make it go either
	w.Await("b@clinic.test", harness.Waits("starttls-not-offered"))

	host2 := w.policyHost("clinic.test", "2", policy("none")) // the domain takes it back, in the one way there is
	if a := w.Run("", "policies", "refresh", "clinic.test"); a.Code != 0 || host2.count() != 1 {
		t.Errorf("refresh: exit code %d, asked %d times\n%s%s", a.Code, host2.count(), a.Stdout, a.Stderr)
	}
	w.Run("", "queue", "retry", "clinic.test")
	w.Await("b@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "plaintext", "policy": ""})
}

func TestARuleAndAPolicyBothHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	host := w.policyHost("clinic.test", "1", policy("enforce", "mx.clinic.test"))
	w.Domain("pinned.test", w.Good("mx.pinned.test"))
	w.policyHost("pinned.test", "1", policy("enforce", "mx.pinned.test"))
	w.Domain("lax.test", w.Expired("mx.lax.test"))
	w.policyHost("lax.test", "1", policy("enforce", "mx.lax.test"))
	w.Settings["delivery.idle_time"] = "0" // what was asked for a connection counts for its next message
	w.Start(harness.Force("clinic", `"clinic.test"`) +
		harness.Force("pinned", `"pinned.test"`, `pins = ["sha256:`+strings.Repeat("00", 32)+`"]`) +
		strings.Replace(harness.Force("lax", `"lax.test"`), "action", "mode = \"test\"\naction", 1))
	for _, to := range []string{"a@clinic.test", "a@pinned.test", "a@lax.test"} {
		w.Send("anna@home.test", "both", to)
	}
	w.Await("a@clinic.test", harness.In("delivered")).Want(t, map[string]string{"rule": "clinic", "requires": "authenticated", "policy": "sts"})
	w.Await("a@pinned.test", harness.Waits("pin-mismatch")).Want(t, map[string]string{"policy": "sts"})
	w.Await("a@lax.test", harness.Waits("cert-expired")).Want(t, map[string]string{"policy": "sts", "rule": ""}) // a rule that is only tested has no part in it

	host.set(policy("enforce", "other.clinic.test"))
	w.Postern("policies", "refresh", "clinic.test")
	w.Send("anna@home.test", "again", "b@clinic.test")
	w.Await("b@clinic.test", harness.Waits("sts-mx-mismatch")).Want(t, map[string]string{"rule": "clinic"})
}

// A policy host that is not as it must be tells nothing: mail goes as without a policy, and that is told.
func TestAPolicyThatCannotBeHadIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["admin.listen"] = `"` + harness.FreeAddress(t) + `"`
	for _, name := range []string{"moved", "false", "private", "two", "broken"} {
		w.Domain(name+".test", partner.Behaviour{})
	}
	enforced := policy("enforce", "mx.moved.test")
	target := w.policyHost("target.test", "1", enforced)
	w.policyHost("moved.test", "1", func(out http.ResponseWriter, r *http.Request) {
		http.Redirect(out, r, "https://mta-sts.target.test/.well-known/mta-sts.txt", http.StatusFound)
	})
	w.policyHost("false.test", "1", policy("enforce", "mx.false.test")).shows(w.CA.Issue(pki.Options{Names: []string{"www.false.test"}}))
	w.policyHost("two.test", "1", policy("enforce", "mx.two.test"))
	w.Record(announcement("two.test", "2"))
	w.policyHost("broken.test", "1", policy("enforced", "mx.broken.test"))
	w.Record("mta-sts.private.test A 10.1.2.3", announcement("private.test", "1"))
	w.Start("")
	faults := map[string]string{"moved": "bad-status", "false": "certificate", "private": "host-private", "two": "record-invalid", "broken": "policy-invalid"}
	for name := range faults {
		w.Send("anna@home.test", "unprotected", "a@"+name+".test")
	}
	for name, fault := range faults {
		got := w.Await("a@"+name+".test", harness.In("delivered"))
		got.Want(t, map[string]string{"reached": "plaintext", "policy": "sts"})
		if p := got.Published; p == nil || len(p.Shortfalls) != 1 || p.Shortfalls[0].Reason != "sts-policy-unavailable" || p.Note == "" {
			t.Errorf("%s: the trace says %s", name, got.Raw)
		}
		if a := w.Run("", "policies", "show", name+".test", "--json"); a.Code != 1 || !strings.Contains(a.Stdout, `"fault":"`+fault+`"`) {
			t.Errorf("%s: exit code %d\n%s%s", name, a.Code, a.Stdout, a.Stderr)
		}
		if out := w.Postern("check", name+".test"); !strings.Contains(out, "announced, and not to be had: ") {
			t.Errorf("%s: check does not tell\n%s", name, out)
		}
		if n := strings.Count(w.Log(), "msg=policy-unavailable domain="+name+".test"); n != 1 {
			t.Errorf("%s: warned %d times", name, n)
		}
		if text := w.Get("/metrics", 200); !strings.Contains(text, `postern_policies_unavailable_total{fault="`+fault+`",kept="no"} 1`) {
			t.Errorf("%s is not counted", fault)
		}
	}
	if n := target.count(); n > 0 {
		t.Error("the redirect was followed")
	}
}

func TestTheVerbsAboutPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	host := w.policyHost("clinic.test", "1", policy("enforce", "mx.clinic.test"))
	w.Start("")
	if out := w.Postern("policies", "list"); !strings.Contains(out, "no policy is kept") {
		t.Errorf("before any mail:\n%s", out)
	}
	w.Send("anna@home.test", "first", "a@clinic.test")
	w.Await("a@clinic.test", harness.In("delivered"))
	if out := w.Postern("policies", "list"); !strings.Contains(out, "clinic.test") || !strings.Contains(out, "enforce") {
		t.Errorf("listed:\n%s", out)
	}
	var p struct {
		Domain, Kind, Mode, ID, Source, Fault string
		MX                                    []string
		MaxAgeS                               int64  `json:"max_age_s"`
		FetchedAt                             string `json:"fetched_at"`
		Until                                 string
		Used                                  string `json:"used_at"`
		Record                                *struct{ ID, Fault string }
	}
	read := func(args ...string) {
		t.Helper()
		p.Record = nil
		if err := json.Unmarshal([]byte(w.Postern(append([]string{"policies"}, args...)...)), &p); err != nil {
			t.Fatal(err)
		}
	}
	if read("list", "--json"); p.Domain != "clinic.test" || p.Kind != "sts" || p.Mode != "enforce" || p.ID != "1" || p.Source != "cache" || p.Fault != "" ||
		len(p.MX) != 1 || p.MaxAgeS != 604800 || p.FetchedAt == "" || p.Until == "" || p.Used == "" || p.Record != nil {
		t.Errorf("listed: %+v", p)
	}
	w.announces("clinic.test", "2")
	if read("show", "clinic.test", "--json"); p.ID != "1" || p.Record == nil || p.Record.ID != "2" {
		t.Errorf("shown: %+v", p)
	}
	if out := w.Postern("policies", "show", "clinic.test"); !strings.Contains(out, "MTA-STS, enforced") || !strings.Contains(out, "id 2, which is another one") {
		t.Errorf("shown:\n%s", out)
	}
	host.set(policy("testing", "mx.clinic.test"))
	if read("refresh", "clinic.test", "--json"); p.ID != "2" || p.Mode != "testing" || p.Source != "fetched" {
		t.Errorf("refreshed: %+v", p)
	}
	host.set(func(out http.ResponseWriter, _ *http.Request) { http.Error(out, "no", http.StatusInternalServerError) })
	if read("refresh", "clinic.test", "--json"); p.Mode != "testing" || p.Fault != "bad-status" {
		t.Errorf("a refresh that fails: %+v", p)
	}
	if out := w.Postern("policies", "forget", "clinic.test"); !strings.Contains(out, "forgotten") {
		t.Errorf("forgotten:\n%s", out)
	}
	if a := w.Run("", "policies", "forget", "clinic.test"); a.Code != 1 {
		t.Errorf("forgotten twice: exit code %d\n%s", a.Code, a.Stderr)
	}
	if a := w.Run("", "policies", "show", "clinic.test"); a.Code != 1 || !strings.Contains(a.Stdout, "none is kept") {
		t.Errorf("after it is forgotten: exit code %d\n%s%s", a.Code, a.Stdout, a.Stderr)
	}
	if out := w.Postern("audit"); !strings.Contains(out, "policies forget") || !strings.Contains(out, "policies refresh") {
		t.Errorf("the audit trail:\n%s", out)
	}
	if a := w.Run("", "policies", "show", "[192.0.2.1]"); a.Code != 2 {
		t.Errorf("an address: exit code %d\n%s", a.Code, a.Stderr)
	}
}

// What is published is told before mail is sent.
func TestCheckTellsWhatIsPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Expired("mx.clinic.test"))
	w.policyHost("clinic.test", "5", policy("enforce", "mx.clinic.test"))
	w.Domain("shop.test", w.Expired("mx.shop.test"))
	w.policyHost("shop.test", "6", policy("testing", "mx.shop.test"))
	w.Domain("else.test", w.Good("mx.else.test"))
	w.policyHost("else.test", "7", policy("enforce", "mail.else.test"))
	w.Domain("none.test", w.Good("mx.none.test"))
	cert := w.CA.Issue(pki.Options{Names: []string{"mx.dane.test"}})
	w.Partner("mx.dane.test", serving(cert))
	digest := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	tlsa := fmt.Sprintf("3 1 1 %x", digest)
	w.Record("dane.test MX 10 mx.dane.test", fmt.Sprintf("_%d._tcp.mx.dane.test TLSA 3 1 1 %x", w.Port, sha256.Sum256(nil)),
		fmt.Sprintf("_%d._tcp.mx.dane.test TLSA %s", w.Port, tlsa))
	w.Configure() // no gateway runs
	verdicts, objects := w.checksAll(0, "clinic.test", "shop.test", "else.test", "none.test", "dane.test")
	for target, want := range map[string]struct{ outcome, reason, says string }{
		"clinic.test": {"deferred", "cert-expired", `"published":[{"kind":"sts","mode":"enforce","id":"5","source":"fetched","hosts":["mx.clinic.test"]`},
		"shop.test":   {"delivered", "cert-expired", `"shortfalls":[{"reason":"cert-expired"`},
		"else.test":   {"deferred", "sts-mx-mismatch", `"published":[{"kind":"sts","mode":"enforce","id":"7"`},
		"none.test":   {"delivered", "", ""},
		"dane.test":   {"delivered", "", `"matched":"` + tlsa + `"`},
	} {
		v := verdicts[target]["opportunistic"]
		if v.Outcome != want.outcome || want.outcome == "deferred" && v.Reason != want.reason || !strings.Contains(objects[target], want.says) ||
			want.says == "" && strings.Contains(objects[target], "published") {
			t.Errorf("%s: %+v\n%s", target, v, objects[target])
		}
	}
	for target, says := range map[string][]string{
		"clinic.test": {"MTA-STS, enforced, id 5, fetched 0s before, names mx.clinic.test", "waits: cert-expired"},
		"shop.test":   {"testing, so that nothing is asked, id 6", "Falls short cert-expired"},
		"dane.test":   {"DANE", "enforced, _", "matched by " + tlsa},
		"else.test":   {"enforced, id 7", "names mail.else.test", "waits: sts-mx-mismatch"},
	} {
		out := strings.Join(strings.Fields(w.Postern("check", target)), " ")
		for _, one := range says {
			if !strings.Contains(out, one) {
				t.Errorf("%s: nothing says %q\n%s", target, one, out)
			}
		}
	}
}

func TestAnObservedPolicyIsOnlyWrittenDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["policies.sts"] = `"observe"`
	w.Domain("clinic.test", w.Expired("mx.clinic.test"))
	host := w.policyHost("clinic.test", "1", policy("enforce", "mx.clinic.test"))
	w.Start("")
	w.Send("anna@home.test", "observed", "a@clinic.test")
	got := w.Await("a@clinic.test", harness.In("delivered"))
	got.Want(t, map[string]string{"reached": "encrypted", "policy": "sts"})
	if p := got.Published; p == nil || p.Mode != "observe" || len(p.Shortfalls) != 1 || p.Shortfalls[0].Reason != "cert-expired" {
		t.Errorf("the trace says %s", got.Raw)
	}

	w.Settings["policies.sts"] = `"enforce"` // a reload puts that in force, and keeps what was fetched
	w.Configure()
	w.Postern("reload")
	w.Send("anna@home.test", "enforced", "b@clinic.test")
	w.Await("b@clinic.test", harness.Waits("cert-expired"))
	if n := host.count(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	w.Settings["policies.sts"] = `"off"`
	w.Configure()
	w.Postern("reload")
	w.Await("b@clinic.test", harness.In("delivered")).Want(t, map[string]string{"policy": ""})
}

// Providers run record and policy host for their customers, who point there by aliases (RFC 8461 §8.2); the certificate
// is for the customer's name all the same.
func TestAPolicyThatAProviderServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Record("!hosted.test MX 10 MX1.Provider.TEST")
	provider := w.Partner("mx1.provider.test", w.Good("mx1.provider.test"))
	host := w.policyHost("hosted.test", "20261128T000000", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html")
		_, _ = out.Write([]byte("version: STSv1\nmode: enforce\nmx: *.PROVIDER.test\nmax_age: 86401 \n\n"))
	})
	w.erase("mta-sts.hosted.test ")
	w.erase("!_mta-sts.hosted.test ")
	w.Record("mta-sts.hosted.test CNAME web.provider.test", "web.provider.test A "+host.ip,
		"!_mta-sts.hosted.test CNAME hosted.records.provider.test", `!hosted.records.provider.test TXT "v=STSv1; id=20261128T000000;"`)
	w.Start(harness.Force("hosted", `"hosted.test"`, `mx = "proven"`))
	w.Send("anna@home.test", "hosted", "a@hosted.test")
	got := w.Await("a@hosted.test", harness.In("delivered"))
	got.Want(t, map[string]string{"reached": "authenticated", "policy": "sts", "mx": "mx1.provider.test", "rule": "hosted"})
	if len(harness.Bodies(provider, "hosted")) != 1 {
		t.Error("it did not arrive")
	}
}
