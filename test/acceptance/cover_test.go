package acceptance

import (
	"strings"
	"syscall"
	"testing"

	"postern/test/harness"
)

// TestWhatARuleDoesNotCoverIsSaid asks apply, list and explain of the real binary about rules that cover less than they
// seem to: part of a sender's domain, a domain of our own, people at address literals.
func TestWhatARuleDoesNotCoverIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	file := w.Write("gaps.toml", []byte("[[rule]]\nname = \"board\"\naction = \"force-tls\"\nmatch.sender = [\"example.com\"]\n"+
		"[[rule]]\nname = \"mixed\"\naction = \"force-tls\"\nmatch.recipient = [\"clinic.test\", \"home.test\"]\n"))
	wants := []string{"rule board", `sender "example.com" is not the whole domain`, `"*.example.com"`, `"<>"`, "rule mixed", "does nothing about our own home.test",
		"does not cover the same people at address literals", "literals = true"}
	for _, verb := range [][]string{{"rules", "apply", file, "--dry-run"}, {"rules", "apply", file}, {"rules", "list"},
		{"rules", "explain", "--from", "a@mail.example.com", "--to", "anna@home.test,dr@[192.0.2.1]"},
		{"rules", "explain", "--rules", file, "--from", "a@mail.example.com", "--to", "anna@home.test,dr@[192.0.2.1]"}} {
		a := w.Run("", verb...)
		if a.Code != 0 {
			t.Errorf("%q: %d %s", verb, a.Code, a.Stderr)
		}
		for _, want := range wants {
			if !strings.Contains(a.Stderr, want) {
				t.Errorf("%q does not say %q:\n%s", verb, want, a.Stderr)
			}
		}
		told := strings.Join(strings.Fields(a.Stdout), " ")
		for _, want := range []string{`"*.example.com" would cover it`, "its domain is our own", "literals = true would"} {
			if verb[1] == "explain" && !strings.Contains(told, want) {
				t.Errorf("%q does not say %q:\n%s", verb, want, told)
			}
		}
	}
}

// A reload that makes a rule's domain our own says so in the log.
func TestAReloadThatMakesARulesDomainOurOwnSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	w.Start(harness.Force("clinic", `"clinic.test", "*.partner.test"`))
	if strings.Contains(w.Log(), "our own") {
		t.Error("the log speaks of our own domains before there is one in a rule")
	}
	w.Own("clinic.test", "127.0.0.1", "")
	w.Configure()
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, harness.Patience, "the log names the rule and the domain", func() bool {
		return strings.Contains(w.Log(), "does nothing about our own clinic.test") && strings.Contains(w.Log(), "rule=clinic")
	})
}

// TestAddressLiteralsUnderARule sends to the clinic by its address: with literals = true nothing of it travels in the
// clear.
func TestAddressLiteralsUnderARule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start(strings.Replace(harness.Force("clinic", `"clinic.test"`, `defer = "30s"`), "recipient = ", "literals = true\nrecipient = ", 1))
	w.Send("anna@home.test", "by address", "dr@[127.0.0.9]")
	got := w.Await("dr@[127.0.0.9]", func(harness.Trace) bool { return true })
	got.Want(t, map[string]string{"rule": "clinic", "requires": "authenticated"})
	if told := w.Postern("rules", "explain", "--from", "anna@home.test", "--to", "dr@[IPv6:2001:db8::1]"); !strings.Contains(told, "] requires authenticated") {
		t.Errorf("explain says\n%s", told)
	}
}
