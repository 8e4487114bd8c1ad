package crash

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/test/harness"
)

// call is one system call of a recording. The calls of all threads stand in one order: a call holds from the line where
// it was entered to the line where it returned, and calls that overlap happened side by side.
type call struct {
	begin, end int       // lines of the recording, from 1; end is 0 when the process ended inside the call
	when       time.Time // it was entered
	name       string
	fd         int    // of the first argument; -1 when it is no descriptor
	on         string // what strace says the descriptor is: a path, "TCP:[...]", "UNIX-STREAM:[...]"
	args       string // after the descriptor, as strace prints them
	ret        int64  // -1 after an error
	errno      string
	injected   bool // the kernel never did it: strace made up the result
	unknown    bool // nobody knows the result: the process ended inside the call
}

// seen are the calls that change files or speak to somebody, and those that say what a descriptor is.
const seen = "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync,syncfs,sync_file_range," +
	"truncate,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlinkat," +
	"lseek,read,readv,close,dup,dup2,dup3,copy_file_range,splice,sendfile,mmap,io_uring_setup,connect,sendto,sendmsg"

// record makes a world's gateway run under strace from its next start on, and returns where the recording will be. What
// is more is further options, such as an injection.
func record(t *testing.T, w *world, more ...string) (path string) {
	t.Helper()
	path = filepath.Join(w.Dir, "recording.strace")
	w.Under = append(straced(t, path), more...)
	return path
}

// straced is the command of strace that records a program into a file. -D makes strace the child and leaves the
// program in its place, so that signals go to it. Strings are in hexadecimal digits, and whole.
func straced(t *testing.T, path string) []string {
	t.Helper()
	needsStrace(t)
	return []string{"strace", "-D", "-f", "--seccomp-bpf", "-qq", "-ttt", "-yy", "-xx", "-s", "33554432", "-e", "signal=none", "-e", "trace=" + seen, "-o", path}
}

// syncsLeftOut is the failing control of these tests: the kernel does not sync, and says that it has.
func syncsLeftOut() []string { return []string{"-e", "inject=fsync,fdatasync:retval=0"} }

// needsStrace skips, or fails with CI set, where programs cannot be traced.
func needsStrace(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		unavailable(t, "there is no strace; run test/prepare.sh crash")
	}
	if out, err := exec.Command(path, "-f", "--seccomp-bpf", "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		unavailable(t, fmt.Sprintf("strace cannot trace here: %v %s", err, out))
	}
}

// unavailable ends a test that lacks something of the machine.
func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("the crash tests need this: %s", why)
	}
	t.Skip(why)
}

// recorded reads the recording of a process that has ended.
func recorded(t *testing.T, path string) []call {
	t.Helper()
	// strace outlives the program by a moment. It holds the file open until it has written all of it.
	harness.Eventually(t, harness.Patience, "strace has ended", func() bool { return !heldOpen(path) })
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	calls, err := parse(f)
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

// heldOpen reports whether a process has a file open.
func heldOpen(path string) bool { return anyOpen(func(open string) bool { return open == path }) }

// anyOpen reports whether a process has a file open whose path ok accepts.
func anyOpen(ok func(path string) bool) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && ok(to) {
			return true
		}
	}
	return false
}

// descriptor is a first argument with what strace says it is.
var descriptor = regexp.MustCompile(`^(-?\d+|AT_FDCWD)<(.*?)>(?:, |$)`)

// parse reads what `strace -f -ttt -yy -xx` writes.
func parse(r io.Reader) ([]call, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	var calls []call
	type entered struct {
		text string
		at   int // in calls
	}
	open := map[string]entered{} // by thread
	for line := 1; ; line++ {
		text, err := in.ReadString('\n')
		if err == io.EOF && text == "" {
			return calls, nil
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		thread, rest, ok := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		when, rest := clock(strings.TrimLeft(rest, " "))
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d: %.100q has no thread", line, text)
		case strings.HasPrefix(rest, "+++") || strings.HasPrefix(rest, "---"):
		case strings.HasSuffix(rest, " <unfinished ...>"), strings.HasSuffix(rest, " <detached ...>"): // the thread died in it
			begun := rest[:strings.LastIndex(rest, " <")]
			c, err := understood(begun + ") = ?")
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			c.begin, c.when = line, when
			open[thread] = entered{begun, len(calls)}
			calls = append(calls, c)
		case strings.HasPrefix(rest, "<... "):
			begun, ok := open[thread]
			_, more, resumes := strings.Cut(rest, " resumed>")
			if !ok || !resumes {
				return nil, fmt.Errorf("line %d: %.100q goes on and did not begin", line, rest)
			}
			delete(open, thread)
			c, err := understood(begun.text + more)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			c.begin, c.when = calls[begun.at].begin, calls[begun.at].when
			if !c.unknown {
				c.end = line
			}
			calls[begun.at] = c
		default:
			c, err := understood(rest)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			c.begin, c.when = line, when
			if !c.unknown {
				c.end = line
			}
			calls = append(calls, c)
		}
	}
}

