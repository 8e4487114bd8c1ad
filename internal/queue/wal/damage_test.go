package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// copied is a disk with the same files.
func copied(d *simDisk) *simDisk {
	out := newSimDisk()
	for path, f := range d.cache {
		out.cache[path] = &simFile{now: slices.Clone(f.now)}
	}
	return out
}

// segments lists the paths of the segments of a disk.
func segments(d *simDisk) (out []string) {
	for path := range d.cache {
		if strings.HasSuffix(path, suffix) {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// full is a journal of several segments as a kill leaves it: some were given up and used again, all records from the
// first that is needed on are wanted. half is the same journal in the middle of it.
func full(t *testing.T) (d, half *simDisk, want []string, last Place) {
	t.Helper()
	d = newSimDisk()
	j := begin(t, d)
	r := rand.New(rand.NewPCG(1, 2))
	var at []uint64
	for n := 0; n < 90; {
		var group []Record
		for range 1 + r.IntN(4) {
			want, group = append(want, text(n)), append(group, record(text(n)))
			n++
		}
		var err error
		if last, err = j.Append(group, uint64(n)); err != nil {
			t.Fatal(err)
		}
		for len(at) < len(want) {
			at = append(at, last.Index)
		}
		if last.Index == 6 && last.Size > headerSize {
			j.Drop(4)
		}
		if half == nil && n > 60 {
			half = copied(d)
		}
	}
	for at[0] < j.live[0].first || at[0] < j.live[len(j.live)-1].first {
		at, want = at[1:], want[1:]
	}
	if n := len(segments(d)); n < 6 || len(want) < 30 {
		t.Fatalf("%d segments, %d records", n, len(want))
	}
	return d, half, want, last
}

// harm is one way to damage a folder. few says that at most one record may be missing from what is salvaged.
type harm struct {
	name string
	few  bool
	do   func(d *simDisk)
}

// harms makes every way there is of damaging each of the files.
func harms(d, half *simDisk, other *simDisk) (out []harm) {
	add := func(name string, few bool, do func(d *simDisk)) { out = append(out, harm{name, few, do}) }
	paths := segments(d)
	for i, path := range append(slices.Clone(paths), "/j/synced") {
		size := len(d.cache[path].now)
		for off := 0; off < size; off += 1 + 12*min(off/64, 1) {
			for _, mask := range []byte{1, 0x80, 0xff}[off%3:][:1] {
				add(fmt.Sprintf("%s: byte %d changed by %#x", path, off, mask), true, func(d *simDisk) { d.cache[path].now[off] ^= mask })
			}
			if off%3 == 0 {
				add(fmt.Sprintf("%s cut at %d", path, off), false, func(d *simDisk) { d.cache[path].now = d.cache[path].now[:off] })
			}
			if off%64 == 0 {
				add(fmt.Sprintf("%s: 512 bytes zero at %d", path, off), false, func(d *simDisk) {
					clear(d.cache[path].now[off:min(off+512, size)])
				})
			}
		}
		add(path+" removed", false, func(d *simDisk) { delete(d.cache, path) })
		if i == len(paths) {
			continue
		}
		add(path+" twice", true, func(d *simDisk) { d.cache["/j/00000099.seg"] = &simFile{now: slices.Clone(d.cache[path].now)} })
		next := paths[(i+1)%len(paths)]
		add(path+" exchanged", true, func(d *simDisk) { d.cache[path], d.cache[next] = d.cache[next], d.cache[path] })
		add(path+" in place of the next", false, func(d *simDisk) { d.cache[next].now = slices.Clone(d.cache[path].now) })
		if old := half.cache[path]; old != nil {
			add(path+" as it was before", false, func(d *simDisk) { d.cache[path].now = slices.Clone(old.now) })
		}
		for k, foreign := range segments(other) {
			add(fmt.Sprintf("%s replaced by another run's %d", path, k), false, func(d *simDisk) {
				d.cache[path].now = slices.Clone(other.cache[foreign].now)
			})
		}
	}
	add("all gone", false, func(d *simDisk) { clear(d.cache) })
	add("all segments gone", false, func(d *simDisk) {
		for _, path := range paths {
			delete(d.cache, path)
		}
	})
	add("all as it was before", false, func(d *simDisk) { d.cache = copied(half).cache })
	add("another's journal", false, func(d *simDisk) { d.cache = copied(other).cache })
	for name, content := range map[string][]byte{"notes.txt": []byte("hello"), "00000098.seg": nil, "zero.seg": make([]byte, 5000),
		"00000097.seg": []byte(strings.Repeat("garbage", 1000)), "old.seg.damaged": []byte("x")} {
		add("a foreign "+name, true, func(d *simDisk) { d.cache["/j/"+name] = &simFile{now: slices.Clone(content)} })
	}
	return out
}

// TestDamage: whatever is done to whichever file, either all that was acknowledged is read, or Replay says that it is
// damaged; and what is not touched can be salvaged.
func TestDamage(t *testing.T) {
	d, half, want, last := full(t)
	if got, err := replayed(d, Known{Last: last, Note: 1000}); err != nil || !slices.Equal(got, want) {
		t.Fatalf("undamaged: %d records of %d, %v", len(got), len(want), err)
	}
	other, _, _, _ := full(t)
	silent, named, whole := 0, 0, 0
	for _, h := range harms(d, half, other) {
		hurt := copied(d)
		h.do(hurt)
		got, err := replayed(hurt, Known{Last: last, Note: 1000})
		switch {
		case err == nil && slices.Equal(got, want):
			whole++
		case errors.Is(err, ErrDamaged):
			named++
		default:
			silent++
			t.Errorf("%s: %d records of %d, %v", h.name, len(got), len(want), err)
		}
		if silent > 20 {
			t.Fatal("and so on")
		}
		if missing, lost := salvaged(t, hurt, want); h.few && missing > 1 || missing > 0 && err == nil {
			t.Errorf("%s: %d of %d records are not salvaged: %v", h.name, missing, len(want), lost)
		}
	}
	if named < 500 || whole < 100 {
		t.Errorf("named %d, without consequence %d", named, whole)
	}
}

// salvaged counts what is missing in what a disk still tells.
func salvaged(t *testing.T, d *simDisk, want []string) (missing int, lost []string) {
	t.Helper()
	j, err := Open(small(d))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	lost, err = j.Salvage(func(_ uint64, p []byte) error {
		there[string(p)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range want {
		if !there[p] {
			missing++
		}
	}
	return missing, lost
}

// TestMemory: what the caller remembers, or the journal of the caller, tells of a place that is older than the other.
func TestMemory(t *testing.T) {
	d, half, want, last := full(t)
	for name, c := range map[string]struct {
		d     *simDisk
		k     Known
		wants string // of the error, "" for none
	}{
		"as it is":                   {d, Known{Last: last, Note: 93}, ""},
		"told of an earlier place":   {d, Known{Last: Place{last.Run, 5, 60}, Note: 93}, ""},
		"the database is older":      {d, Known{Last: last, Note: 60}, "older"},
		"the database knows nothing": {d, Known{}, "does not know"},
		"of the run before":          {d, Known{Last: Place{Run: 3 << 32}, Note: 93}, "does not know"},
		"the run was closed":         {d, Known{Last: last, Closed: true, Note: 93}, ""},
		"a later place":              {half, Known{Last: last, Note: 93}, "missing"},
		"a later size":               {d, Known{Last: Place{last.Run, last.Index, last.Size + 1}, Note: 93}, "the database knows of"},
		"an empty folder":            {newSimDisk(), Known{Last: last}, "missing"},
		"an empty folder, closed":    {newSimDisk(), Known{Last: last, Closed: true}, ""},
		"no run ever":                {newSimDisk(), Known{}, ""},
		"a run later":                {d, Known{Last: Place{Run: last.Run + 1<<32}, Previous: last.Run, Note: 93}, "missing"},
	} {
		got, err := replayed(c.d, c.k)
		switch {
		case c.wants == "" && err != nil, c.wants != "" && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.wants)):
			t.Errorf("%s: %v, want %q", name, err, c.wants)
		case name == "as it is" && !slices.Equal(got, want):
			t.Errorf("%s: %d records, want %d", name, len(got), len(want))
		}
	}
}

// TestTornEndIsNoDamage: after a power cut, when synced tells less, the last group may be torn in any way.
func TestTornEndIsNoDamage(t *testing.T) {
	d := newSimDisk()
	j := begin(t, d)
	var last Place
	for i := range 3 {
		var err error
		if last, err = j.Append([]Record{record(text(i))}, 0); err != nil {
			t.Fatal(err)
		}
	}
	told := slices.Clone(d.cache["/j/synced"].now)
	path := segments(d)[0]
	if _, err := j.Append([]Record{record(text(20)), record(text(21)), record(text(22))}, 0); err != nil {
		t.Fatal(err)
	}
	d.cache["/j/synced"].now = told
	for off := last.Size; off < int64(len(d.cache[path].now)); off++ {
		for _, hurt := range []*simDisk{copied(d), copied(d)} {
			f := hurt.cache[path]
			if f.now[off] ^= 0x10; off%2 == 0 {
				f.now = f.now[:off]
			}
			got, err := replayed(hurt, known(last))
			if err != nil || len(got) < 3 || len(got) > 5 {
				t.Fatalf("torn at byte %d: %d records, %v", off, len(got), err)
			}
		}
	}
}

// TestAside: what has no readable header and is not needed is kept under another name, also when that is taken.
func TestAside(t *testing.T) {
	d, _, want, last := full(t)
	for range 2 {
		d.cache["/j/00000097.seg"] = &simFile{now: []byte(strings.Repeat("garbage", 1000))}
		j, err := Open(small(d))
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		err = j.Replay(Known{Last: last, Note: 1000}, func([]byte) error { got++; return nil })
		if err != nil || got != len(want) {
			t.Fatalf("%d records, %v", got, err)
		}
		run, err := j.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if aside, err := j.Forget(); err != nil || len(aside) != 1 {
			t.Fatal(aside, err)
		}
		if err := j.Close(false, 0); err != nil {
			t.Fatal(err)
		}
		last, want = Place{Run: run}, nil
	}
	if d.cache["/j/00000097.seg.damaged"] == nil || d.cache["/j/00000097.seg.damaged.2"] == nil {
		t.Error("what could not be read was not kept twice")
	}
}

// TestRunsCount: each run's number is above all before it, whatever its random bits are.
func TestRunsCount(t *testing.T) {
	d, _, _, last := full(t)
	for range 64 {
		j, err := Open(small(d))
		if err != nil {
			t.Fatal(err)
		}
		run, err := j.Begin()
		if err != nil || run>>32 != last.Run>>32+1 {
			t.Fatalf("run %x after %x, %v", run, last.Run, err)
		}
		if _, err := j.Forget(); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(false, 0); err != nil {
			t.Fatal(err)
		}
		last = Place{Run: run}
	}
}

// TestSetAside: the evidence stays, and a new run begins beside it.
func TestSetAside(t *testing.T) {
	d, _, _, last := full(t)
	before := segments(d)
	j, err := Open(small(d))
	if err == nil {
		_, err = j.SetAside()
	}
	var run uint64
	if err == nil {
		run, err = j.Begin()
	}
	if err != nil || run <= last.Run {
		t.Fatalf("run %x after %x, %v", run, last.Run, err)
	}
	for _, path := range before {
		if d.cache[path+damaged] == nil {
			t.Errorf("%s was not kept", path)
		}
	}
	if got, err := replayed(d, known(Place{Run: run})); err != nil || len(got) != 0 {
		t.Errorf("%d records, %v", len(got), err)
	}
}

// TestFormatOne: what an earlier release wrote is read, and its damage named as far as it can be told.
func TestFormatOne(t *testing.T) {
	segment := func(index uint64, sealed bool, payloads ...string) []byte {
		h := header{format: formatChain, run: 4, index: index, seed: 9}
		b := h.encode()
		sum := chainStart(h.seed)
		for _, p := range payloads {
			length := uint32(len(p))
			sum = link(sum, length, []byte(p))
			b = append(appendChain(b, length, sum), p...)
		}
		if sealed {
			b = appendChain(b, sealLength, link(sum, sealLength))
		}
		return b
	}
	made := func() *simDisk {
		d := newSimDisk()
		d.cache["/j/1.seg"] = &simFile{now: segment(1, true, "one", "two", "three")}
		d.cache["/j/3.seg"] = &simFile{now: append(segment(3, false, "four"), "stale"...)}
		return d
	}
	if got, err := replayed(made(), Known{}); err != nil || strings.Join(got, " ") != "one two three four" {
		t.Errorf("%q, %v", got, err)
	}
	d := made()
	d.cache["/j/1.seg"].now[headerSize+chainFrame+1]++
	if _, err := replayed(d, Known{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a changed byte: %v, want ErrDamaged", err)
	}
	if missing, lost := salvaged(t, d, []string{"one", "two", "three", "four"}); missing != 1 {
		t.Errorf("%d records are not salvaged: %v", missing, lost)
	}
	d = made()
	d.cache["/j/1.seg"].now[40]++
	if _, err := replayed(d, Known{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("an unreadable header: %v, want ErrDamaged", err)
	}
	if missing, lost := salvaged(t, d, []string{"one", "two", "three", "four"}); missing != 0 {
		t.Errorf("%d records are not salvaged: %v", missing, lost)
	}
	h := header{format: formatFrames + 1, run: 9, index: 1}
	d = made()
	copy(d.cache["/j/1.seg"].now, h.encode())
	if _, err := replayed(d, Known{}); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("a newer format: %v, want ErrNewerFormat", err)
	}
}

func appendChain(b []byte, length, sum uint32) []byte {
	return append(b, byte(length), byte(length>>8), byte(length>>16), byte(length>>24), byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}

// FuzzRead: no bytes make reading fail in any other way than to end, what is read is what was written, and what is
// salvaged begins with it.
func FuzzRead(f *testing.F) {
	h := header{format: formatFrames, run: 1, index: 1, seed: 7, first: 1}
	g := group{note: 3, size: 2*frameSize + 6, run: 1, index: 1, seed: 7}
	good := appendFrame(h.encode(), 7, headerSize, kindGroup, g.encode())
	good = appendFrame(good, 7, int64(len(good)), kindRecord, []byte("first"))
	good = appendFrame(good, 7, int64(len(good)), kindRecord, []byte("2"))
	f.Add(good)
	f.Add(appendFrame(slices.Clone(good), 7, int64(len(good)), kindSeal))
	f.Add(append(slices.Clone(good), 'P', 's', 'J', 'r', 0xff, 0xff, 0xff, 0x7f, 1, 2, 3, 4, 5))
	f.Add(append(slices.Clone(good[:headerSize+20]), good...))
	old := header{format: formatChain, run: 1, index: 1, seed: 7}
	f.Add(append(appendChain(old.encode(), 2, link(chainStart(7), 2, []byte("ab"))), "ab"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := decodeHeader(b)
		if !ok || h.format > formatFrames {
			_, _ = lostHeader(b)
			return
		}
		var got, all [][]byte
		r, err := read(b, h, func(p []byte) error { got = append(got, p); return nil })
		if err != nil || r.end > int64(len(b)) || r.count != len(got) {
			t.Fatalf("%+v, %v", r, err)
		}
		salvage := salvageFrames
		if h.format == formatChain {
			salvage = salvageChain
		}
		err = salvage(b, h, func(p []byte) error { all = append(all, p); return nil }, func(from, to int64) {
			if from >= to || from < r.end && h.format == formatChain {
				t.Errorf("a gap from %d to %d", from, to)
			}
		})
		if err != nil || len(all) < len(got) || !slices.EqualFunc(got, all[:len(got)], bytes.Equal) {
			t.Errorf("%d records read, %d salvaged, %v", len(got), len(all), err)
		}
	})
}
