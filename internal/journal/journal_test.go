package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// small makes segments so small that a few records fill them.
func small(d Disk) Config { return Config{Dir: "/j", SegmentSize: 2000, Disk: d} }

// begin opens a journal and begins a run.
func begin(t *testing.T, d Disk) *Journal {
	t.Helper()
	j, err := Open(small(d))
	if err == nil {
		err = j.Begin()
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func record(text string) Record { return Record{Head: []byte(text[:1]), Body: []byte(text[1:])} }

// replayed reads what a disk holds.
func replayed(d Disk) (out []string, err error) {
	j, err := Open(small(d))
	if err != nil {
		return nil, err
	}
	err = j.Replay(func(p []byte) error {
		out = append(out, string(p))
		return nil
	})
	return out, err
}

func text(i int) string { return fmt.Sprintf("%d-%s", i, strings.Repeat("x", i*37%700)) }

// TestReplay: what was appended comes back in order, over as many segments as it takes, until the next run begins.
func TestReplay(t *testing.T) {
	d := newSimDisk()
	j := begin(t, d)
	var want []string
	for i := range 40 {
		want = append(want, text(i))
		if _, err := j.Append([]Record{record(text(i))}); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.cache) < 5 {
		t.Errorf("%d segments, want several", len(d.cache))
	}
	if err := j.Close(false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := replayed(d); err != nil || !slices.Equal(got, want) {
			t.Fatalf("replayed %d records (%v), want %d", len(got), err, len(want))
		}
	}
	j = begin(t, d)
	if got, err := replayed(d); err != nil || len(got) != 0 {
		t.Errorf("after Begin %d records are left (%v)", len(got), err)
	}
	if err := j.Close(true); err != nil || len(d.cache) != 0 {
		t.Errorf("after Close with clear %d files are left (%v)", len(d.cache), err)
	}
}

// TestDrop: segments that were given up are used again, and the folder does not grow.
func TestDrop(t *testing.T) {
	d := newSimDisk()
	j := begin(t, d)
	for i := range 400 {
		at, err := j.Append([]Record{record(text(i))})
		if err != nil {
			t.Fatal(err)
		}
		j.Drop(at)
		j.Drop(at - min(at, 1)) // never undoes a later one
	}
	if len(d.cache) > 5 {
		t.Errorf("%d files for one segment in use", len(d.cache))
	}
	got, err := replayed(d)
	if err != nil || len(got) == 0 || got[len(got)-1] != text(399) {
		t.Fatalf("replayed %d records (%v)", len(got), err)
	}
	for i, p := range got { // whatever is left is an unbroken end
		if p != text(400-len(got)+i) {
			t.Fatalf("record %d of %d is %.10q", i, len(got), p)
		}
	}
}

// story appends groups until the disk fails, and returns what was acknowledged and what was refused.
func story(d *simDisk, r *rand.Rand) (acked, refused []string) {
	j, err := Open(small(d))
	if err == nil {
		err = j.Begin()
	}
	n := 0
	for range 30 {
		if err != nil && errors.Is(err, errCrash) {
			return acked, refused
		}
		var group []Record
		var texts []string
		for range 1 + r.IntN(4) {
			texts = append(texts, text(n))
			group = append(group, record(text(n)))
			n++
		}
		if _, err = j.Append(group); err != nil {
			refused = append(refused, texts...)
		} else {
			acked = append(acked, texts...)
		}
	}
	return acked, refused
}

// check holds what a disk tells against what was acknowledged and refused.
func check(d *simDisk, acked, refused []string, mayKeep bool) error {
	got, err := replayed(d)
	if err != nil {
		return err
	}
	extra := slices.DeleteFunc(slices.Clone(got), func(p string) bool { return slices.Contains(acked, p) })
	if len(got)-len(extra) != len(acked) {
		return fmt.Errorf("%d of %d acknowledged records are there", len(got)-len(extra), len(acked))
	}
	if !slices.Equal(got[:len(acked)], acked) {
		return errors.New("the acknowledged records are not in order")
	}
	for _, p := range extra {
		if !mayKeep || !slices.Contains(refused, p) {
			return fmt.Errorf("a record is there that was never acknowledged: %.10q", p)
		}
	}
	return nil
}

// TestPowerLoss takes the power away at every call, and lets nothing, everything or something of what was not durable
// survive. A group that was under way may survive in part, from its front; nothing else but what was acknowledged may.
func TestPowerLoss(t *testing.T) {
	whole := newSimDisk()
	story(whole, rand.New(rand.NewPCG(1, 1)))
	for at := 1; at <= whole.calls; at++ {
		for seed := range uint64(8) {
			d := newSimDisk()
			d.crashAt = at
			acked, refused := story(d, rand.New(rand.NewPCG(1, 1)))
			keep := []float64{0, 1, 0.5, 0.9}[seed%4]
			r := rand.New(rand.NewPCG(seed, uint64(at)))
			if err := check(d.after(r, keep), acked, refused, true); err != nil {
				t.Fatalf("power lost at call %d (%s), seed %d, keeping %v: %v", at, whole.log[at-1], seed, keep, err)
			}
		}
	}
}

// TestLyingDisk is the control: on a disk that never syncs the same check finds losses.
func TestLyingDisk(t *testing.T) {
	d := newSimDisk()
	d.noSync = true
	acked, refused := story(d, rand.New(rand.NewPCG(1, 1)))
	if err := check(d.after(rand.New(rand.NewPCG(1, 2)), 0.5), acked, refused, true); err == nil {
		t.Error("nothing was found missing on a disk that keeps nothing")
	}
}

// TestFaults lets each call fail once. A write that failed refuses its group, whose records never appear, and the next
// group succeeds; a failed sync is final.
func TestFaults(t *testing.T) {
	whole := newSimDisk()
	story(whole, rand.New(rand.NewPCG(1, 1)))
	for at := 6; at <= whole.calls; at++ { // the first five make the folder and the first segment
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
			d := newSimDisk()
			d.faultAt, d.fault = at, fault
			acked, refused := story(d, rand.New(rand.NewPCG(1, 1)))
			what, _, _ := strings.Cut(whole.log[at-1], " ")
			if err := check(d, acked, refused, what == "sync"); err != nil {
				t.Errorf("%v at call %d (%s): %v", fault, at, whole.log[at-1], err)
			}
			if what == "write" && len(acked) < len(refused) {
				t.Errorf("%v at call %d (%s): %d records taken and %d refused", fault, at, whole.log[at-1], len(acked), len(refused))
			}
		}
	}
}

// TestBrokenIsFinal: after a failed sync nothing is taken any more, though later syncs would succeed.
func TestBrokenIsFinal(t *testing.T) {
	d := newSimDisk()
	j := begin(t, d)
	d.faultAt, d.fault = d.calls+2, syscall.EIO
	for range 3 {
		if _, err := j.Append([]Record{record("lost")}); !errors.Is(err, ErrBroken) {
			t.Errorf("Append after a failed sync: %v, want ErrBroken", err)
		}
	}
}

// TestDamage: records missing in front of durable ones are told, and so is a newer format; a torn end is no damage.
func TestDamage(t *testing.T) {
	fill := func() (*simDisk, []string) {
		d := newSimDisk()
		j := begin(t, d)
		for i := range 20 {
			if _, err := j.Append([]Record{record(text(i))}); err != nil {
				t.Fatal(err)
			}
		}
		names, _ := d.ReadDir("")
		slices.Sort(names)
		return d, names
	}
	d, names := fill()
	d.cache["/j/"+names[0]].now[headerSize+frameSize+1]++
	if _, err := replayed(d); !errors.Is(err, ErrDamaged) {
		t.Errorf("a flipped byte in an older segment: %v, want ErrDamaged", err)
	}
	d, names = fill()
	last := d.cache["/j/"+names[len(names)-1]]
	last.now = last.now[:len(last.now)-1]
	if got, err := replayed(d); err != nil || len(got) != 19 {
		t.Errorf("a torn end: %d records, %v; want 19", len(got), err)
	}
	d, names = fill()
	h := header{format: format + 1, run: 9, index: 1}
	copy(d.cache["/j/"+names[0]].now, h.encode())
	if _, err := replayed(d); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("a newer format: %v, want ErrNewerFormat", err)
	}
}

