package crash

import (
	"fmt"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"postern/test/harness"
)

// A change of rules under levels c and f: what the command line was told is in force stays in force.

// applies puts one rule in force and reports whether the gateway says that it is.
func (w *world) applies(name string) bool {
	w.T.Helper()
	file := w.Write("rules.toml", []byte(harness.Force(name, `"elsewhere.test"`)))
	return w.Run("", "rules", "apply", file).Code == 0
}

var ruleNames = regexp.MustCompile(`change-[0-9a-z-]+`)

// inForce is the name of the rule in force.
func (w *world) inForce() string {
	w.T.Helper()
	return ruleNames.FindString(w.Postern("rules", "list"))
}

// changing starts a gateway under the tracer and counts the points, and the file points, of a change of rules.
func changing(t *testing.T) (b *breaker, points, files int) {
	t.Helper()
	w := newWorld(t)
	b = breaking(t, w)
	b.startBroken(t)
	b.order(orderKill, 0)
	if !w.applies("change-first") {
		t.Fatal("the rules are not applied")
	}
	b.quiet()
	points, files, _ = b.counted()
	b.end()
	return b, points, files
}

func TestAChangeOfRulesKilledAtEveryCallIsThereOrNot(t *testing.T) {
	t.Parallel()
	b, points, _ := changing(t)
	before := "change-first"
	for _, n := range everyOne(points, either(3, points)) {
		b.serve()
		b.order(orderKill, n)
		name := fmt.Sprintf("change-%d", n)
		told := b.w.applies(name)
		b.quiet()
		call := b.did()
		b.end()
		b.serve()
		if now := b.w.inForce(); now != name && (told || now != before) {
			t.Errorf("killed before %q: %q is in force, %q was before, and the command line was told of the change: %v", call, now, before, told)
		} else {
			before = now
		}
		b.end()
	}
	b.serve()
}

func TestAChangeOfRulesDuringAFailingCallIsThereOrNot(t *testing.T) {
	t.Parallel()
	b, _, files := changing(t)
	before := "change-first"
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		for _, n := range everyOne(files, either(1, files)) {
			b.serve()
			b.order(orderFail, n, int(errno))
			name := fmt.Sprintf("change-%d-%d", n, int(errno))
			told := b.w.applies(name)
			alive := b.quiet()
			f := fault{n: n, errno: errno, call: b.did()}
			may := []string{before, name} // what may be in force after a restart
			if told {
				may = may[1:]
			}
			next := false
			if b.order(orderKill, 0); alive { // the fault is gone
				may = append(may, name+"-next")
				if next = b.w.applies(name + "-next"); next {
					may = may[len(may)-1:]
				}
			}
			switch {
			case next && f.sync():
				t.Errorf("%s failed with %q, and the same process changes rules after it", f.call, errno)
			case !next && errno == syscall.ENOSPC && f.call != "" && !f.sync():
				t.Errorf("%s failed with %q, there is room again, and the rules cannot be changed", f.call, errno)
			}
			b.end()
			b.serve()
			if before = b.w.inForce(); !slices.Contains(may, before) {
				t.Errorf("%s failed with %q: %q is in force, want one of %q", f.call, errno, before, may)
			}
			b.end()
		}
	}
	b.serve()
}
