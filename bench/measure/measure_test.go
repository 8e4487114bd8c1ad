package measure

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestPercentilesAreNearestRanks(t *testing.T) {
	var s Samples
	for i := 100; i >= 1; i-- {
		s = append(s, time.Duration(i))
	}
	s = Merge(s[:30], nil, s[30:])
	for p, want := range map[float64]time.Duration{0: 1, 1: 1, 50: 50, 50.5: 51, 90: 90, 99: 99, 99.1: 100, 100: 100} {
		if got := s.Percentile(p); got != want {
			t.Errorf("p%v is %d, want %d", p, got, want)
		}
	}
	if got := (Samples{7}).Percentile(99); got != 7 {
		t.Errorf("p99 of one sample is %d", got)
	}
	if got := (Samples)(nil).Percentile(50); got != 0 {
		t.Errorf("p50 of nothing is %d", got)
	}
}

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		values         []float64
		median, spread float64
	}{
		{nil, 0, 0}, {[]float64{3}, 3, 0}, {[]float64{4, 2}, 3, 2. / 3}, {[]float64{9, 1, 5}, 5, 8. / 5},
	} {
		if got := Median(c.values); got != c.median {
			t.Errorf("the median of %v is %v", c.values, got)
		}
		if got := Spread(c.values); got != c.spread {
			t.Errorf("the spread of %v is %v", c.values, got)
		}
	}
}

func TestAStatLineIsReadWhateverTheNameIs(t *testing.T) {
	p, ok := parseStat([]byte("42 (a ) b (c) S 7 42 42 0 -1 4194304 100 200 0 0 11 22 33 44 20 0 1 0 999"))
	want := process{pid: 42, parent: 7, own: 330 * time.Millisecond, reaped: 770 * time.Millisecond}
	if !ok || p != want {
		t.Errorf("%+v, %v", p, ok)
	}
	for _, bad := range []string{"", "42", "42 (x", "42 (x) S 1 2"} {
		if _, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

// A keeper's processor time includes what children and grandchildren used that have ended.
func TestATreeKeepsTheTimeOfThoseWhoEnded(t *testing.T) {
	tree := Tree(os.Getpid())
	before := tree.CPU()
	// The inner shell works and ends before the outer one does.
	work := exec.Command("sh", "-c", `sh -c 'i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done'; true`)
	if err := work.Run(); err != nil {
		t.Fatal(err)
	}
	used := work.ProcessState.UserTime() + work.ProcessState.SystemTime()
	if got := tree.CPU() - before; got < used-2*tick || got > used+10*tick {
		t.Errorf("the tree says %v, the system %v", got, used)
	}
}

func TestATreeSeesItsProcessesAndTheirMemory(t *testing.T) {
	tree := Tree(os.Getpid())
	live := tree.Processes()
	sleeper := exec.Command("cat") // it says when it runs; right after its start a process has hardly any memory yet
	in, errIn := sleeper.StdinPipe()
	out, errOut := sleeper.StdoutPipe()
	if err := errors.Join(errIn, errOut, sleeper.Start()); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := fmt.Fprintln(in, "are you there?"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if got := tree.Processes(); got != live+1 {
		t.Errorf("%d processes, want %d", got, live+1)
	}
	if got := tree.Resident(); got < 100<<10 {
		t.Errorf("%d bytes resident", got)
	}
	if tree.Memory() == 0 || tree.Peak() < tree.Resident() {
		t.Errorf("proportional %d, peak %d, resident %d", tree.Memory(), tree.Peak(), tree.Resident())
	}
	tree.Kill()
	if got := tree.Processes(); got != 0 {
		t.Errorf("%d processes after Kill", got)
	}
	_ = sleeper.Wait() // Kill has waited for it already
}
