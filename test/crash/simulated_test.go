package crash

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// witness opens surviving disks and says what is wrong with them.
type witness struct {
	w    *world
	seen map[[sha256.Size]byte]bool
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := cast(t)
	w.Configure()
	return &witness{w: w, seen: map[[sha256.Size]byte]bool{}}
}

// examine makes the disk that a power cut at a line leaves, starts the gateway on it and compares. It returns nothing
// at once when it has seen the same disk under the same demands.
func (v *witness) examine(s story, d *disk, at int, how survival, rng *rand.Rand) (wrong []string, examined bool) {
	v.w.T.Helper()
	if err := os.RemoveAll(v.w.data()); err != nil {
		v.w.T.Fatal(err)
	}
	if err := d.survive(v.w.data(), how, rng); err != nil {
		v.w.T.Fatal(err)
	}
	if key := v.fingerprint(s, at); v.seen[key] {
		return nil, false
	} else {
		v.seen[key] = true
	}
	arrived := len(v.w.Hosts["mx.taken.test"].Messages())
	arrivedLater := len(v.w.Hosts["mx.later.test"].Messages())
	reported := len(v.w.Home().Messages())
	if !v.w.Serves() {
		return []string{"the gateway does not start:\n" + lastLines(v.w.Log(), 3)}, true
	}
	defer v.w.Kill()
	v.w.drained()
	messages := append(v.w.Hosts["mx.taken.test"].Messages()[arrived:], v.w.Hosts["mx.later.test"].Messages()[arrivedLater:]...)
	reports := v.w.Home().Messages()[reported:]
	traces := v.w.Traces("trace", "--limit", "10000")
	for _, f := range s.facts {
		wrong = append(wrong, f.wrong(at, s.time(at), messages, reports, traces)...)
	}
	inForce := -1
	if m := regexp.MustCompile(`rule-(\d+)`).FindStringSubmatch(v.w.Run("", "rules", "list").Stdout); m != nil {
		fmt.Sscan(m[1], &inForce) // digits
	}
	for i, line := range s.rules {
		if line < at && inForce < i+1 {
			wrong = append(wrong, fmt.Sprintf("rule-%d was told to be in force, and rule-%d is", i+1, inForce))
		}
	}
	return wrong, true
}

// wrong compares one letter with what a gateway started after the cut, at a line and a time, makes of it.
func (f fact) wrong(at int, cut time.Time, messages, reports []partner.Message, traces []harness.Trace) (out []string) {
	says := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("%s to %s (250 at %d, end told at %d): ", f.letter.mark, f.to, f.acceptedAt, f.endedAt)+fmt.Sprintf(format, args...))
	}
	arrived := 0
	for _, m := range messages {
		if is, whole := f.letter.in(m); is {
			if arrived++; !whole {
				says("came in part")
			}
		}
	}
	var mine, about []harness.Trace
	for _, tr := range traces {
		if tr.To == f.to {
			mine = append(mine, tr)
		} else if tr.About == f.id {
			about = append(about, tr)
		}
	}
	end, wantReports := "delivered", 0
	if f.bounces() {
		end, wantReports = "failed", 1
	}
	switch {
	case len(mine) > 1:
		says("there are %d deliveries", len(mine))
	case len(mine) == 0 && f.acceptedAt < at:
		says("answered 250 and not there")
	case len(mine) == 1 && mine[0].State != end:
		says("it is %s, want %s", mine[0].State, end)
	case len(mine) == 1 && len(about) != wantReports:
		says("there are %d reports, want %d", len(about), wantReports)
	case f.endedAt < at && arrived > 0:
		says("told to be delivered, and sent again")
	case arrived > 1:
		says("came %d times", arrived)
	case len(mine) == 1 && !f.bounces() && arrived == 0 && (f.arrived.IsZero() || f.arrived.After(cut)):
		says("it is delivered, and came neither before the cut nor after it")
	}
	if id := reportOf(reports, f.letter); id != "" && (f.reportedAt < at && f.bounces() || f.endedAt < at && id != f.report) {
		says("a second report goes out: %s, the first was %s", id, f.report)
	}
	return out
}