// clock takes the time from the beginning of a line, where there is one.
func clock(rest string) (time.Time, string) {
	word, after, _ := strings.Cut(rest, " ")
	seconds, micros, ok := strings.Cut(word, ".")
	sec, errSec := strconv.ParseInt(seconds, 10, 64)
	usec, errUsec := strconv.ParseInt(micros, 10, 64)
	if !ok || errSec != nil || errUsec != nil {
		return time.Time{}, rest
	}
	return time.Unix(sec, usec*1000), after
}

// noResult is what strace sometimes writes where the program was killed inside a call: -1, and no error with it.
const noResult = "18446744073709551615"

// understood reads one call that is written on one line.
func understood(text string) (call, error) {
	name, rest, ok := strings.Cut(text, "(")
	equals := strings.LastIndex(rest, "= ") // strings are in hexadecimal digits: this one is strace's own
	if !ok || equals < 0 || !strings.HasSuffix(strings.TrimRight(rest[:equals], " "), ")") {
		return call{}, fmt.Errorf("%.100q, which ends with %q, is no call", text, text[max(0, len(text)-100):])
	}
	c := call{name: name, args: strings.TrimSuffix(strings.TrimRight(rest[:equals], " "), ")"), fd: -1, ret: -1}
	result := rest[equals+2:]
	if result == noResult {
		result = "?"
	}
	c.unknown = result == "?" // and not "? ERESTARTSYS": such a call did nothing
	if number := result[:len(result)-len(strings.TrimLeft(result, "-0123456789abcdefx"))]; number != "" {
		ret, err := strconv.ParseInt(number, 0, 64)
		if err != nil {
			return call{}, fmt.Errorf("%.200q: %w", text, err)
		}
		c.ret = ret
		result = result[len(number):]
	}
	c.injected = strings.Contains(result, "(INJECTED)")
	if c.ret == -1 {
		c.errno, _, _ = strings.Cut(strings.TrimSpace(strings.TrimPrefix(result, "?")), " ")
	}
	if d := descriptor.FindStringSubmatch(c.args); d != nil {
		if d[1] != "AT_FDCWD" {
			n, err := strconv.Atoi(d[1])
			if err != nil {
				return call{}, fmt.Errorf("%.200q: %w", text, err)
			}
			c.fd = n
		}
		c.on, c.args = plain(d[2]), c.args[len(d[0]):]
	} else if n, _, ok := strings.Cut(c.args, ","); ok || n != "" {
		if fd, err := strconv.Atoi(n); err == nil { // a descriptor that is none, or already closed
			c.fd = fd
			c.args = strings.TrimPrefix(strings.TrimPrefix(c.args, n), ", ")
		}
	}
	return c, nil
}

