package crash

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// volumeSize is that of a data folder: what is kept free of it for the mail in the queue must be a small part.
const volumeSize = 640 << 20

// onVolume is a world whose data folder is a volume, with a rule of its own and everything synced.
func onVolume(t *testing.T, kind string) (*world, *volume) {
	t.Helper()
	w := newWorld(t)
	w.Domain("taken.test", partner.Behaviour{Fault: partner.Busy})
	w.Domain("refused.test", w.Refuses("mx.refused.test"))
	w.Settings["delivery.idle_time"] = "0" // a session goes on as its server was when it began
	v := newVolume(t, kind, filepath.Join(w.Dir, "image"), volumeSize)
	v.mount(w.data())
	w.Start("")
	return w, v
}

// powerCut ends everything at once and brings the volume back. It reports whether the gateway starts again.
func (w *world) powerCut(v *volume) bool {
	w.T.Helper()
	v.cut()
	w.Kill()
	v.unmount()
	v.mount(w.data())
	w.Under = nil
	return w.Serves()
}

func TestAPowerCutAfterThe250LosesNothing(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			w, v := onVolume(t, fs)
			taken := w.Hosts["mx.taken.test"]
			for round := range either(1, 20) {
				for _, k := range kinds() {
					l := newLetter(fmt.Sprintf("power-%s-%d", k.name, round), k.size)
					l.send(w, k.bdat, "anna@home.test", "a@taken.test")
					if !w.powerCut(v) {
						t.Fatalf("after %s the gateway does not start:\n%s", k.name, w.Log())
					}
					taken.Set(w.Good("mx.taken.test"))
					w.drained()
					for _, wrong := range miscounted([]try{{letter: l, accepted: true}}, taken.Messages(), nil) {
						t.Error(wrong)
					}
					taken.Set(partner.Behaviour{Fault: partner.Busy})
				}
			}
		})
	}
}

func TestAPowerCutUndoesNothingThatWasTold(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			w, v := onVolume(t, fs)
			taken := w.Hosts["mx.taken.test"]
			taken.Set(w.Good("mx.taken.test"))

			w.Apply(harness.Force("kept", `"elsewhere.test"`))
			if !w.powerCut(v) {
				t.Fatalf("after a change of rules the gateway does not start:\n%s", w.Log())
			}
			w.Postern("rules", "show", "kept")

			settled := newLetter("told-settled", 500)
			settled.send(w, false, "anna@home.test", "a@taken.test")
			w.Await("a@taken.test", harness.In("delivered"))
			if !w.powerCut(v) {
				t.Fatalf("after a settle the gateway does not start:\n%s", w.Log())
			}
			w.drained()

			bounced := newLetter("told-bounced", 200_000)
			bounced.send(w, false, bounced.sender(), "b@refused.test")
			w.Await("b@refused.test", harness.In("failed"))
			if !w.powerCut(v) {
				t.Fatalf("after a bounce the gateway does not start:\n%s", w.Log())
			}
			w.drained()
			w.Await("b@refused.test", harness.In("failed"))
			for _, wrong := range miscounted([]try{{letter: settled, accepted: true, to: "a@taken.test"},
				{letter: bounced, accepted: true, to: "b@refused.test"}}, taken.Messages(), w.Home().Messages()) {
				t.Error(wrong)
			}
		})
	}
}

// The control of this level: with the syncs left out a message is lost.
func TestAPowerCutWithoutSyncsIsNoticed(t *testing.T) {
	needsStrace(t)
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			lost := 0
			for _, k := range kinds()[:2] {
				w, v := onVolume(t, fs)
				w.Stop()
				w.Under = append([]string{"strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"}, syncsLeftOut()...)
				w.Serve()
				l := newLetter("unsynced-"+k.name, k.size)
				l.send(w, k.bdat, "anna@home.test", "a@taken.test")
				starts := w.powerCut(v)
				if !starts {
					lost++
					continue
				}
				w.Hosts["mx.taken.test"].Set(w.Good("mx.taken.test"))
				w.drained()
				lost += len(miscounted([]try{{letter: l, accepted: true}}, w.Hosts["mx.taken.test"].Messages(), nil))
			}
			if lost == 0 {
				t.Error("nothing was synced, the power was cut, and nothing is missed")
			}
		})
	}
}

