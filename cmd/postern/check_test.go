package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/demo"
	"postern/internal/check"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy"
)

// checkWorld is the demo's world, and a function that runs a verb with its configuration.
func checkWorld(t *testing.T) (*demo.World, func(stdin string, args ...string) (int, string, string)) {
	t.Helper()
	dir := t.TempDir()
	w, err := demo.NewWorld(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w, func(stdin string, args ...string) (int, string, string) {
		t.Helper()
		return shell(t, stdin, append(args, "--config="+filepath.Join(dir, "postern.toml"))...)
	}
}

// still makes output comparable: times, digests and ports are different each time.
func still(w *demo.World, text string) string {
	for _, r := range [][2]string{
		{`(?s)\n    Times .*?\n\n`, "\n    Times           ...\n\n"},
		{`\b[0-9]+(\.[0-9]+)? m?s\b`, "N ms"},
		{`"took_ms": [0-9.]+`, `"took_ms": 0`},
		{`\b[0-9a-f]{64}\b`, strings.Repeat("0", 64)},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, "2026-11-23T12:00:00Z"},
		{`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`, "2026-11-23 12:00:00 UTC"},
		{`\b` + strconv.Itoa(w.Port) + `\b`, "PORT"},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	return strings.ReplaceAll(text, w.Dir, "DIR")
}

func TestCheckTellsTheVerdictFirst(t *testing.T) {
	w, run := checkWorld(t)
	for _, domain := range []string{"clinic", "bank", "museum", "harbour", "practice", "nowhere"} {
		code, out, errs := run("", "check", domain+".test")
		if code != cli.ExitOK || errs != "" {
			t.Errorf("%s: exit code %d, %s", domain, code, errs)
		}
		golden(t, "check-"+domain+".txt", still(w, out))
		lines := strings.Split(out, "\n")
		if !strings.Contains(lines[1], "ordinary mail") || !strings.Contains(lines[2], "Force TLS") {
			t.Errorf("%s: the verdicts are not in the first three lines:\n%s", domain, out)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > 80 {
				t.Errorf("%s: more than 80 columns: %s", domain, line)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s: colour where there is no terminal", domain)
		}
	}
}

func TestCheckTriesVersionsByThemselves(t *testing.T) {
	w, run := checkWorld(t)
	_, out, _ := run("", "check", "archive.test", "--versions")
	golden(t, "check-versions.txt", still(w, out))
}

func TestCheckWritesALetterWithoutBlame(t *testing.T) {
	w, run := checkWorld(t)
	for _, domain := range []string{"bank", "shop", "museum"} {
		code, out, errs := run("", "check", domain+".test", "--letter")
		if code != cli.ExitOK || errs != "" {
			t.Errorf("%s: exit code %d, %s", domain, code, errs)
		}
		golden(t, "check-letter-"+domain+".txt", still(w, out))
		for _, line := range strings.Split(out, "\n") {
			if utf8.RuneCountInString(line) > 72 {
				t.Errorf("%s: more than 72 columns: %s", domain, line)
			}
		}
	}
	if _, out, errs := run("", "check", "clinic.test", "--letter"); out != "" || !strings.Contains(errs, "nothing to write about") {
		t.Errorf("a letter to a partner who did nothing wrong: %q %q", out, errs)
	}
	if _, out, _ := run("", "check", "nowhere.test", "--letter"); out != "" {
		t.Errorf("a letter to nobody: %q", out)
	}
}

func TestEveryReasonOfThePartnersHasAdviceInALetter(t *testing.T) {
	for _, i := range policy.Reasons() {
		r := &check.Report{Target: "x.test", Verdicts: []check.Verdict{{Outcome: check.Deferred, Reason: i.Reason, Text: "so it is", Who: i.Who}}}
		text := check.Letter(r, "gw.test")
		if (text == "") != (i.Who == policy.Us) {
			t.Errorf("%s, for %s to repair: %q", i.Reason, i.Who, text)
		}
		if text != "" && !strings.Contains(text, string(i.Reason)) {
			t.Errorf("%s: the letter does not name it:\n%s", i.Reason, text)
		}
	}
}

func TestCheckHasOneJSONObjectALine(t *testing.T) {
	w, run := checkWorld(t)
	code, out, _ := run("", "check", "bank.test", "shop.test", "--json", "--versions")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != cli.ExitOK || len(lines) != 2 {
		t.Fatalf("exit code %d, %d lines", code, len(lines))
	}
	var all bytes.Buffer
	for _, line := range lines {
		if err := json.Indent(&all, []byte(line), "", " "); err != nil {
			t.Fatal(err)
		}
		all.WriteByte('\n')
	}
	golden(t, "check.json", still(w, all.String()))
}

func TestCheckExitCodesSayWhatFellShort(t *testing.T) {
	w, run := checkWorld(t)
	list := filepath.Join(w.Dir, "list")
	rules := filepath.Join(w.Dir, "rules.toml")
	if err := os.WriteFile(list, []byte("# partners\nclinic.test  # the clinic\n\nbank.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
	}{
		{"clinic.test", cli.ExitOK},
		{"bank.test", cli.ExitOK},
		{"clinic.test --require authenticated", cli.ExitOK},
		{"bank.test --require authenticated", cli.ExitShort},
		{"bank.test --require encrypted", cli.ExitOK},
		{"shop.test --require encrypted", cli.ExitShort},
		{"shop.test --require plaintext", cli.ExitOK},
		{"nowhere.test --require plaintext", cli.ExitShort},
		{"clinic.test --as-rule confidential --rules " + rules, cli.ExitOK},
		{"bank.test --as-rule confidential --rules " + rules, cli.ExitShort},
		{"bank.test --as-rule no-such --rules " + rules, cli.ExitShort},
		{"bank.test --as-rule confidential", cli.ExitFail}, // no gateway runs
		{"--file " + list, cli.ExitOK},
		{"--file " + list + " --require authenticated --brief", cli.ExitShort},
		{"--file " + list + ".not", cli.ExitFail},
		{"", cli.ExitUsage},
		{"http://clinic.test/", cli.ExitUsage},
		{"clinic.test --require gold", cli.ExitUsage},
		{"clinic.test --json --letter", cli.ExitUsage},
		{"clinic.test --rules " + rules, cli.ExitUsage},
		{"clinic.test --jobs 0", cli.ExitUsage},
	} {
		if code, out, errs := run("", append([]string{"check"}, strings.Fields(c.args)...)...); code != c.code {
			t.Errorf("check %s: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
	}
}

func TestCheckReadsStandardInputAndGoesOnAfterABadLine(t *testing.T) {
	w, run := checkWorld(t)
	code, out, errs := run("clinic.test\nhttp://x/\nshop.test\n", "check", "--file", "-", "--brief")
	if code != cli.ExitFail || !strings.Contains(errs, "-:2: ") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	golden(t, "check-brief.txt", still(w, out))
}

func TestCheckSaysWhenTheFaultIsOurs(t *testing.T) {
	w, run := checkWorld(t)
	for _, p := range w.Partners {
		p.Set(partner.Behaviour{})
	}
	_, out, _ := run("", "check", "clinic.test", "bank.test", "law.test", "--brief")
	golden(t, "check-ours.txt", still(w, out))
	if _, out, _ = run("", "check", "clinic.test", "bank.test", "law.test", "--json"); !strings.Contains(out, `{"kind":"suspicion","code":"tls-stripped-here","sure":true`) {
		t.Errorf("no suspicion in JSON:\n%s", out)
	}
}

func TestCheckSaysWhenOurOwnChainIsIncomplete(t *testing.T) {
	w, run := checkWorld(t)
	if _, out, _ := run("", "check", "clinic.test"); strings.Contains(out, "OUR OWN FAULT") {
		t.Errorf("a good chain:\n%s", out)
	}
	cert := w.Ca.Issue(pki.Options{Names: []string{"gw.practice.test"}, OmitIntermediates: true})
	if err := os.WriteFile(filepath.Join(w.Dir, "gateway.pem"), cert.CertPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ := run("", "check", "clinic.test")
	flat := strings.Join(strings.Fields(out), " ")
	if code != cli.ExitOK || !strings.Contains(flat, "PROBABLY OUR OWN FAULT: our own server certificate") || !strings.Contains(flat, "its issuer, CN=Demonstration Root CA intermediate") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if _, out, _ := run("", "check", "clinic.test", "--json"); !strings.Contains(out, `"code":"own-chain-incomplete","sure":true`) {
		t.Errorf("not in JSON:\n%s", out)
	}
}

func TestCheckWatchesAndTellsWhatChanges(t *testing.T) {
	w, _ := checkWorld(t)
	var out syncBuffer
	ctx, stop := context.WithCancel(t.Context())
	a := &cli.App{Ctx: ctx, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}
	ended := make(chan int)
	go func() {
		ended <- run(a, []string{"check", "bank.test", "--brief", "--watch=100ms", "--require=authenticated", "--config=" + filepath.Join(w.Dir, "postern.toml")})
	}()
	waitFor(t, func() bool { return strings.Contains(out.String(), "no: cert-expired") })
	w.Repair("mx.bank.test")
	waitFor(t, func() bool {
		return strings.Contains(strings.Join(strings.Fields(out.String()), " "), "force-tls: deferred cert-expired -> delivered authenticated")
	})
	stop()
	if code := <-ended; code != cli.ExitOK {
		t.Errorf("exit code %d after the repair\n%s", code, out.String())
	}
	if got := strings.Count(out.String(), "bank.test certificate"); got > 1 || strings.Count(out.String(), "TARGET") != 1 {
		t.Errorf("told more than what changed:\n%s", out.String())
	}
}

// syncBuffer is a bytes.Buffer for two goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !what(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

func TestCheckNeedsNoConfiguration(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out, errs := shell(t, "", "check", "127.0.0.1:9", "--timeout=5s")
	if code != cli.ExitOK || !strings.Contains(out, "connect-refused") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, _, _ := shell(t, "", "check", "127.0.0.1:9", "--config=not-there.toml"); code != cli.ExitFail {
		t.Errorf("a configuration that was named and is missing: exit code %d", code)
	}
}

func TestExplainTellsEveryReason(t *testing.T) {
	code, out, _ := shell(t, "", "explain", "cert-expired")
	if code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
	golden(t, "explain.txt", out)
	_, out, _ = shell(t, "", "explain", "all", "--json")
	if n := strings.Count(out, "\n"); n != len(policy.Reasons()) {
		t.Errorf("%d objects for %d reasons", n, len(policy.Reasons()))
	}
	_, all, _ := shell(t, "", "explain", "all")
	for _, i := range policy.Reasons() {
		if !strings.Contains(all, "\n"+string(i.Reason)+"\n") && !strings.HasPrefix(all, string(i.Reason)+"\n") {
			t.Errorf("%s is not explained", i.Reason)
		}
	}
	for _, args := range [][]string{{"explain", "no-such"}, {"explain", "no-such", "--json"}} {
		if code, _, errs := shell(t, "", args...); code != cli.ExitShort || !strings.Contains(errs, "postern explain all") {
			t.Errorf("%v: exit code %d, %q", args, code, errs)
		}
	}
}

func TestTrustShowIsWhatPartnersSee(t *testing.T) {
	w, run := checkWorld(t)
	code, out, _ := run("", "trust", "show", "--strict")
	if code != cli.ExitOK {
		t.Errorf("a good chain: exit code %d", code)
	}
	golden(t, "trust-show.txt", still(w, out))
	_, out, _ = run("", "trust", "show", "--pem")
	if n := strings.Count(out, "-----BEGIN CERTIFICATE-----"); n != 3 {
		t.Errorf("%d certificates in PEM, want leaf, intermediate and root:\n%s", n, out)
	}
	for name, c := range map[string]struct {
		options pki.Options
		warning string
	}{
		"the intermediate is missing": {pki.Options{OmitIntermediates: true}, "the certificate of the issuer, CN=Demonstration Root CA intermediate"},
		"it ends in weeks":            {pki.Options{NotAfter: w.Now.Add(20 * 24 * time.Hour)}, "plan its renewal"},
		"it ends in two weeks":        {pki.Options{NotAfter: w.Now.Add(13 * 24 * time.Hour)}, "renew it this week"},
		"it ends soon":                {pki.Options{NotAfter: w.Now.Add(6*24*time.Hour + time.Hour)}, "ends in 6 days"},
		"it ends within a week":       {pki.Options{NotAfter: w.Now.Add(6 * 24 * time.Hour)}, "renew it now"},
		"it ends today":               {pki.Options{NotAfter: w.Now.Add(20 * time.Hour)}, "renew it at once, today"},
		"it has ended":                {pki.Options{NotAfter: w.Now.Add(-time.Hour)}, "cert-expired"},
		"another name":                {pki.Options{Names: []string{"old.practice.test"}}, "cert-name-mismatch"},
		"out of order":                {pki.Options{Intermediates: []pki.Intermediate{{Name: "one"}, {Name: "two"}}, Reverse: true}, "not in order"},
	} {
		if c.options.Names == nil {
			c.options.Names = []string{"gw.practice.test"}
		}
		cert := w.Ca.Issue(c.options)
		if err := os.WriteFile(filepath.Join(w.Dir, "gateway.pem"), cert.CertPEM, 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, _ := run("", "trust", "show", "--strict")
		if flat := strings.Join(strings.Fields(out), " "); code != cli.ExitShort || !strings.Contains(flat, c.warning) {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
		if code, _, _ := run("", "trust", "show"); code != cli.ExitOK {
			t.Errorf("%s, without --strict: exit code %d", name, code)
		}
		_, out, _ = run("", "trust", "show", "--json")
		var own check.Own
		if err := json.Unmarshal([]byte(out), &own); err != nil || len(own.Warnings) == 0 {
			t.Errorf("%s: %v in %s", name, err, out)
		}
	}
}
