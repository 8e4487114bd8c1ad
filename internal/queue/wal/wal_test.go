package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
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
		_, err = j.Begin()
	}
	if err == nil {
		_, err = j.Forget()
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// known is what a caller remembers that was told of each place at once.
func known(at Place) Known { return Known{Last: at} }

func record(text string) Record { return Record{Head: []byte(text[:1]), Body: []byte(text[1:])} }

// replayed reads what a disk holds.
func replayed(d Disk, k Known) (out []string, err error) {
	j, err := Open(small(d))
	if err != nil {
		return nil, err
	}
	err = j.Replay(k, func(p []byte) error {
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
	var last Place
	for i := range 40 {
		want = append(want, text(i))
		var err error
		if last, err = j.Append([]Record{record(text(i))}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.cache) < 5 {
		t.Errorf("%d segments, want several", len(d.cache))
	}
	if err := j.Close(false, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := replayed(d, known(last)); err != nil || !slices.Equal(got, want) {
			t.Fatalf("replayed %d records (%v), want %d", len(got), err, len(want))
		}
	}
	j = begin(t, d)
	if got, err := replayed(d, Known{Last: Place{Run: j.run}}); err != nil || len(got) != 0 {
		t.Errorf("after Begin %d records are left (%v)", len(got), err)
	}
	if err := j.Close(true, 7); err != nil || len(d.cache) != 1 {
		t.Errorf("after Close with clear %d files are left (%v), want synced alone", len(d.cache), err)
	}
	if got, err := replayed(d, Known{Last: Place{Run: j.run}, Closed: true, Note: 7}); err != nil || len(got) != 0 {
		t.Errorf("after Close with clear %d records are left (%v)", len(got), err)
	}
}

// TestDrop: segments that were given up are used again, and the folder does not grow.
func TestDrop(t *testing.T) {
	d := newSimDisk()
	j := begin(t, d)
	var at Place
	for i := range 400 {
		var err error
		if at, err = j.Append([]Record{record(text(i))}, 0); err != nil {
			t.Fatal(err)
		}
		j.Drop(at.Index)
		j.Drop(at.Index - min(at.Index, 1)) // never undoes a later one
	}
	if len(d.cache) > 6 {
		t.Errorf("%d files for one segment in use", len(d.cache))
	}
	got, err := replayed(d, known(at))
	if err != nil || len(got) == 0 || got[len(got)-1] != text(399) {
		t.Fatalf("replayed %d records (%v)", len(got), err)
	}
	for i, p := range got { // whatever is left is an unbroken end
		if p != text(400-len(got)+i) {
			t.Fatalf("record %d of %d is %.10q", i, len(got), p)
		}
	}
}

// story appends groups until the disk fails, and returns what was acknowledged, up to where, and what was refused.
func story(d *simDisk, r *rand.Rand) (acked, refused []string, last Place) {
	j, err := Open(small(d))
	if err == nil {
		last.Run, err = j.Begin()
	}
	if err != nil {
		last.Run = 0
	}
	n := 0
	for range 30 {
		if err != nil && errors.Is(err, errCrash) {
			return acked, refused, last
		}
		var group []Record
		var texts []string
		for range 1 + r.IntN(4) {
			texts = append(texts, text(n))
			group = append(group, record(text(n)))
			n++
		}
		var at Place
		if at, err = j.Append(group, uint64(n)); err != nil {
			refused = append(refused, texts...)
		} else {
			acked, last = append(acked, texts...), at
		}
	}
	return acked, refused, last
}

// check holds what a disk tells against what was acknowledged and refused.
func check(d *simDisk, last Place, acked, refused []string, mayKeep bool) error {
	got, err := replayed(d, Known{Last: last, Note: 1000})
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
			acked, refused, last := story(d, rand.New(rand.NewPCG(1, 1)))
			keep := []float64{0, 1, 0.5, 0.9}[seed%4]
			r := rand.New(rand.NewPCG(seed, uint64(at)))
			if err := check(d.after(r, keep), last, acked, refused, true); err != nil {
				t.Fatalf("power lost at call %d (%s), seed %d, keeping %v: %v", at, whole.log[at-1], seed, keep, err)
			}
		}
	}
}

// TestLyingDisk is the control: on a disk that never syncs the same check finds losses.
func TestLyingDisk(t *testing.T) {
	d := newSimDisk()
	d.noSync = true
	acked, refused, last := story(d, rand.New(rand.NewPCG(1, 1)))
	if err := check(d.after(rand.New(rand.NewPCG(1, 2)), 0.5), last, acked, refused, true); err == nil {
		t.Error("nothing was found missing on a disk that keeps nothing")
	}
}

// TestFaults lets each call fail once. What was refused never appears, also when it was a sync that failed. After a
// failed write the next group succeeds; a failed sync is final.
func TestFaults(t *testing.T) {
	whole := newSimDisk()
	story(whole, rand.New(rand.NewPCG(1, 1)))
	for at := 8; at <= whole.calls; at++ { // those before make the folder and the first segment
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
			d := newSimDisk()
			d.faultAt, d.fault = at, fault
			acked, refused, last := story(d, rand.New(rand.NewPCG(1, 1)))
			what, _, _ := strings.Cut(whole.log[at-1], " ")
			if err := check(d, last, acked, refused, false); err != nil {
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
		if _, err := j.Append([]Record{record("lost")}, 0); !errors.Is(err, ErrBroken) {
			t.Errorf("Append after a failed sync: %v, want ErrBroken", err)
		}
	}
}

// TestStaleBytes: whole groups of an earlier use behind the end, at the very place where a group would stand, are not
// read, and neither is mail that looks like one.
func TestStaleBytes(t *testing.T) {
	h := header{format: formatFrames, run: 1, index: 1, seed: 7, first: 1}
	grouped := func(b []byte, seed uint64, payload []byte) []byte {
		g := group{size: uint64(frameSize + len(payload)), run: 1, index: 1, seed: seed}
		b = appendFrame(b, seed, int64(len(b)), kindGroup, g.encode())
		return appendFrame(b, seed, int64(len(b)), kindRecord, payload)
	}
	one := grouped(h.encode(), 7, []byte("first"))
	for name, c := range map[string]struct {
		b      []byte
		count  int
		behind bool
	}{
		"an earlier use":        {grouped(slices.Clone(one), 8, []byte("other")), 1, false},
		"the same place":        {grouped(slices.Clone(one), 7, []byte("second")), 2, false},
		"moved":                 {append(slices.Clone(one), one[headerSize:]...), 1, false},
		"later, behind garbage": {grouped(append(slices.Clone(one), "garbage"...), 7, []byte("second")), 1, true},
		"mail like a group":     {grouped(append(slices.Clone(one), "garbage"...), 9, grouped(nil, 9, []byte("x"))), 1, false},
	} {
		r, err := read(c.b, h, func([]byte) error { return nil })
		if err != nil || r.count != c.count || (r.behind > 0) != c.behind {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestDisk runs the journal on the disk there is.
func TestDisk(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "journal"), Known{}
	for run := range 3 {
		j, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := j.Replay(k, func(p []byte) error {
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
		k.Previous = k.Last.Run
		if _, err := j.Begin(); err != nil {
			t.Fatal(err)
		}
		if aside, err := j.Forget(); err != nil || len(aside) > 0 {
			t.Fatal(aside, err)
		}
		for range 2 {
			if k.Last, err = j.Append([]Record{{Head: []byte("pay"), Body: []byte("load")}}, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(false, 0); err != nil {
			t.Fatal(err)
		}
	}
}
