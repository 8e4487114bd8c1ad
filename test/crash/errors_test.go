package crash

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// fault is what came of one call on the data folder that failed once.
type fault struct {
	n      int
	errno  syscall.Errno
	call   string // and the file
	try    try    // the message the fault came upon
	reply  string // to it; "" when the connection ended
	next   string // to a message in the same process after the fault; "" when it has ended or says nothing
	after  string // to a message after a restart
	others []try  // those messages
}

// sync reports whether the call was a sync by which the gateway makes a promise good. One is none: SQLite syncs the
// folder of its log once after each start and passes over an error. The gateway has synced that folder itself by then,
// see sqliteSyncsFolder.
func (f fault) sync() bool {
	call, file, _ := strings.Cut(f.call, " ")
	return call == "fsync" || call == "fdatasync" && file != "."
}

// unlawful says what the gateway did that it must not do after a fault. That nothing acknowledged is lost is checked by
// miscounted.
func (f fault) unlawful() (out []string) {
	says := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("file call %d, %s, fails with %q: ", f.n, f.call, f.errno)+fmt.Sprintf(format, args...))
	}
	if f.reply != "" && !strings.HasPrefix(f.reply, "250") && f.reply[0] != '4' {
		says("the client hears %q", f.reply)
	}
	if f.next != "" && !strings.HasPrefix(f.next, "250") && f.next[0] != '4' {
		says("the next client hears %q", f.next)
	}
	switch took := strings.HasPrefix(f.next, "250"); {
	case f.sync() && took:
		says("nobody knows what is on the disk, and the same process goes on and says %q", f.next)
	case !f.sync() && f.errno == syscall.ENOSPC && !took:
		says("there is room again, and the next client hears %q", f.next)
	}
	if !strings.HasPrefix(f.after, "250") {
		says("after a restart the client hears %q", f.after)
	}
	return out
}

// faulty sends a letter while the n-th file call from its content on fails, another when the fault is gone, and one
// after a restart.
func (b *breaker) faulty(t *testing.T, s span, n int, errno syscall.Errno) fault {
	t.Helper()
	b.serve()
	f := fault{n: n, errno: errno}
	name := fmt.Sprintf("%s-%d-%d", s.name, n, int(errno))
	f.try, f.reply = b.hand(s, "fault-"+name, func() { b.order(orderFail, n, int(errno)) })
	alive := b.quiet()
	f.call = b.did()
	if b.order(orderKill, 0); alive { // the fault is gone
		var next try
		next, f.next = b.hand(s, "next-"+name, func() {})
		f.others = append(f.others, next)
		b.quiet()
	}
	b.end()
	b.serve()
	after, reply := b.hand(s, "after-"+name, func() {})
	f.after, f.others = reply, append(f.others, after)
	b.quiet()
	b.end()
	f.try.killed = f.call // what was on its way when the store stopped may come again
	for i := range f.others {
		f.others[i].killed = f.call
	}
	return f
}

func TestACallThatFailsLosesNothing(t *testing.T) {
	for _, s := range spans() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := cast(t)
			b := breaking(t, w)
			b.startBroken(t)
			files, _ := b.fileCalls(s)
			var all []try
			for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
				for _, n := range everyOne(files, either(1, files)) {
					f := b.faulty(t, s, n, errno)
					for _, wrong := range f.unlawful() {
						t.Error(wrong)
					}
					t.Logf("%d, %s, %v: %q, then %q, then %q", n, f.call, errno, f.reply, f.next, f.after)
					all = append(append(all, f.try), f.others...)
				}
			}
			b.serve()
			count(t, all, w.Hosts["mx.taken.test"], w.Home())
		})
	}
}

// The control of this level: a sync that is left out, so that the gateway goes on as if it had worked.
func TestASyncThatFailsAndIsPassedOverIsNoticed(t *testing.T) {
	t.Parallel()
	w := cast(t)
	b := breaking(t, w)
	b.startBroken(t)
	s := spans()[1]
	_, sync := b.fileCalls(s)
	f := b.faulty(t, s, sync, 0)
	for more := 4; !f.sync() && more > 0; more-- { // another call of the gateway came in between
		f = b.faulty(t, s, sync, 0)
	}
	if !f.sync() || len(f.unlawful()) == 0 {
		t.Errorf("%q is left out, and nothing is wrong with %q, %q, %q", f.call, f.reply, f.next, f.after)
	}
}

// fileCalls counts the file calls of a span, tells which of them is the first sync, and ends the gateway.
func (b *breaker) fileCalls(s span) (files, sync int) {
	b.w.T.Helper()
	b.hand(s, "first", func() { b.order(orderKill, 0) })
	b.quiet()
	_, files, sync = b.counted()
	b.end()
	return files, sync
}
