package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/cmd/postern/internal/cli"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
)

var update = flag.Bool("update", false, "write the golden files of the operator's verbs anew")

const operateRules = `# rules of the house

[[rule]]
name = "clinic"
description = "patient data"
scope = "outbound"
action = "force-tls"
[rule.match]
recipient = ["clinic.test"]
[rule.force_tls]
defer = "24h"

# the bank is only watched yet
[[rule]]
name = "bank"
mode = "test"
scope = "outbound"
action = "force-tls"
[rule.match]
recipient = ["bank.test"]
`

// serveBacklog serves a backlog and returns a function that runs a verb against it.
func serveBacklog(t *testing.T, change ...func(*admin.Config)) func(args ...string) (code int, stdout, stderr string) {
	t.Helper()
	store := backlog.New(t)
	cfg := admin.Config{Store: store, Ledger: store, Rules: backlog.Keeper(t, store), Hostname: "gw.example.test",
		Peers: rememberedPeers(t, store)}
	for _, f := range change {
		f(&cfg)
	}
	service := admin.New(cfg)
	path := filepath.Join(t.TempDir(), "s")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- api.New(service, accounts.New(accounts.Config{Book: accounts.NewBook(store), Ledger: store}), slog.New(slog.DiscardHandler)).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return func(args ...string) (int, string, string) {
		t.Helper()
		code, stdout, stderr := shell(t, "", append(args, "--socket="+path)...)
		return code, stdout, strings.ReplaceAll(stderr, path, "SOCKET")
	}
}

// shell runs the command line in this process.
func shell(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &cli.App{Ctx: t.Context(), Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	code = run(a, args)
	return code, out.String(), errs.String()
}

// golden compares with testdata/operate/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "operate", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (run with -update after a wanted change):\n%s", path, got)
	}
}

