package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

// TestAFileThatARuleNamesIsReadWhenItIsApplied: a private CA that is not there is our fault, and is told where it can
// be mended; it never becomes mail that waits for the partner to act.
func TestAFileThatARuleNamesIsReadWhenItIsApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	w.Domain("bank.test", w.Good("mx.bank.test"))
	w.Start(harness.Force("bank", `"bank.test"`))
	clinic := harness.Force("clinic", `"clinic.test"`, `trust = "clinic-ca.pem"`)
	file := w.Write("clinic.toml", []byte(clinic))
	for what, content := range map[string]string{"no such file": "", "no certificate": "nothing\n", "line 1: a private key": string(w.CA.Issue(pki.Options{Names: []string{"a.test"}}).KeyPEM),
		"line 1: the block that begins here is cut off": string(w.CA.RootPEM()[:200])} {
		if content != "" {
			w.Write("clinic-ca.pem", []byte(content))
		}
		for _, args := range [][]string{{"rules", "apply", file}, {"rules", "apply", "--dry-run", file}} {
			a := w.Run("", args...)
			if a.Code != 1 || !strings.Contains(a.Stderr, "trust \"clinic-ca.pem\" cannot be used: "+filepath.Join(w.Dir, "clinic-ca.pem")) ||
				!strings.Contains(a.Stderr, ":8:") || !strings.Contains(a.Stderr, what) {
				t.Errorf("%s: %v: code %d\n%s", what, args, a.Code, a.Stderr)
			}
		}
		if err := os.RemoveAll(filepath.Join(w.Dir, "clinic-ca.pem")); err != nil {
			t.Fatal(err)
		}
	}
	if view := w.Postern("rules", "list"); strings.Contains(view, "clinic") || !strings.Contains(view, "bank") {
		t.Errorf("in force:\n%s", view)
	}

	ca := w.Write("clinic-ca.pem", w.CA.RootPEM())
	w.Apply(clinic)
	if a := w.Run("", "config", "check"); a.Code != 0 {
		t.Errorf("config check: code %d\n%s", a.Code, a.Stderr)
	}
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	if a := w.Run("", "config", "check"); a.Code != 1 || !strings.Contains(a.Stderr, "clinic-ca.pem: no such file") || !strings.Contains(a.Stderr, "policy-unavailable") {
		t.Errorf("config check: code %d\n%s", a.Code, a.Stderr)
	}
	told := func() int { return strings.Count(w.Log(), `what="trust clinic-ca.pem" text="`+ca) }
	w.reload()
	harness.Eventually(t, harness.Patience, "the reload warns", func() bool { return told() > 0 })
	before := told()
	w.Restart()
	harness.Eventually(t, harness.Patience, "the start warns", func() bool { return told() > before })
	w.Send("anna@home.test", "records", "dr@clinic.test")
	w.Await("dr@clinic.test", harness.Waits("policy-unavailable"))
}