func TestACopyTakenUnderLoadHasAllThatWasAcknowledged(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			w := town(t)
			shelf := newVolume(t, "xfs", filepath.Join(w.Dir, "shelf"), 20*volumeSize)
			shelf.mount(filepath.Join(w.Dir, "shelf.d"))
			v := newVolume(t, fs, filepath.Join(shelf.at, "image"), volumeSize)
			v.mount(w.data())
			w.Start(townRules())
			l := startLoad(w.Addr, 3)
			type taken struct {
				v        *volume
				accepted []string
				at       time.Time
			}
			var copies []taken
			for n := range either(1, 20) {
				time.Sleep(700 * time.Millisecond)
				before := l.acceptedByNow()
				copied := v.copy(fmt.Sprintf("%s-%d", v.image, n))
				copies = append(copies, taken{copied, before, time.Now()})
			}
			l.stop()
			w.drained()
			w.Stop()
			v.unmount()
			for _, c := range copies {
				compared(t, c.v, c.accepted, arrivedBy(w, c.at))
			}
		})
	}
}

// compared starts a gateway of its own on a copy and compares what it knows and delivers with what was acknowledged
// before the copy was taken. came is what had arrived by then.
func compared(t *testing.T, v *volume, accepted []string, came map[string]bool) {
	t.Helper()
	w := town(t)
	v.mount(w.data())
	w.Start("")
	w.drained()
	l, before := &load{}, len(came)
	for _, host := range []string{"mx.taken.test", "mx.sealed.test"} {
		for _, wrong := range l.arrivals(host, w.Hosts[host].Messages(), nil) {
			t.Error(wrong)
		}
	}
	maps.Copy(came, arrivedBy(w, time.Now()))
	deliveries := map[string]map[string]string{} // message-id to recipient to state
	ids, reports := map[string]string{}, map[string]int{}
	for _, tr := range w.Traces("trace", "--limit", "1000000") {
		if tr.Kind == "dsn" {
			reports[tr.About]++
			continue
		}
		if deliveries[tr.MessageID] == nil {
			deliveries[tr.MessageID] = map[string]string{}
		}
		deliveries[tr.MessageID][tr.To] = tr.State
		ids[tr.MessageID] = tr.Message
	}
	for _, mark := range accepted {
		id := "<" + mark + "@home.test>"
		for to, state := range map[string]string{"a@taken.test": "delivered", "b@refused.test": "failed", "c@expired.test": "failed", "d@sealed.test": "delivered"} {
			if got := deliveries[id][to]; got != state {
				t.Errorf("%s was answered 250 before the copy, and there its delivery to %s is %q, want %q", mark, to, got, state)
			}
		}
		for _, host := range []string{"mx.taken.test", "mx.sealed.test"} {
			if !came[host+" "+mark] {
				t.Errorf("%s was answered 250 before the copy, and came to %s neither before it nor from it", mark, host)
			}
		}
		if n := reports[ids[id]]; n != 2 {
			t.Errorf("%s has %d reports, want 2", mark, n)
		}
	}
	t.Logf("%d acknowledged; %d deliveries had come, and %d with those from the copy", len(accepted), before, len(came))
	w.Stop()
	v.unmount()
	if err := os.Remove(v.image); err != nil { // its blocks make room for the others
		t.Error(err)
	}
}

// arrivedBy is what had come to healthy servers by a time, as host and mark.
func arrivedBy(w *world, at time.Time) map[string]bool {
	out := map[string]bool{}
	for _, host := range []string{"mx.taken.test", "mx.sealed.test"} {
		for _, m := range w.Hosts[host].Messages() {
			if mark := marks.FindStringSubmatch(m.Data); mark != nil && m.At.Before(at) {
				out[host+" "+mark[1]] = true
			}
		}
	}
	return out
}
