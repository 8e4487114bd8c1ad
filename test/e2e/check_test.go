package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// checked is the part of an object of `postern check --json` that these tests look at.
type checked struct {
	Target   string
	Verdicts []struct{ Question, Outcome, Reached, Reason string }
	Hosts    []struct {
		Addresses []struct {
			Early  string `json:"early_bytes"`
			Trials []struct {
				Name  string
				Works bool
			}
			Look *struct {
				Greeting string
				StartTLS bool
				Chain    []any
			}
		}
	}
}

// checkRealServers holds check against servers that nobody here wrote.
func checkRealServers(t *testing.T, w *world) {
	want := map[string][2]string{
		"postfix.test":   {"authenticated", "authenticated"},
		"exim.test":      {"authenticated", "authenticated"},
		"opensmtpd.test": {"authenticated", "authenticated"},
		"expired.test":   {"encrypted", "cert-expired"},
		"plain.test":     {"plaintext", "starttls-not-offered"},
		"null.test":      {"dns-null-mx", "dns-null-mx"},
	}
	if w.broken {
		delete(want, "opensmtpd.test")
	}
	args := []string{"check", "--json", "--versions"}
	for target := range want {
		args = append(args, target)
	}
	for line := range strings.Lines(w.postern(t, args...)) {
		var c checked
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		for i, v := range c.Verdicts {
			got := v.Reached
			if v.Outcome != "delivered" {
				got = v.Reason
			}
			if got != want[c.Target][i] {
				t.Errorf("%s, %s: %q, want %q", c.Target, v.Question, got, want[c.Target][i])
			}
		}
		for _, h := range c.Hosts {
			for _, a := range h.Addresses {
				if a.Look == nil || !strings.HasPrefix(a.Look.Greeting, "220 ") {
					t.Errorf("%s: no greeting in %s", c.Target, line)
					continue
				}
				if !a.Look.StartTLS {
					continue
				}
				if a.Early != "discarded" && a.Early != "refused" {
					t.Errorf("%s: early bytes are %q", c.Target, a.Early)
				}
				if len(a.Look.Chain) != 2 || len(a.Trials) != 10 || !a.Trials[1].Works {
					t.Errorf("%s: chain of %d, trials %+v", c.Target, len(a.Look.Chain), a.Trials)
				}
				t.Logf("%s: early bytes %s, trials %v", c.Target, a.Early, a.Trials)
			}
		}
	}
}
