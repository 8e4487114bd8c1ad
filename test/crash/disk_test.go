package crash

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// disk is the data folder as a recording makes it: what the gateway sees, and what a power cut would leave. It is
// stricter than ext4 and xfs are: a file is there after a power cut only when its folder was synced, what was written
// only when the file was synced after it, and what was not synced may be lost in any part and in any order.
type disk struct {
	root  string // the path of the data folder in the recording
	top   *node
	files map[int]*opened // by descriptor; all threads of the gateway share them
	err   error           // the first thing in the recording that cannot be modelled
}

// opened is what a descriptor stands for.
type opened struct {
	n      *node
	at     int64
	append bool
	synced bool // O_SYNC or O_DSYNC: a write that has returned is on the disk
}

// node is a file or a folder.
type node struct {
	name    string // where it was made, for messages
	folder  bool
	now     []byte // content of a file
	kept    []byte
	nowIn   map[string]*node // entries of a folder
	keptIn  map[string]*node
	waiting []change // in order; what has changed now and is not kept
}

// change is one that a power cut may undo.
type change struct {
	begin, end int // lines of the recording; end is 0 while the call has not returned
	data       []byte
	off        int64            // of data; for a change of size, when data is nil, the new size
	entries    map[string]*node // of a folder; nil removes the name
}

// newDisk begins with an empty folder.
func newDisk(root string) *disk {
	return &disk{root: root, top: newFolder("."), files: map[int]*opened{}}
}

// diskFrom begins with what is in a folder, all of it synced.
func diskFrom(t *testing.T, root, folder string) *disk {
	t.Helper()
	d := newDisk(root)
	var fill func(n *node, dir string)
	fill = func(n *node, dir string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			child := newFolder(path.Join(n.name, e.Name()))
			if e.IsDir() {
				fill(child, filepath.Join(dir, e.Name()))
			} else {
				content, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				child = &node{name: child.name, now: content, kept: slices.Clone(content)}
			}
			n.nowIn[e.Name()], n.keptIn[e.Name()] = child, child
		}
	}
	fill(d.top, folder)
	return d
}

func newFolder(name string) *node {
	return &node{name: name, folder: true, nowIn: map[string]*node{}, keptIn: map[string]*node{}}
}

// harmless reports whether a file may be lost: it is none of the data. Every exception is here, with its reason.
func harmless(name string) bool {
	return strings.HasSuffix(name, "-shm") || // SQLite's index of its log: in shared memory, made anew by whoever opens first
		name == "lock" // it has no content; whoever starts makes it
}

// play applies calls up to a line of the recording: those that returned before it, and of those that were in progress
// their waiting changes. It takes the calls that are left from before and returns those that are left after.
func (d *disk) play(moments []moment, until int) []moment {
	for len(moments) > 0 && moments[0].line < until {
		m := moments[0]
		moments = moments[1:]
		if m.begins {
			d.enter(m.c)
		} else {
			d.leave(m.c)
		}
	}
	return moments
}

// mapped are arguments of mmap that share a file.
var mapped = regexp.MustCompile(`MAP_SHARED[A-Z_|]*, \d+<(.*?)>, `)

// moment is the entry or the return of a call.
type moment struct {
	line   int
	begins bool
	c      *call
}

// moments puts the entries and returns of calls in order.
func moments(calls []call) []moment {
	var out []moment
	for i := range calls {
		c := &calls[i]
		out = append(out, moment{c.begin, true, c})
		if c.end != 0 {
			out = append(out, moment{c.end, false, c})
		}
	}
	slices.SortStableFunc(out, func(a, b moment) int { return a.line - b.line })
	return out
}

// inside returns the path of a name below the data folder, and whether it is.
func (d *disk) inside(name string) (string, bool) {
	name = strings.TrimSuffix(name, " (deleted)")
	if name == d.root {
		return ".", true
	}
	return strings.CutPrefix(name, d.root+"/")
}

// find returns what has a path now, nil for nothing.
func (d *disk) find(rel string) *node {
	n := d.top
	if rel == "." {
		return n
	}
	for part := range strings.SplitSeq(rel, "/") {
		if n == nil || !n.folder {
			return nil
		}
		n = n.nowIn[part]
	}
	return n
}

// paths are the names in a call's arguments, with the folder that stands before the first.
func (c *call) paths() []string {
	out, _ := c.text()
	for i, p := range out {
		if !path.IsAbs(p) {
			out[i] = path.Join(c.on, p)
		}
	}
	return out
}