// fingerprint is that of the data folder as it lies there and of what is demanded of it.
func (v *witness) fingerprint(s story, at int) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range s.facts {
		fmt.Fprint(h, f.acceptedAt < at, f.endedAt < at, f.reportedAt < at)
	}
	for _, line := range s.rules {
		fmt.Fprint(h, line < at)
	}
	err := filepath.WalkDir(v.w.data(), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		fmt.Fprintf(h, "%s %d\n", p, len(b))
		h.Write(b)
		return err
	})
	if err != nil {
		v.w.T.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// trials examines surviving disks of a story: of all cuts, or of as many as it may.
func (s story) trials(t *testing.T, seed uint64, most int) {
	kindsOfLoss := []survival{nothing, some, newestTorn, some, everything}
	type trial struct {
		at  int
		how survival
	}
	var all []trial
	for _, at := range s.cuts() {
		for _, how := range kindsOfLoss {
			all = append(all, trial{at, how})
		}
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	if most < len(all) {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:most]
		slices.SortStableFunc(all, func(a, b trial) int { return a.at - b.at })
	}
	const workers = 2
	for worker := range workers {
		t.Run(fmt.Sprintf("witness %d", worker), func(t *testing.T) {
			t.Parallel()
			v := newWitness(t)
			d, left, examined, start := s.before(), moments(s.calls), 0, time.Now()
			for i, tr := range all {
				if i%workers != worker {
					continue
				}
				left = d.play(left, tr.at)
				wrong, new := v.examine(s, d, tr.at, tr.how, rand.New(rand.NewPCG(seed, uint64(i)+3)))
				for _, w := range wrong {
					t.Errorf("seed %d, trial %d: cut at line %d, %s survives: %s", seed, i, tr.at, tr.how, w)
				}
				if new {
					examined++
				}
			}
			if d.err != nil {
				t.Error(d.err)
			}
			t.Logf("%d disks of %d cuts, %d calls: %d different ones examined in %v", len(all)/workers, len(s.cuts()), len(s.calls), examined,
				time.Since(start).Round(time.Second))
		})
	}
}

func TestWhateverOfTheDiskSurvivesNothingIsLost(t *testing.T) {
	t.Parallel()
	seed := harness.Seed(t)
	s := tell(t, seed, either(0, 6))
	s.trials(t, seed, either(16, 4000))
}

func TestWhateverOfTheDiskSurvivesACrashInRecoveryNothingIsLost(t *testing.T) {
	t.Parallel()
	seed := harness.Seed(t)
	for range either(1, 4) {
		s := tell(t, seed, 0).recovery(t, seed)
		s.trials(t, seed, either(8, 1000))
		seed++
	}
}

// The controls of this level: recordings from which syncs are left out, all of them or only those of one thing. Each
// must lose something that was acknowledged.
func TestADiskWithoutSyncsIsNoticed(t *testing.T) {
	t.Parallel()
	s := tell(t, harness.Seed(t), 0)
	spool := s.before().root + "/spool"
	body := func(c call) bool { return strings.HasPrefix(c.on, spool+"/") }
	v := newWitness(t)
	for what, left := range map[string]func(call) bool{
		"all":             func(call) bool { return true },
		"of bodies":       body,
		"of their folder": func(c call) bool { return c.on == spool },
		"of the log":      func(c call) bool { return !body(c) && c.on != spool && c.on != s.before().root },
	} {
		cut := s
		cut.calls = slices.DeleteFunc(slices.Clone(s.calls), func(c call) bool {
			return (c.name == "fsync" || c.name == "fdatasync") && left(c)
		})
		if !cut.loses(v) {
			t.Errorf("the syncs %s are left out, and nothing is lost", what)
		}
	}
}

// loses reports whether a cut while a large letter is on its way, of which nothing survives that was not synced, loses
// something.
func (s story) loses(v *witness) bool {
	v.w.T.Helper()
	d, left := s.before(), moments(s.calls)
	for _, at := range s.cuts() {
		left = d.play(left, at)
		for _, f := range s.facts {
			if len(f.letter.content) > 100_000 && f.acceptedAt < at && at <= f.endedAt {
				if wrong, _ := v.examine(s, d, at, nothing, nil); len(wrong) > 0 {
					v.w.T.Log(wrong[0])
					return true
				}
			}
		}
	}
	return false
}
