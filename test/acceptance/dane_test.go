package acceptance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
	"postern/test/peers"
)

// daneWorld is a gateway that asks signed DNS, with a partner for each situation that Postfix was asked about.
type daneWorld struct {
	*world
	dns        *peers.SignedDNS
	situations []peers.DANESituation
	servers    map[string]*partner.Partner // by domain
	port       int
}

func newDANEWorld(t *testing.T) *daneWorld {
	w := &daneWorld{world: newWorld(t), port: peers.FreePort(t, "127.0.0.1"), servers: map[string]*partner.Partner{}}
	w.situations = peers.DANESituations(pki.New(w.Now, "Peers CA"), w.Now, w.port, harness.NewIP)
	w.dns = peers.NewSignedDNS(t, peers.DANEZones(w.situations)...)
	for _, s := range w.situations {
		w.servers[s.Domain] = s.Serve(t, w.port)
	}
	w.Settings["dns.servers"] = fmt.Sprintf("[%q]", w.dns.Resolver)
	w.Port = w.port
	w.Settings["delivery.lifetime"] = `"30m"`
	return w
}

// tried is a delivery that was tried at least once, and came to something.
func tried(t harness.Trace) bool {
	return t.State == "delivered" || t.State == "failed" || t.State == "queued" && t.Reason != ""
}

// Each situation comes out as Postfix sees it, for ordinary mail: delivered over a channel that a record proves,
// delivered over TLS, delivered as if there were no DANE, or not a word of it said. And what check says beforehand is
// what happens.
func TestOrdinaryMailUnderDANEComesOutAsPostfixSeesIt(t *testing.T) {
	peers.NeedRoot(t)
	t.Parallel()
	w := newDANEWorld(t)
	w.Start("")
	var to, domains []string
	for _, s := range w.situations {
		to, domains = append(to, "x@"+s.Domain), append(domains, s.Domain)
	}
	foretold := w.foretold(domains)
	w.Send("anna@home.test", "one for each", to...)
	for _, s := range w.situations {
		got := w.Await("x@"+s.Domain, tried)
		if foretold[s.Domain] != (got.State == "delivered") {
			t.Errorf("%s: check says that it is delivered: %v, and it is %s", s.Name, foretold[s.Domain], got.State)
		}
		switch s.Means {
		case peers.DANEProven:
			got.Want(t, map[string]string{"state": "delivered", "reached": "authenticated"})
			if !strings.HasPrefix(got.ProvedBy, "dane-") || got.Policy != "dane" || got.Published.Matched == "" {
				t.Errorf("%s: proved by %q under %q: %s", s.Name, got.ProvedBy, got.Policy, got.Raw)
			}
		case peers.DANEEncrypted:
			got.Want(t, map[string]string{"state": "delivered", "reached": "encrypted"})
			if !slices.Contains(got.Notes, "dane-unusable") {
				t.Errorf("%s: it is not noted that no record can be used: %q", s.Name, got.Notes)
			}
		case peers.DANENone:
			got.Want(t, map[string]string{"state": "delivered"})
			if got.Policy != "" {
				t.Errorf("%s: DANE was found: %s", s.Name, got.Raw)
			}
		case peers.DANEWaits:
			if got.State != "queued" || got.Reason == "" {
				t.Errorf("%s: %s for %q, want it to wait", s.Name, got.State, got.Reason)
			}
			if strings.HasPrefix(s.Name, "tlsa-") && got.Policy != "dane" {
				t.Errorf("%s: that DANE is not known is not recorded: %s", s.Name, got.Raw)
			}
			if said := harness.Forbidden(w.servers[s.Domain], false); len(said) > 0 {
				t.Errorf("%s: mail was spoken of: %q", s.Name, said)
			}
		}
	}
	for name, reason := range map[string]string{
		"ee-mismatch": "dane-mismatch", "no-starttls": "starttls-not-offered", "ta-expired": "cert-expired", "ta-wrong-name": "cert-name-mismatch",
		"tlsa-bogus": "dnssec-bogus", "tlsa-failing": "dns-servfail", "zone-expired": "dnssec-bogus", "host-bogus": "dnssec-bogus",
	} {
		if got := w.Await("x@"+name+".test", tried); got.Reason != reason {
			t.Errorf("%s waits for %q, want %q", name, got.Reason, reason)
		}
	}
	w.mend("ee-mismatch")
	w.except("ee-whole-mismatch")
}

// except sets aside what a domain publishes, in the rules file: what waits there goes, and the trace says why.
func (w *daneWorld) except(name string) {
	w.T.Helper()
	w.Apply(fmt.Sprintf("[[exception]]\ndomain = \"%s.test\"\nignore = [\"dane\"]\nreason = \"ticket 4711\"\nexpires = %s\n", name,
		w.Now.AddDate(0, 1, 0).Format(time.DateOnly)))
	got := w.Await("x@"+name+".test", harness.In("delivered"))
	if got.Policy != "dane" || got.Published.Mode != "exception" || len(got.Published.Shortfalls) == 0 || !strings.Contains(got.Raw, "ticket 4711") {
		w.T.Errorf("excepted: %s", got.Raw)
	}
}

// foretold is which domains take ordinary mail, by `postern check`.
func (w *daneWorld) foretold(domains []string) map[string]bool {
	out := map[string]bool{}
	answer := w.Run("", append([]string{"check", "--json", "--jobs", "8"}, domains...)...)
	for line := range strings.Lines(answer.Stdout) {
		var r struct {
			Domain   string `json:"domain"`
			Verdicts []struct {
				Question string `json:"question"`
				Outcome  string `json:"outcome"`
			} `json:"verdicts"`
		}
		if json.Unmarshal([]byte(line), &r) != nil {
			continue
		}
		for _, v := range r.Verdicts {
			if v.Question == "opportunistic" {
				out[r.Domain] = v.Outcome == "delivered"
			}
		}
	}
	if len(out) != len(domains) {
		w.T.Fatalf("check speaks of %d domains of %d:\n%s%s", len(out), len(domains), answer.Stdout, answer.Stderr)
	}
	return out
}

// mend publishes the right record of a situation, after which what waits there goes.
func (w *daneWorld) mend(name string) {
	w.T.Helper()
	i := slices.IndexFunc(w.situations, func(s peers.DANESituation) bool { return s.Name == name })
	s := w.situations[i]
	z := s.Zones[0]
	lines := slices.DeleteFunc(strings.Split(z.Records, "\n"), func(l string) bool { return strings.Contains(l, " TLSA ") })
	z.Records = strings.Join(append(lines, peers.TLSA(s.Host, w.port, 3, 1, 1, s.Cert.Leaf)), "\n")
	w.dns.Replace(z)
	got := w.Await("x@"+s.Domain, harness.In("delivered"))
	if got.ProvedBy != "dane-ee" || time.Since(got.AcceptedAt) > 30*time.Minute {
		w.T.Errorf("mended: %s", got.Raw)
	}
}