func writeRules(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOperatorsOutput(t *testing.T) {
	postern := serveBacklog(t)
	if code, _, errs := postern("rules", "apply", writeRules(t, operateRules)); code != cli.ExitOK {
		t.Fatal(errs)
	}
	for _, c := range []struct{ file, args string }{
		{"queue-list.txt", "queue list"},
		{"queue-list-domain.txt", "queue list clinic.test " + string(backlog.Ordinary)},
		{"queue-list.json", "queue list --json"},
		{"queue-summary.txt", "queue list --summary"},
		{"queue-summary.json", "queue list --summary --json"},
		{"queue-show.txt", "queue show " + string(backlog.Waiting)},
		{"queue-show-untried.txt", "queue show " + string(backlog.Untried)},
		{"trace.txt", "trace"},
		{"trace-forced.txt", "trace --rule clinic --state delivered,held"},
		{"trace-long.txt", "trace --long --recipient plain.test --reason remote-5xx"},
		{"trace.json", "trace --json --sender a@example.com"},
		{"rules-list.txt", "rules list"},
		{"rules-list.json", "rules list --json"},
		{"rules-show.txt", "rules show clinic"},
		{"rules-explain.txt", "rules explain --from a@example.com --to dr@clinic.test,x@plain.test,m@bank.test"},
		{"rules-explain.json", "rules explain --json --from a@example.com --to dr@clinic.test"},
		{"rules-explain-offline.txt", "rules explain --offline --from a@example.com --to y@other.test"},
		{"rules-canonical.txt", "rules export --canonical"},
		{"policies-observed.txt", "policies observed nothing.test"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, out, errs := postern(strings.Fields(c.args)...)
			if code != cli.ExitOK {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			golden(t, c.file, out)
			for line := range strings.Lines(out) {
				switch {
				case strings.HasSuffix(c.file, ".json") && !json.Valid([]byte(line)):
					t.Errorf("no JSON: %s", line)
				case strings.HasSuffix(c.file, ".txt") && len([]rune(line)) > 81 && !strings.Contains(line, "SHA-256"):
					t.Errorf("over 80 columns: %s", line)
				case strings.ContainsAny(line, "\x1b\r"):
					t.Errorf("colour or control characters without a terminal: %q", line)
				}
			}
		})
	}
}

func TestOperatorsActions(t *testing.T) {
	postern := serveBacklog(t)
	for _, c := range []struct {
		args string
		code int
		out  string
	}{
		{"queue list --quarantine *", cli.ExitOK, "nothing waits\n"}, // an administrator's hold is none of a rule
		{"queue retry", cli.ExitOK, "3 deliveries due now\n"},
		{"queue retry clinic.test", cli.ExitOK, "2 deliveries due now\n"},
		{"queue hold other.test", cli.ExitOK, "1 delivery held\n"},
		{"queue hold other.test", cli.ExitShort, "0 deliveries held\n"},
		{"queue release " + string(backlog.Ordinary), cli.ExitOK, "1 delivery released\n"},
		{"queue release --lower " + string(backlog.Notice) + " clinic.test", cli.ExitOK, "3 deliveries lowered and released\n"},
		{"queue cancel clinic.test clinc.test --json", cli.ExitShort, `{"changed":2,"sites":1,"unknown":["clinc.test"]}` + "\n"},
		{"queue cancel --all", cli.ExitOK, "2 deliveries cancelled\n"},
		{"queue list", cli.ExitOK, "nothing waits\n"},
		{"trace --sender nobody.test", cli.ExitOK, "no such mail is known\n"},
	} {
		code, out, errs := postern(strings.Fields(c.args)...)
		if code != c.code || out != c.out {
			t.Errorf("%s: exit code %d, %q, %q; want %d, %q", c.args, code, out, errs, c.code, c.out)
		}
	}
}

// TestUnknownNamesAreTold: what is known is done, each other name is told on standard error, and the exit code is 1.
func TestUnknownNamesAreTold(t *testing.T) {
	postern := serveBacklog(t)
	if code, _, errs := postern("rules", "apply", writeRules(t, operateRules)); code != cli.ExitOK {
		t.Fatal(errs)
	}
	waiting, other := string(backlog.Waiting), string(backlog.Ordinary)
	for _, c := range []struct {
		args, out, errs string // parts; "" for nothing at all
	}{
		{"queue hold other.test othr.test", "1 delivery held", "nothing waits of othr.test"},
		{"queue release nosuch.test " + other + " 0fk3n0000000zzzz", "1 delivery released", "nothing waits of nosuch.test, 0fk3n0000000zzzz"},
		{"queue retry other.test nosuch", "1 delivery due now", "nothing waits of nosuch"},
		{"queue return other.test", "", "nothing is in quarantine of other.test"},
		{"queue cancel nosuch.test", "", "nothing waits of nosuch.test"},
		{"queue cancel nosuch.test --json", "", "nothing waits of nosuch.test"},
		{"queue show " + waiting + " nosuch", "Message " + waiting, "there is no message nosuch"},
		{"queue show " + waiting + " nosuch --json", waiting, "there is no message nosuch"},
		{"trace --message " + waiting + ",nosuch,none", "Message " + waiting, "there is no message nosuch, none"},
		{"trace --message " + waiting + ",nosuch --rule nosuch", "", "there is no message nosuch"},
		{"trace --message nosuch", "", "there is no message nosuch"},
		{"queue list 0fk3n0000000zzzz clinic.test", waiting, "there is no message 0fk3n0000000zzzz"},
		{"queue read nosuch", "", "there is no message \"nosuch\""},
		{"queue read " + other, "", "message " + other + " is not in quarantine"},
		{"peers show mx.lost.test nosuch.test", "mx.lost.test", "nothing is remembered of nosuch.test"},
		{"peers list mx.lost.test nosuch.test", "mx.lost.test", "nothing is remembered of nosuch.test"},
		{"rules show nosuch", "", "there is no rule nosuch"},
		{"rules restore 999", "", "there is no revision 999"},
		{"rules revisions 999", "", "there is no revision 999"},
		{"rules lists export nosuch", "", "there is no list \"nosuch\""},
		{"rules lists import nosuch " + writeRules(t, "a.test\n"), "", "there is no list \"nosuch\""},
	} {
		code, out, errs := postern(strings.Fields(c.args)...)
		if code != cli.ExitShort || !strings.Contains(out, c.out) || c.out == "" && out != "" || !strings.Contains(errs, c.errs) {
			t.Errorf("%s: exit code %d, %q, %q", c.args, code, out, errs)
		}
	}
	// A list of what waits may be empty; of several domains each that has nothing is told.
	if code, out, errs := postern("queue", "list", "other.test", "nosuch.test"); code != cli.ExitOK || !strings.Contains(out, other) || !strings.Contains(errs, "waits of nosuch.test") {
		t.Errorf("a list: exit code %d, %q, %q", code, out, errs)
	}
}

// TestEmptyValuesAreNotLeftOut: a variable that a script did not set never means everything.
func TestEmptyValuesAreNotLeftOut(t *testing.T) {
	postern := serveBacklog(t)
	for _, args := range [][]string{{"policies", "show", ""}, {"policies", "forget", ""}, {"queue", "hold", ""}, {"queue", "list", ""}, {"queue", "read", ""},
		{"rules", "show", ""}, {"rules", "lists", "export", ""}, {"reports", "show", ""}, {"accounts", "delete", ""}, {"peers", "forget", "mx.lost.test", ""},
		{"trace", "--message", ""}, {"trace", "--message="}, {"trace", "--message", "a,,b"}, {"trace", "--sender", ""}, {"trace", "--recipient", ""}, {"trace", "--host", ""},
		{"trace", "--since", ""}, {"queue", "list", "--rule", ""}, {"trace", "--state", ""}} {
		code, out, errs := postern(args...)
		if code != cli.ExitUsage || out != "" || !strings.Contains(errs, "empty value") || !strings.Contains(errs, "hint: ") {
			t.Errorf("%q: exit code %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestOperatorsRules(t *testing.T) {
	postern := serveBacklog(t)
	first := writeRules(t, operateRules)
	_, out, _ := postern("rules", "apply", "--dry-run", first)
	golden(t, "apply-dry-run.txt", out)
	if code, _, errs := postern("rules", "apply", first); code != cli.ExitOK {
		t.Fatal(errs)
	}
	if _, out, _ := postern("rules", "apply", first); !strings.HasSuffix(out, "already in force as revision 1; what waits is judged by them anew\n") {
		t.Errorf("the same file again: %q", out)
	}
	if _, out, _ := postern("rules", "export"); out != operateRules {
		t.Errorf("export is not what was applied:\n%s", out)
	}
	weaker := writeRules(t, strings.Replace(operateRules, `"clinic.test"`, `"clinic.test", "lab.test"`, 1)+"\n[[rule]]\nname = \"law\"\nscope = \"outbound\"\naction = \"force-tls\"\n")
	_, out, errs := postern("rules", "apply", weaker)
	golden(t, "apply-second.txt", out+errs)
	if code, _, errs := postern("rules", "apply", "--if-revision=1", first); code != cli.ExitFail || !strings.Contains(errs, "hint: ") {
		t.Errorf("an outdated look: exit code %d, %q", code, errs)
	}
	broken := writeRules(t, "[[rule]]\nnmae = \"x\"\n")
	code, out, errs := postern("rules", "apply", broken)
	if code != cli.ExitShort || out != "" || !strings.Contains(errs, ":2:1: ") || !strings.Contains(errs, "stay in force") {
		t.Errorf("a broken file: exit code %d, %q, %q", code, out, errs)
	}
	if code, _, errs := postern("rules", "show", "nothing"); code != cli.ExitShort || !strings.Contains(errs, "no rule nothing") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

func TestTheAuditTrailTellsWhoLoweredWhat(t *testing.T) {
	postern := serveBacklog(t)
	if _, out, _ := postern("audit"); out != "no administrator has changed anything yet\n" {
		t.Errorf("an empty trail: %q", out)
	}
	for _, args := range []string{"queue release --lower clinic.test", "queue hold other.test"} {
		if code, _, errs := postern(strings.Fields(args)...); code != cli.ExitOK {
			t.Fatal(errs)
		}
	}
	_, out, _ := postern("audit")
	for _, want := range []string{"queue release --lower", "dr@clinic.test authenticated (clinic)", "dr@clinic.test plaintext", "By              ", "queue hold"} {
		if !strings.Contains(out, want) {
			t.Errorf("the trail lacks %q:\n%s", want, out)
		}
	}
	if _, out, _ = postern("audit", "--json", "--limit=1"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"action":"queue hold"`) {
		t.Errorf("one line of JSON: %q", out)
	}
}

func TestExplainWorksWithoutAGateway(t *testing.T) {
	file := writeRules(t, operateRules)
	code, out, errs := shell(t, "Subject: x\n\nbody\n", "rules", "explain", "--rules="+file, "--from=<>", "--to=dr@clinic.test", "--message=-")
	if code != cli.ExitOK || !strings.HasPrefix(out, "dr@clinic.test requires authenticated\n") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	code, out, errs = shell(t, "From: Anna <a@example.com>\nTo: Dr <dr@clinic.test>\n\nbody\n", "rules", "explain", "--rules="+file, "--message=-")
	if code != 0 || !strings.Contains(out, "The sender is taken from its field From.") || !strings.Contains(out, "dr@clinic.test requires authenticated") {
		t.Errorf("from the message: %d %s%s", code, out, errs)
	}
	if code, _, errs = shell(t, "", "rules", "explain", "--rules="+file); code != cli.ExitUsage || !strings.Contains(errs, "or a message that does") {
		t.Errorf("about nothing: %d %s", code, errs)
	}
	if code, _, errs = shell(t, "", "rules", "explain", "--rules="+file, "--from=x", "--to=dr@clinic.test"); code != cli.ExitUsage {
		t.Errorf("a bad address: exit code %d, %q", code, errs)
	}
}

func TestWhatCannotBeMeantIsAUsageError(t *testing.T) {
	postern := serveBacklog(t)
	for _, args := range []string{"queue hold", "queue cancel", "queue release --lower", "queue cancel --all clinic.test", "trace --since soon",
		"trace --state lost", "trace --reason bad-weather", "rules explain --from a@b.test --to nobody", "queue"} {
		if code, out, errs := postern(strings.Fields(args)...); code != cli.ExitUsage || out != "" || errs == "" {
			t.Errorf("%s: exit code %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestAMissingGatewayIsToldWithItsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	for _, args := range []string{"queue list", "queue retry", "trace", "rules list", "rules explain --from a@b.test --to c@d.test"} {
		code, out, errs := shell(t, "", append(strings.Fields(args), "--socket="+path)...)
		if code != cli.ExitFail || out != "" || !strings.Contains(errs, "no gateway answers at "+path) || !strings.Contains(errs, "hint: start it with `postern serve`") {
			t.Errorf("%s: exit code %d, %q, %q", args, code, out, errs)
		}
	}
}
