package crash

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"postern/test/harness"
)

// strace counts the calls of each thread by itself, and Go moves its work between threads; so "at the n-th call" needs
// a count over all threads. This is a tracer of its own, small: it runs the gateway, counts, and at one call does what
// it was told. It runs as a process of its own, because a tracer has to wait for all its children.

// tracerArgument is the first argument by which the test binary becomes a tracer.
const tracerArgument = "trace-and-break"

// What the tracer does. A point is a call that changes something outside the process: a file, a name, a connection. To
// be killed before a call that changes nothing is the same as to be killed before the next point. A file point is one
// on the data folder.
const (
	orderKill   = "kill"   // kill N: at the N-th point from now on, before it happens
	orderFail   = "fail"   // fail N ERRNO: at the N-th file point from now on, which does not happen
	orderForget = "forget" // forget: from now on writes to the data folder do not happen and seem to
	orderCount  = "count"  // count: how many points there were since the last order, file points, and which of them was the first sync
)

// breaker is the test's end of a tracer.
type breaker struct {
	w    *world
	l    net.Listener
	conn net.Conn
	r    *bufio.Reader
	path string // of the file where the tracer says at which call it did something
}

// breaking makes a world's gateway run under a tracer from its next start on.
func breaking(t *testing.T, w *world) *breaker {
	t.Helper()
	needsTracer(t)
	l, err := net.Listen("unix", filepath.Join(w.Dir, "tracer"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b := &breaker{w: w, l: l, path: filepath.Join(w.Dir, "broken")}
	w.Under = []string{self, tracerArgument, l.Addr().String(), b.path, w.data()}
	return b
}

// serve starts the gateway under the tracer, and waits until it takes mail and nothing is in its queue.
func (b *breaker) serve() {
	t := b.w.T
	t.Helper()
	_ = os.Remove(b.path) // of the run before
	b.w.Serve()
	if b.conn != nil {
		b.conn.Close()
	}
	var err error
	if b.conn, err = b.l.Accept(); err != nil {
		t.Fatal(err)
	}
	b.r = bufio.NewReader(b.conn)
	b.w.drained()
}

// order tells the tracer what to do and waits until it knows. The answer is empty when the gateway has ended.
func (b *breaker) order(words ...any) string {
	b.w.T.Helper()
	_ = b.conn.SetDeadline(time.Now().Add(harness.Patience)) // one that cannot be set shows at the read
	fmt.Fprintln(b.conn, words...)
	answer, _ := b.r.ReadString('\n')
	return strings.TrimSpace(answer)
}

// did says at which call the tracer did what it was told, "" when it did not.
func (b *breaker) did() string {
	text, _ := os.ReadFile(b.path) // missing when it did nothing
	return strings.TrimSpace(string(text))
}

// counted are the points and the file points since the last order, and which file point was the first sync.
func (b *breaker) counted() (points, files, sync int) {
	fmt.Sscan(b.order(orderCount), &points, &files, &sync) // all stay 0 when the gateway has ended
	return points, files, sync
}

// quiet waits until the gateway has ended or does nothing any more, and reports whether it still runs.
func (b *breaker) quiet() bool {
	last, same := -1, 0
	for same < 8 {
		select {
		case <-b.w.Process.Ended:
			return false
		case <-time.After(50 * time.Millisecond):
		}
		if points, _, _ := b.counted(); points == last {
			same++
		} else {
			last, same = points, 0
		}
	}
	return true
}

// needsTracer skips, or fails with CI set, where the tracer cannot work.
func needsTracer(t *testing.T) {
	t.Helper()
	if !canBreak {
		unavailable(t, "the tracer knows the registers of amd64 only")
	}
	needsStrace(t) // whoever may run strace may trace
}

// tracer is the other process: SOCKET NOTE FOLDER COMMAND...
func tracer(args []string) int {
	runtime.LockOSThread() // all of ptrace belongs to one thread
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
		return 3
	}
	tr := &traced{note: args[1], root: args[2], points: points(), result: map[int]int64{}}
	cmd := exec.Command(args[3], args[4:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
		return 3
	}
	tr.pid = cmd.Process.Pid
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range terms {
			_ = syscall.Kill(tr.pid, s.(syscall.Signal)) // it may have ended
		}
	}()
	go tr.obey(conn)
	return tr.run()
}

// traced is the process under the tracer.
type traced struct {
	pid    int
	note   string
	root   string
	points map[uint64]point
	result map[int]int64 // by thread: what the call it is inside, which does not happen, seems to return

	mu          sync.Mutex // guards what follows
	order       string
	n           int
	errno       syscall.Errno
	seen, files int // points and file points since the last order
	sync        int // the first file point that was a sync; 0 while there was none
}

// obey takes orders until the test goes away, and leaves nothing running.
func (tr *traced) obey(conn net.Conn) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		tr.mu.Lock()
		if words[0] == orderCount {
			fmt.Fprintln(conn, tr.seen, tr.files, tr.sync)
			tr.mu.Unlock()
			continue
		}
		tr.order, tr.n, tr.seen, tr.files, tr.sync = words[0], 0, 0, 0, 0
		if len(words) > 1 {
			tr.n, _ = strconv.Atoi(words[1]) // the test writes numbers
		}
		if len(words) > 2 {
			number, _ := strconv.Atoi(words[2])
			tr.errno = syscall.Errno(number)
		}
		tr.mu.Unlock()
		fmt.Fprintln(conn, "ok")
	}
	_ = syscall.Kill(tr.pid, syscall.SIGKILL) // as a rule it has ended
}

