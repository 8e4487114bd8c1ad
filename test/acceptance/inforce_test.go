package acceptance

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy/certcheck"
	"postern/test/harness"
)

// TestADomainThatMovesAwayIsUnderTheRules: a domain that a rule forces is also our own, and its server is down. It
// moves to a provider whose server has no TLS: not one command of its mail goes there, by reload and by restart.
func TestADomainThatMovesAwayIsUnderTheRules(t *testing.T) {
	for name, put := range map[string]func(w *world){
		"reload":  func(w *world) { w.Signal(syscall.SIGHUP) },
		"restart": func(w *world) { w.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			clinic := w.Domain("clinic.test", partner.Behaviour{}) // no TLS
			ours := w.More
			w.More = append(w.More, fmt.Sprintf("[[domain]]\nname = \"clinic.test\"\ndeliver_to = [%q]\n", harness.FreeAddress(t)))
			w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "40s"`))
			w.Send("anna@home.test", "moved", "dr@clinic.test")
			w.Await("dr@clinic.test", harness.Waits("connect-refused")).Want(t, map[string]string{"requires": "plaintext"})

			w.More = ours
			w.Configure()
			put(w)
			w.Await("dr@clinic.test", harness.Waits("starttls-not-offered")).Want(t, map[string]string{"requires": "authenticated", "rule": "clinic"})
			if lines := harness.Forbidden(clinic, false); len(lines) > 0 {
				t.Fatalf("the provider without TLS heard %q", lines)
			}
			clinic.Set(w.Good("mx.clinic.test"))
			w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
		})
	}
}

// TestACorrectedRuleFreesWhatWaits: what a rule named wrongly is corrected, and the mail goes; what would be less goes
// where an administrator says so, in the change or afterwards.
func TestACorrectedRuleFreesWhatWaits(t *testing.T) {
	const letGo, rejudge = "rules apply --let-waiting-go", "queue release --rejudge"
	for name, tt := range map[string]struct {
		wrong, right string
		reason       string
		word         string // an administrator's; "" where none is needed
	}{
		"pin":        {`pins = ["sha256:` + strings.Repeat("ab", 32) + `"]`, `pins = ["PIN"]`, "pin-mismatch", ""},
		"name":       {`names = ["mx.clinci.test"]`, `names = ["mx.clinic.test"]`, "cert-name-mismatch", ""},
		"CA":         {`trust = "other.pem"`, `trust = "ca.pem"`, "cert-untrusted", ""},
		"TLS floor":  {`min_tls = "1.3"`, `min_tls = "1.2"`, "tls-version", letGo},
		"revocation": {`revocation = "require"`, `revocation = "check"`, "revocation-unknown", rejudge},
		"mx":         {`mx = "proven"`, `mx = "any"`, "mx-unproven", letGo},
		"pin, gone":  {`pins = ["sha256:` + strings.Repeat("ab", 32) + `"]`, ``, "pin-mismatch", rejudge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cert := w.CA.Issue(pki.Options{Names: []string{"mx.clinic.test"}})
			b := w.Good("mx.clinic.test")
			b.TLS.Certificates[0] = cert.TLS
			if name == "TLS floor" {
				b.TLS.MaxVersion = 0x0303
			}
			clinic := w.Domain("clinic.test", b)
			w.Write("other.pem", pki.New(w.Now, "Another Root").RootPEM())
			w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "50s"`, tt.wrong))
			id := w.Send("anna@home.test", "stuck", "dr@clinic.test")
			w.Await("dr@clinic.test", harness.Waits(tt.reason))

			right := harness.Force("clinic", `"clinic.test"`, `defer = "50s"`, strings.ReplaceAll(tt.right, "PIN", "sha256:"+certcheck.Facts(cert.Leaf).SPKI))
			file := w.Write("right.toml", []byte(right))
			if tt.word != "" {
				said := w.Postern("rules", "apply", file)
				if !strings.Contains(said, "1 waiting delivery holds more than these rules demand") || !strings.Contains(said, "--let-waiting-go") {
					t.Errorf("applying says nothing of what waits:\n%s", said)
				}
				w.Postern("queue", "retry")
				time.Sleep(2500 * time.Millisecond)
				w.Await("dr@clinic.test", harness.Waits(tt.reason))
			}
			switch tt.word {
			case letGo:
				w.Postern("rules", "apply", "--let-waiting-go", file)
			case rejudge:
				w.Postern("queue", "release", "--rejudge", id)
			default:
				w.Apply(right)
			}
			w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated", "requires": "authenticated"})
			if lines := harness.Forbidden(clinic, true); len(lines) > 0 {
				t.Errorf("in the clear the partner heard %q", lines)
			}
			if audit := w.Postern("audit", "--json"); tt.word != "" && (!strings.Contains(audit, tt.word) || !strings.Contains(audit, id)) {
				t.Errorf("the audit trail does not tell who let what go:\n%s", audit)
			}
		})
	}
}

// TestOurOwnServersCAUnderAnotherNameFreesWhatWaits: the CA of our own server is put into another file.
func TestOurOwnServersCAUnderAnotherNameFreesWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Write("old.pem", pki.New(w.Now, "The Old Root").RootPEM())
	w.More = nil
	own := func(trust string) {
		w.More = []string{fmt.Sprintf("[[domain]]\nname = \"home.test\"\ndeliver_to = [\"mail.home.test:%d\"]\ntrust = %q\nrequire = \"authenticated\"\n", w.Port, trust)}
	}
	own("old.pem")
	w.Start("")
	w.Send("bob@far.test", "to us", "anna@home.test")
	w.Await("anna@home.test", harness.Waits("cert-untrusted"))
	own("ca.pem")
	w.Configure()
	w.Signal(syscall.SIGHUP)
	w.Await("anna@home.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
}

// TestARenamedRuleNeitherHoldsNorLoosensWhatWaits: the same rule under another name takes the place of the old one.
func TestARenamedRuleNeitherHoldsNorLoosensWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clinic := w.Domain("clinic.test", w.Good("mx.clinic.test"))
	wrong := `names = ["mx.clinci.test"]`
	w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "50s"`, wrong))
	w.Send("anna@home.test", "stuck", "dr@clinic.test")
	w.Await("dr@clinic.test", harness.Waits("cert-name-mismatch"))
	w.Apply(harness.Force("hospital", `"clinic.test"`, `defer = "50s"`, wrong))
	w.Await("dr@clinic.test", func(tr harness.Trace) bool { return tr.Rule == "hospital" }).Want(t, map[string]string{"requires": "authenticated"})
	if lines := harness.Forbidden(clinic, false); len(lines) > 0 {
		t.Fatalf("after the rule was renamed the partner heard %q", lines)
	}
	w.Apply(harness.Force("hospital", `"clinic.test"`, `defer = "50s"`, `names = ["mx.clinic.test"]`))
	w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
}
