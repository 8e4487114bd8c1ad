package ram

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// Found is how much memory there is, and who says so.
type Found struct {
	Bytes int64 // 0: nobody knows
	// Source is one of "limits.memory", "GOMEMLIMIT", "the control group", "the machine".
	Source string
}

// kernelShare is what of a control group's memory is left for the kernel's own part in it: sockets, names, pages of
// files that are being written.
const kernelShare = 10 // percent

// Find asks the system below root, the file system's top, and goLimit, the value of GOMEMLIMIT ("" for none). total is
// the memory of the machine where /proc/meminfo is hidden, 0 where nobody knows. What cannot be read is taken as
// absent.
func Find(root fs.FS, goLimit string, total int64) Found {
	out := Found{}
	least := func(n int64, source string) {
		if n > 0 && (out.Bytes == 0 || n < out.Bytes) {
			out = Found{n, source}
		}
	}
	if told := machine(root); told > 0 {
		total = told
	}
	least(total/2, "the machine")
	group := groups(root)
	least(group-group/100*kernelShare, "the control group")
	least(goBytes(goLimit), "GOMEMLIMIT")
	return out
}

// machine is all memory of the machine, 0 where /proc/meminfo does not tell.
func machine(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64) // 0 is "not told"
			return kib << 10
		}
	}
	return 0
}

// groups is the least limit of the control groups that the process is in, 0 where there is none.
func groups(root fs.FS) int64 {
	member, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	var least int64
	for line := range strings.Lines(string(member)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		kind, files := "cgroup", []string{"memory.limit_in_bytes"}
		switch {
		case id == "0" && controllers == "":
			kind, files = "cgroup2", []string{"memory.max", "memory.high"}
		case !hasWord(controllers, "memory"):
			continue
		}
		for _, dir := range places(root, kind, group) {
			for _, name := range files {
				if n := limit(root, path.Join(dir, name)); n > 0 && (least == 0 || n < least) {
					least = n
				}
			}
		}
	}
	return least
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// places are the folders of a control group and of those above it, as far as they are mounted. In a container the mount
// may show only the part below the container's own group, at its top.
func places(root fs.FS, kind, group string) (out []string) {
	mounts, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(mounts)) {
		fields, after, _ := strings.Cut(line, " - ")
		f, a := strings.Fields(fields), strings.Fields(after)
		if len(f) < 5 || len(a) < 3 || a[0] != kind || kind == "cgroup" && !hasWord(a[2], "memory") {
			continue
		}
		top, mounted := strings.TrimPrefix(f[4], "/"), f[3]
		below, ok := strings.CutPrefix(group, strings.TrimSuffix(mounted, "/"))
		if !ok || below != "" && below[0] != '/' {
			below = ""
		}
		for below = path.Clean("/" + below); ; below = path.Dir(below) {
			out = append(out, path.Join(top, below))
			if below == "/" {
				break
			}
		}
	}
	return out
}

// unlimited is where version 1 says "no limit" by a number.
const unlimited = math.MaxInt64 / 2

func limit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= unlimited {
		return 0
	}
	return max(n, 1)
}

// goBytes reads a size as the Go runtime does: a number with B, KiB, MiB, GiB, TiB or nothing; 0 is no limit.
func goBytes(text string) int64 {
	number, shift := text, 0
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			number, shift = n, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(number, "B"), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return 0
	}
	return n << shift
}

// resident reads /proc/PID/statm: size, resident and shared pages, and more.
func resident(statm string, page int64) int64 {
	f := strings.Fields(statm)
	if len(f) < 3 {
		return 0
	}
	all, err := strconv.ParseInt(f[1], 10, 64)
	shared, err2 := strconv.ParseInt(f[2], 10, 64)
	if err != nil || err2 != nil {
		return 0
	}
	return (all - shared) * page
}
