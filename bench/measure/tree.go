package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Tree is a keeper process and everything below it. The keeper adopts what its children leave behind (see Adopt), so
// that nothing started below it is ever lost, and its own time is not counted: only that of what it keeps.
type Tree int

// process is what /proc/PID/stat says.
type process struct {
	pid, parent int
	own, reaped time.Duration // of itself, and of children that have ended and were waited for
}

// CPU returns the processor time, user and system, that everything below the keeper has used so far, processes that
// have ended included.
func (t Tree) CPU() time.Duration {
	var sum time.Duration
	all := processes()
	for _, p := range all {
		if p.pid == int(t) {
			sum += p.reaped
		}
	}
	for _, p := range below(all, int(t)) {
		sum += p.own + p.reaped
	}
	return sum
}

// Memory returns the resident memory of everything below the keeper, in bytes. What several processes share is counted
// once (proportional set size).
func (t Tree) Memory() int64 {
	var sum int64
	for _, p := range below(processes(), int(t)) {
		sum += kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid), "Pss:")
	}
	return sum
}

// Processes returns how many live below the keeper.
func (t Tree) Processes() int { return len(below(processes(), int(t))) }

// Kill ends everything below the keeper and waits until it is gone. It must be called in the keeper itself.
func (t Tree) Kill() {
	for range 1000 {
		live := below(processes(), int(t))
		if len(live) == 0 {
			return
		}
		for _, p := range live {
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended
		}
		Reap()
		time.Sleep(5 * time.Millisecond)
	}
}

// Reap waits for all children that have ended.
func Reap() {
	for {
		var status syscall.WaitStatus
		if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err != nil || pid <= 0 {
			return
		}
	}
}

// Adopt makes this process the parent of whatever its descendants leave behind.
func Adopt() error {
	const prSetChildSubreaper = 36
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return errno
	}
	return nil
}

// below returns the descendants of a process.
func below(all []process, root int) []process {
	children := map[int][]process{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
	}
	var out []process
	for next := []int{root}; len(next) > 0; next = next[1:] {
		for _, p := range children[next[0]] {
			out = append(out, p)
			next = append(next, p.pid)
		}
	}
	return out
}

// processes lists all of the machine.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what was read before an error is used
	var out []process
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		text, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		if p, ok := parseStat(text); ok {
			out = append(out, p)
		}
	}
	return out
}

// parseStat reads a line of /proc/PID/stat. The name in brackets may hold anything.
func parseStat(text []byte) (p process, ok bool) {
	open, closing := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || closing < open {
		return p, false
	}
	fields := strings.Fields(string(text[closing+1:])) // the third field of the line comes first
	if len(fields) < 15 {
		return p, false
	}
	number := func(i int) time.Duration {
		n, _ := strconv.ParseInt(fields[i-3], 10, 64) // the kernel's own numbers
		return time.Duration(n)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:open])))
	return process{pid: pid, parent: int(number(4)), own: (number(14) + number(15)) * tick,
		reaped: (number(16) + number(17)) * tick}, err == nil
}

// ResetPeak makes Peak begin anew.
func (t Tree) ResetPeak() {
	for _, p := range below(processes(), int(t)) {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0) // it may have ended
	}
}

// Peak returns the most resident memory each process below the keeper had since ResetPeak, added up, in bytes.
func (t Tree) Peak() int64 { return t.status("VmHWM:") }

// Resident returns the resident memory of the processes below the keeper, added up, in bytes.
func (t Tree) Resident() int64 { return t.status("VmRSS:") }

func (t Tree) status(field string) int64 {
	var sum int64
	for _, p := range below(processes(), int(t)) {
		sum += kilobytes(fmt.Sprintf("/proc/%d/status", p.pid), field)
	}
	return sum
}

// kilobytes reads a line of a file of /proc, "VmRSS:   123 kB", as bytes; 0 when the process has ended.
func kilobytes(path, field string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			// the kernel's own number
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