// ptraceExitKill kills the gateway when the tracer dies.
const ptraceExitKill = 0x100000

// run lets the process run until its end and returns its exit code.
func (tr *traced) run() int {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(tr.pid, &ws, syscall.WALL, nil); err != nil || !ws.Stopped() {
		return 3
	}
	if err := syscall.PtraceSetOptions(tr.pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|ptraceExitKill); err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
		return 3
	}
	known := map[int]bool{tr.pid: true}
	_ = syscall.PtraceSyscall(tr.pid, 0) // one that is gone is told by Wait4
	for {
		tid, err := syscall.Wait4(-1, &ws, syscall.WALL, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 3
		case ws.Exited() || ws.Signaled():
			if tid != tr.pid {
				continue
			}
			if ws.Signaled() {
				return 128 + int(ws.Signal())
			}
			return ws.ExitStatus()
		}
		deliver := 0
		switch sig := ws.StopSignal(); {
		case sig == syscall.SIGTRAP|0x80:
			tr.stopped(tid)
		case sig == syscall.SIGTRAP: // a clone, or the exec at the beginning
		case sig == syscall.SIGSTOP && !known[tid]: // a new thread
		default:
			deliver = int(sig)
		}
		known[tid] = true
		_ = syscall.PtraceSyscall(tid, deliver)
	}
}

// entry is what the kernel says of a stop at a call (struct ptrace_syscall_info).
type entry struct {
	op   uint8 // 1 at the entry, 2 at the return
	_    [7]byte
	_    [2]uint64
	nr   uint64
	args [6]uint64
	_    uint64
}

// stopped handles the entry into a call and the return from it.
func (tr *traced) stopped(tid int) {
	const getSyscallInfo = 0x420e
	var e entry
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(e), uintptr(unsafe.Pointer(&e)), 0, 0)
	switch {
	case errno != 0: // the thread is gone
	case e.op == 1:
		tr.entered(tid, e)
	case e.op == 2:
		if result, ok := tr.result[tid]; ok {
			delete(tr.result, tid)
			setResult(tid, result)
		}
	}
}

// entered decides what becomes of a call.
func (tr *traced) entered(tid int, e entry) {
	name, on := tr.point(tid, e)
	if name == "" {
		return
	}
	file := on == tr.root || strings.HasPrefix(on, tr.root+"/")
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.seen++
	if file {
		tr.files++
		if tr.sync == 0 && strings.HasSuffix(name, "sync") {
			tr.sync = tr.files
		}
	}
	switch {
	case tr.order == orderKill && tr.seen == tr.n:
		tr.say(name, on)
		_ = syscall.Kill(tr.pid, syscall.SIGKILL) // a call that was entered and not begun never happens
	case tr.order == orderFail && file && tr.files == tr.n:
		tr.say(name, on)
		skip(tid)
		tr.result[tid] = -int64(tr.errno)
	case tr.order == orderForget && file && slices.Contains([]string{"write", "pwrite64"}, name):
		tr.result[tid] = int64(e.args[2])
		skip(tid)
	}
}

// say notes at which call something was done.
func (tr *traced) say(name, on string) {
	switch rel, below := strings.CutPrefix(on, tr.root+"/"); {
	case below:
		on = rel
	case on == tr.root:
		on = "."
	}
	if err := os.WriteFile(tr.note, []byte(name+" "+on), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
	}
}

// point returns the name of a call and what it is about, "" when the call is no point.
func (tr *traced) point(tid int, e entry) (name, on string) {
	c, ok := tr.points[e.nr]
	if !ok {
		return "", ""
	}
	if c.path >= 0 {
		if on = tr.text(tid, uintptr(e.args[c.path])); strings.HasPrefix(on, "/proc/") {
			return "", "" // what it reads about itself, many times a second, changes nothing
		}
		return c.name, on
	}
	on, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tr.pid, int32(e.args[0]))) // of a bad descriptor: nothing
	if strings.HasPrefix(on, "anon_inode:") || strings.HasSuffix(on, "postern.log") {
		return "", "" // the runtime wakes itself; the log is no part of the data
	}
	return c.name, on
}

// text reads a string of the process.
func (tr *traced) text(tid int, at uintptr) string {
	var out []byte
	word := make([]byte, 8)
	for len(out) < 4096 {
		n, err := syscall.PtracePeekData(tid, at, word)
		if err != nil || n == 0 {
			return string(out)
		}
		if end := slices.Index(word[:n], 0); end >= 0 {
			return string(append(out, word[:end]...))
		}
		out, at = append(out, word[:n]...), at+uintptr(n)
	}
	return string(out)
}

// point is a call that changes something outside.
type point struct {
	name string
	path int // the argument that is a path; -1 when the first argument is a descriptor
}