// enter takes what a call does to names and descriptors. Writes begin to wait here: a power cut in the middle of one
// may keep any part of it.
func (d *disk) enter(c *call) {
	if c.injected || c.end != 0 && c.ret < 0 {
		return // it never happened
	}
	switch c.name {
	case "write", "pwrite64", "writev", "pwritev", "pwritev2":
		d.write(c)
	case "ftruncate":
		if o := d.file(c); o != nil {
			d.resize(c, o.n, 0)
		}
	case "truncate":
		if rel, ok := d.inside(c.paths()[0]); ok {
			d.resize(c, d.find(rel), 0)
		}
	case "fallocate":
		d.allocate(c)
	case "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir":
		d.rename(c)
	case "link", "linkat", "symlinkat", "copy_file_range", "splice", "sendfile":
		if _, ok := d.inside(c.on); ok || strings.Contains(strings.Join(c.paths(), "\n"), d.root) {
			d.fail("line %d: the model does not know %s", c.begin, c.name)
		}
	case "mmap":
		// Memory that is a file can be written without a call.
		if m := mapped.FindStringSubmatch(c.args); m != nil && strings.Contains(c.args, "PROT_WRITE") {
			if rel, ok := d.inside(plain(m[1])); ok && !harmless(rel) {
				d.fail("line %d: the model does not know memory that is %s", c.begin, rel)
			}
		}
	case "io_uring_setup":
		d.fail("line %d: the model does not know io_uring", c.begin)
	case "close":
		delete(d.files, c.fd)
	}
}

// leave takes what holds once a call has returned.
func (d *disk) leave(c *call) {
	if c.injected || c.ret < 0 {
		return
	}
	switch c.name {
	case "open", "openat", "creat":
		d.open(c)
	case "fsync", "fdatasync":
		if o := d.file(c); o != nil {
			o.n.sync(c.begin)
		}
	case "sync", "syncfs":
		d.each(func(_ string, n *node, _ bool) { n.sync(c.begin) })
	case "read", "readv":
		if o := d.files[c.fd]; o != nil && !o.n.folder {
			o.at += c.ret
		}
	case "lseek":
		if o := d.files[c.fd]; o != nil && !o.n.folder {
			o.at = c.ret
		}
	case "dup", "dup2", "dup3":
		if o := d.files[c.fd]; o != nil {
			d.files[int(c.ret)] = o
		}
	case "write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "fallocate", "truncate",
		"mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir":
		d.returned(c)
	}
}

// fail notes the first thing that cannot be modelled.
func (d *disk) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// file is what a call's descriptor stands for, when it is in the data folder and matters.
func (d *disk) file(c *call) *opened {
	rel, ok := d.inside(c.on)
	if !ok || harmless(rel) {
		return nil
	}
	if o := d.files[c.fd]; o != nil {
		return o
	}
	n := d.find(rel)
	if n == nil {
		d.fail("line %d: nobody has made %s", c.begin, rel)
		return nil
	}
	return &opened{n: n}
}

func (d *disk) open(c *call) {
	rel, ok := d.inside(pathOf(c))
	if !ok || harmless(rel) {
		delete(d.files, int(c.ret))
		return
	}
	n := d.find(rel)
	switch {
	case n == nil && strings.Contains(c.args, "O_CREAT"):
		n = &node{name: rel}
		d.enters(c.begin, c.end, map[string]*node{rel: n})
	case n == nil:
		d.fail("line %d: nobody has made %s", c.begin, rel)
		return
	case strings.Contains(c.args, "O_TRUNC") && len(n.now) > 0:
		n.change(change{begin: c.begin, end: c.end})
	}
	d.files[int(c.ret)] = &opened{n: n, append: strings.Contains(c.args, "O_APPEND"),
		synced: strings.Contains(c.args, "O_SYNC") || strings.Contains(c.args, "O_DSYNC")}
}

// pathOf is the name that open or openat was given.
func pathOf(c *call) string { return c.paths()[0] }

func (d *disk) write(c *call) {
	o := d.file(c)
	if o == nil {
		return
	}
	data, err := c.data()
	if err != nil {
		d.fail("%w", err)
	}
	off := o.at
	switch {
	case strings.HasPrefix(c.name, "pwrite"):
		last := 0
		if c.name == "pwritev2" {
			last = 1
		}
		if off, err = c.number(last); err != nil {
			d.fail("%w", err)
		}
	case o.append:
		off = int64(len(o.n.now))
		fallthrough
	default:
		o.at = off + int64(len(data))
	}
	if len(data) > 0 {
		o.n.change(change{begin: c.begin, data: data, off: off})
	}
}