// plain undoes strace's hexadecimal digits in a text that may be mixed.
func plain(text string) string {
	if !strings.Contains(text, `\x`) {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if i+3 < len(text) && text[i] == '\\' && text[i+1] == 'x' {
			if b, err := hex.DecodeString(text[i+2 : i+4]); err == nil {
				out.Write(b)
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// text are the strings among a call's arguments, in order. whole is false when strace has shortened one.
func (c call) text() (out []string, whole bool) {
	whole = true
	for rest := c.args; ; {
		_, quoted, ok := strings.Cut(rest, `"`)
		if !ok {
			return out, whole
		}
		digits, after, ok := strings.Cut(quoted, `"`)
		b, err := hex.DecodeString(strings.ReplaceAll(digits, `\x`, ""))
		whole = whole && ok && err == nil && !strings.HasPrefix(after, "...")
		out, rest = append(out, string(b)), after
	}
}

// data is what a call wrote, as far as it did; nil when it failed. What a call did that never returned is all of it.
func (c call) data() ([]byte, error) {
	if c.ret < 0 && c.end != 0 {
		return nil, nil
	}
	pieces, whole := c.text()
	if !whole {
		return nil, fmt.Errorf("line %d: the recording has not all of the data", c.begin)
	}
	all := []byte(strings.Join(pieces, ""))
	if c.ret >= 0 {
		if c.ret > int64(len(all)) {
			return nil, fmt.Errorf("line %d: %s wrote %d bytes and the recording has %d", c.begin, c.name, c.ret, len(all))
		}
		all = all[:c.ret]
	}
	return all, nil
}

// number is the n-th argument after the descriptor, counted from the end: 0 is the last.
func (c call) number(fromEnd int) (int64, error) {
	parts := strings.Split(c.args, ", ")
	if fromEnd >= len(parts) {
		return 0, fmt.Errorf("line %d: %s(%.100s) has too few arguments", c.begin, c.name, c.args)
	}
	return strconv.ParseInt(parts[len(parts)-1-fromEnd], 0, 64)
}

// said reports whether a call speaks over a connection of a kind ("TCP:", "UNIX-STREAM:"), and what it says.
func (c call) said(kind string) (string, bool) {
	switch c.name {
	case "write", "writev", "sendto", "sendmsg":
	default:
		return "", false
	}
	if !strings.HasPrefix(c.on, kind) {
		return "", false
	}
	pieces, _ := c.text()
	return strings.Join(pieces, ""), true
}

func TestARecordingIsReadAsItWasWritten(t *testing.T) {
	calls, err := parse(strings.NewReader(`10 1795000000.000250 openat(AT_FDCWD<\x2f\x64>, "\x2f\x64\x2f\x61", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 9<\x2f\x64\x2f\x61>
10 write(9<\x2f\x64\x2f\x61>, "\x6f\x6e\x65", 3 <unfinished ...>
11 pwrite64(9<\x2f\x64\x2f\x61>, "\x74\x77\x6f", 3, 4096) = 2
10 <... write resumed>)              = 3
11 fdatasync(9<\x2f\x64\x2f\x61>)    = 0 (INJECTED)
11 fsync(9<\x2f\x64\x2f\x61>)        = -1 EIO (Input/output error) (INJECTED)
12 sendto(7<TCP:[127.0.0.1:25->127.0.0.1:4]>, "\x32\x35\x30", 3, 0, NULL, 0) = 3
12 writev(7<UNIX-STREAM:[5->6]>, [{iov_base="\x61", iov_len=1}, {iov_base="\x62\x63", iov_len=2}], 2) = 3
13 read(8<\x2f\x64>,  <unfinished ...>
12 exit_group(0)                     = ?
13 <... read resumed>)               = ?
13 write(9<\x2f\x64\x2f\x61>, "\x63", 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
14 write(9<\x2f\x64\x2f\x61>, "\x61", 1 <detached ...>
15 write(9<\x2f\x64\x2f\x61>, "\x62", 1) = 18446744073709551615
12 +++ killed by SIGKILL +++
`))
	if err != nil {
		t.Fatal(err)
	}
	type short struct {
		begin, end int
		name, on   string
		fd         int
		ret        int64
		errno      string
		injected   bool
		data       string
	}
	want := []short{
		{1, 1, "openat", "/d", -1, 9, "", false, "/d/a"},
		{2, 4, "write", "/d/a", 9, 3, "", false, "one"},
		{3, 3, "pwrite64", "/d/a", 9, 2, "", false, "tw"},
		{5, 5, "fdatasync", "/d/a", 9, 0, "", true, ""},
		{6, 6, "fsync", "/d/a", 9, -1, "EIO", true, ""},
		{7, 7, "sendto", "TCP:[127.0.0.1:25->127.0.0.1:4]", 7, 3, "", false, "250"},
		{8, 8, "writev", "UNIX-STREAM:[5->6]", 7, 3, "", false, "abc"},
		{9, 0, "read", "/d", 8, -1, "", false, ""},
		{10, 0, "exit_group", "", 0, -1, "", false, ""},
		{12, 12, "write", "/d/a", 9, -1, "ERESTARTSYS", false, ""},
		{13, 0, "write", "/d/a", 9, -1, "", false, "a"},
		{14, 0, "write", "/d/a", 9, -1, "", false, "b"},
	}
	if len(calls) != len(want) {
		t.Fatalf("%d calls, want %d", len(calls), len(want))
	}
	for i, c := range calls {
		data := ""
		if pieces, _ := c.text(); len(pieces) > 0 && c.name != "openat" {
			b, err := c.data()
			if err != nil {
				t.Error(err)
			}
			data = string(b)
		} else if len(pieces) > 0 {
			data = pieces[0]
		}
		got := short{c.begin, c.end, c.name, c.on, c.fd, c.ret, c.errno, c.injected, data}
		if got != want[i] {
			t.Errorf("call %d is\n%+v, want\n%+v", i, got, want[i])
		}
	}
	if when := calls[0].when.UnixMicro(); when != 1795000000_000250 {
		t.Errorf("the time is %d", when)
	}
	if off, err := calls[2].number(0); err != nil || off != 4096 {
		t.Errorf("the offset is %d, %v", off, err)
	}
	for _, bad := range []string{"10 <... write resumed>) = 3\n", "10 what is this\n", "nothing\n"} {
		if _, err := parse(bytes.NewReader([]byte(bad))); err == nil {
			t.Errorf("%q is taken for a recording", bad)
		}
	}
}