// TestStaleBytes: whole records of an earlier use behind the end, at the very place where a record would stand, are not
// read.
func TestStaleBytes(t *testing.T) {
	h := header{format: format, run: 1, index: 1, seed: 7}
	one, sum := appendRecord(h.encode(), h.chain(), []byte("first"))
	other, _ := appendRecord(nil, h.chain(), []byte("other"))
	next, _ := appendRecord(nil, sum, []byte("second"))
	count := func(b []byte) (n int) {
		if _, err := records(b, h, func([]byte) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(slices.Concat(one, other)); n != 1 {
		t.Errorf("%d records, want the stale one unread", n)
	}
	if n := count(slices.Concat(one, next)); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

// TestDisk runs the journal on the disk there is.
func TestDisk(t *testing.T) {
	dir := t.TempDir()
	for run := range 3 {
		j, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := j.Replay(func(p []byte) error {
			if !bytes.Equal(p, []byte("payload")) {
				t.Errorf("payload %q", p)
			}
			n++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if want := min(run, 1) * 2; n != want {
			t.Errorf("run %d found %d records, want %d", run, n, want)
		}
		if err := j.Begin(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := j.Append([]Record{{Head: []byte("pay"), Body: []byte("load")}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(false); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzRecords: no bytes make reading fail in any other way than to end, and what is read is what was checked.
func FuzzRecords(f *testing.F) {
	h := header{format: format, run: 1, index: 1, seed: 7}
	good, sum := appendRecord(h.encode(), h.chain(), []byte("first"))
	f.Add(good)
	f.Add(append(slices.Clone(good), seal(sum)...))
	f.Add(append(slices.Clone(good), 0xff, 0xff, 0xff, 0x7f, 1, 2, 3, 4, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := decodeHeader(b)
		if !ok {
			return
		}
		again, sum := h.encode(), h.chain()
		_, err := records(b, h, func(p []byte) error {
			again, sum = appendRecord(again, sum, p)
			return nil
		})
		if err != nil || !bytes.Equal(again[headerSize:], b[headerSize:len(again)]) {
			t.Errorf("what was read is not what stands there (%v)", err)
		}
	})
}