// resize sets a size that is an argument, counted from the last.
func (d *disk) resize(c *call, n *node, argument int) {
	size, err := c.number(argument)
	if err != nil {
		d.fail("%w", err)
	}
	if n != nil {
		n.change(change{begin: c.begin, off: size})
	}
}

// allocate makes a file longer, filled with zeros, unless it keeps the size.
func (d *disk) allocate(c *call) {
	o := d.file(c)
	if o == nil {
		return
	}
	off, errOff := c.number(1)
	size, errSize := c.number(0)
	switch mode, _, _ := strings.Cut(c.args, ","); {
	case errOff != nil || errSize != nil || mode != "0" && mode != "FALLOC_FL_KEEP_SIZE":
		d.fail("line %d: the model does not know fallocate(%s)", c.begin, c.args)
	case mode == "0" && off+size > int64(len(o.n.now)):
		o.n.change(change{begin: c.begin, off: off + size})
	}
}

// rename takes calls that change names.
func (d *disk) rename(c *call) {
	names := c.paths()
	rel, ok := d.inside(names[0])
	if !ok || harmless(rel) {
		return
	}
	switch n := d.find(rel); {
	case strings.HasPrefix(c.name, "mkdir"):
		d.enters(c.begin, 0, map[string]*node{rel: newFolder(rel)})
	case n == nil: // a socket: it is made by bind, and means nothing after a restart
	case strings.HasPrefix(c.name, "rename"):
		to, ok := d.inside(names[len(names)-1])
		if !ok || path.Dir(to) != path.Dir(rel) {
			d.fail("line %d: the model does not know renaming from one folder into another", c.begin)
			return
		}
		d.enters(c.begin, 0, map[string]*node{rel: nil, to: n})
	default:
		d.enters(c.begin, 0, map[string]*node{rel: nil})
	}
}

// enters changes entries of one folder, whose names are given from the data folder on.
func (d *disk) enters(begin, end int, entries map[string]*node) {
	local := map[string]*node{}
	var in *node
	for rel, n := range entries {
		in = d.find(path.Dir(rel))
		local[path.Base(rel)] = n
	}
	if in == nil {
		d.fail("line %d: the folder of %v is not there", begin, slices.Collect(maps.Keys(entries)))
		return
	}
	in.change(change{begin: begin, end: end, entries: local})
}

// returned notes that the change of a call is complete.
func (d *disk) returned(c *call) {
	d.each(func(_ string, n *node, _ bool) {
		for i := range n.waiting {
			if n.waiting[i].begin == c.begin {
				n.waiting[i].end = c.end
			}
		}
	})
	if o := d.files[c.fd]; o != nil && (o.synced || strings.Contains(c.args, "RWF_DSYNC") || strings.Contains(c.args, "RWF_SYNC")) {
		o.n.sync(c.end + 1)
	}
}

// each visits every node that has a name, now or after a power cut, or that is open. sure says that its name survives.
func (d *disk) each(visit func(rel string, n *node, sure bool)) {
	seen := map[*node]bool{}
	var walk func(rel string, n *node, sure bool)
	walk = func(rel string, n *node, sure bool) {
		if seen[n] {
			return
		}
		seen[n] = true
		visit(rel, n, sure)
		for name, child := range n.nowIn {
			walk(path.Join(rel, name), child, sure && n.keptIn[name] == child)
		}
		for name, child := range n.keptIn {
			walk(path.Join(rel, name), child, sure)
		}
	}
	walk(".", d.top, true)
	for _, o := range d.files {
		walk(o.n.name, o.n, false)
	}
}

// change makes one now.
func (n *node) change(c change) {
	apply(&n.now, n.nowIn, c)
	n.waiting = append(n.waiting, c)
}

// sync keeps what had changed before a line.
func (n *node) sync(before int) {
	n.waiting = slices.DeleteFunc(n.waiting, func(c change) bool {
		if c.end == 0 || c.end >= before {
			return false
		}
		apply(&n.kept, n.keptIn, c)
		return true
	})
}

// apply makes a change to a content or to entries.
func apply(content *[]byte, entries map[string]*node, c change) {
	switch {
	case c.entries != nil:
		for name, n := range c.entries {
			if n == nil {
				delete(entries, name)
			} else {
				entries[name] = n
			}
		}
	case c.data == nil:
		*content = sized(*content, c.off)
	default:
		if end := c.off + int64(len(c.data)); end > int64(len(*content)) {
			*content = sized(*content, end)
		}
		copy((*content)[c.off:], c.data)
	}
}

// sized cuts a content or fills it up with zeros.
func sized(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}
