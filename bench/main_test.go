package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postern/bench/rig"
	"postern/bench/source"
	"postern/internal/mail"
	"postern/internal/policy/rulematch"
	"postern/internal/policy/rules"
)

// The keeper and the null relay are this program, so the test's binary plays them too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "keep" || os.Args[1] == "null") {
		if err := command(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func newTestBench(t *testing.T) *bench {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	b, err := newBench("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	b.silent = true
	return b
}

// leftovers are the folders that servers made and did not remove.
func leftovers(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "postern-bench-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAComparisonMeasuresTheNullRelayAndCleansUp(t *testing.T) {
	b := newTestBench(t)
	for _, hops := range []int{0, 3} {
		w := ordinary()
		w.Connections, w.Domains, w.Hops = 4, max(1, hops), hops
		who := []Contestant{{Name: "null", Kind: rig.Null}, {Name: "nobody", Kind: "nobody"}}
		c, err := b.compare(t.Context(), "servers", w, who, pace{rounds: 2, messages: 50})
		if err != nil {
			t.Fatal(err)
		}
		null, ok := c.find("null")
		if !ok || len(null.Rounds) != 2 {
			t.Fatalf("%+v", c)
		}
		for _, r := range null.Rounds {
			if r.Messages != 50 || r.Rate <= 0 || r.AcceptRate <= 0 || r.Reply99 < r.Reply50 || r.Memory <= 0 || r.Calibration <= 0 {
				t.Errorf("%+v", r)
			}
		}
		if hops > 0 && null.Rounds[0].Connections+null.Rounds[1].Connections > int64(hops*2) {
			t.Errorf("connections are not kept open: %+v", null.Rounds)
		}
		if nobody, ok := c.find("nobody"); ok || !strings.Contains(nobody.Failed, "no server") {
			t.Errorf("%+v", nobody)
		}
		if found := leftovers(t); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
}

func TestAnInterruptEndsServersAndRemovesTheirFolders(t *testing.T) {
	b := newTestBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, cancel)
	_, err := b.compare(ctx, "servers", ordinary(), plainContestants(rig.Null), pace{rounds: 1000, duration: time.Second})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if found := leftovers(t); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
}

func TestTheRulesAreRulesAndNoneMatchesTheLoad(t *testing.T) {
	text := rulesFile(200)
	set, err := rules.Parse("rules.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(text, "[[rule]]"); got != 200 {
		t.Errorf("%d rules", got)
	}
	load := &rulematch.Facts{From: mail.MustAddress("load@source.test"), Recipients: []mail.Address{mail.MustAddress("r0@d7.bench.test")},
		Client: netip.MustParseAddr("127.0.0.1"), Header: mail.ParseHeader(source.Message(4096)), Size: 4096, Now: time.Now()}
	if o := set.Evaluate(load).Recipients[0]; len(o.Rules) > 0 {
		t.Errorf("the load matches %v", o.Rules)
	}
	load.Recipients[0] = mail.MustAddress("r0@a.partner8.test")
	if o := set.Evaluate(load).Recipients[0]; len(o.Rules) != 1 {
		t.Errorf("a partner matches %v", o.Rules)
	}
	if rulesFile(0) != "" {
		t.Error("no rules are some text")
	}
}

// outcome is one with rounds of given rates.
func outcome(name string, cpu, reply float64, rates ...float64) Outcome {
	o := Outcome{Contestant: Contestant{Name: name, Kind: name}}
	for _, r := range rates {
		o.Rounds = append(o.Rounds, Round{Messages: 100, Rate: r, CPU: cpu, Reply50: reply, Reply99: 2 * reply, Whole50: reply, Whole99: 2 * reply,
			Memory: 12345, Calibration: 100, Foreign: 0.1, Harness: 20})
	}
	return o
}

func testReport() *Report {
	r := newReport(pace{rounds: 3, duration: time.Second})
	failed := Outcome{Contestant: Contestant{Name: rig.Exim, Kind: rig.Exim}, Failed: "no real peers: " + strings.Repeat("x", 300)}
	r.Comparisons = []Comparison{
		{"servers", ordinary(), []Outcome{outcome(rig.Postern, 100, 3, 6900, 7000, 7300), outcome(rig.Postfix, 700, 7, 900, 1000, 1100), failed,
			outcome(rig.Null, 50, 1, 9000, 10000, 11000)}},
		{"rules", ordinary(), []Outcome{outcome("no rules", 100, 3, 1000), outcome("10000 rules", 100, 3, 899)}},
		{"waiting", ordinary(), []Outcome{outcome("empty queue", 100, 3, 1000), outcome("1M at 10000", 100, 3, 990)}},
	}
	r.Idle, r.Large = []Idle{{rig.Postern, 10_000, 40.1}}, []Large{{rig.Postern, 1, 8, 2}}
	r.Searches = []Search{{"recipient", 199, 10_000_000}, {"day", 201, 10_000_000}}
	return r
}

func TestGoalsAreJudged(t *testing.T) {
	got := map[string]string{}
	for _, g := range testReport().goals() {
		got[g.what+" "+g.want] = g.verdict()
	}
	for what, want := range map[string]string{
		"4 KiB TLS, 10 a connection >= 7.0 x postfix":                            "reached",
		"4 KiB TLS, 10 a connection >= 0.7 x null":                               "reached",
		"processor time of a message, 4 KiB TLS, 10 a connection <= 1/6 postfix": "reached",
		"250 p99 of postern to p50 of postfix, ms below it":                      "reached",
		"no rules / 10000 rules >= 0.9 x no rules":                               "missed",
		"empty queue / 1M at 10000 >= 0.9 x empty queue":                         "reached",
		"start with 1M at 10000 < 10 s":                                          "reached",
		"an idle TLS session, 10000 of them <= 40 KiB":                           "missed",
		"150000000 B, growth of memory <= 8 MiB":                                 "reached",
		"trace by recipient < 200 ms":                                            "reached",
		"trace by day < 200 ms":                                                  "missed",
	} {
		if verdict, there := got[what]; !there || verdict != want {
			t.Errorf("%q is %q (%v), want %q", what, verdict, there, want)
		}
	}
}

func TestMailInADatabaseIsHeldAgainstItsOwnGoals(t *testing.T) {
	r := newReport(pace{})
	r.Comparisons = []Comparison{{"servers", ordinary(), []Outcome{outcome(rig.Postern, 100, 3, 1000), outcome(rig.Shared, 200, 6, 460),
		outcome(rig.Postfix, 700, 7, 160)}}}
	got := map[string]string{}
	for _, g := range r.goals() {
		got[g.want] = g.verdict()
	}
	if got[">= 0.45 x postern"] != "reached" || got[">= 3 x postfix"] != "missed" {
		t.Errorf("%v", got)
	}
}

func TestAGoalJudgedOnACrowdedMachineSaysSo(t *testing.T) {
	r := testReport()
	for i := range r.Comparisons[0].Outcomes {
		for k := range r.Comparisons[0].Outcomes[i].Rounds {
			r.Comparisons[0].Outcomes[i].Rounds[k].Foreign = 0.3
		}
	}
	if got := r.goals()[0].verdict(); got != "reached, noisy" {
		t.Errorf("%q", got)
	}
}

func TestTablesFitATerminal(t *testing.T) {
	var out strings.Builder
	r := testReport()
	r.print(&out)
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !strings.HasPrefix(line, "(") && !strings.HasPrefix(line, r.Processor) {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(out.String(), "7.00   0.70") {
		t.Errorf("the ratios are missing:\n%s", out.String())
	}
}

func TestThePageKeepsWhatPeopleWrote(t *testing.T) {
	dir, r := t.TempDir(), testReport()
	path := filepath.Join(dir, "performance.md")
	if err := os.WriteFile(path, []byte("before\n"+pageBegin+"old\n"+pageEnd+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time changes nothing
		if err := writePage(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	page := string(text)
	if err != nil || !strings.HasPrefix(page, "before\n"+pageBegin) || !strings.HasSuffix(page, pageEnd+"after\n") || strings.Contains(page, "old\n") ||
		strings.Count(page, "### Goals") != 1 || !strings.Contains(page, "| postern | 7000 |") {
		t.Errorf("%v\n%s", err, page)
	}
	if _, err := replacePart("no marks", ""); err == nil {
		t.Error("a page without marks was changed")
	}
	for _, name := range []string{"performance-rate.svg", "performance-cpu.svg"} {
		svg, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		rectangles, d := 0, xml.NewDecoder(svg)
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
				rectangles++
			}
		}
		if want := 1 + 3 + 3; rectangles != want { // background, legend, bars
			t.Errorf("%s has %d rectangles, want %d", name, rectangles, want)
		}
		svg.Close()
	}
}

func TestPlotsOfNothingAreNotBroken(t *testing.T) {
	if svg := plot("nothing", nil); !strings.Contains(svg, "</svg>") || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Error(svg)
	}
}

func TestRoundsLastAsLongAsTheyShould(t *testing.T) {
	p := pace{duration: 2 * time.Second}
	for rate, want := range map[float64]int{1: 32, 100: 200, 5000: 10_000, 1e9: 200_000} {
		if got := p.size(rate); got != want {
			t.Errorf("%v a second: %d messages, want %d", rate, got, want)
		}
	}
	if got := (pace{messages: 7}).size(1000); got != 7 {
		t.Errorf("%d messages", got)
	}
}
