package wal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
)

// reusing appends one record at a time and gives segments up soon, so that their files are used again. It returns what
// was acknowledged, from the first that is still needed on, what was refused, and the last place.
func reusing(d *simDisk) (needed, refused []string, last Place) {
	j, err := Open(small(d))
	if err == nil {
		last.Run, err = j.Begin()
	}
	if err != nil {
		return nil, nil, Place{}
	}
	var at []uint64
	for i := range 60 {
		place, err := j.Append([]Record{record(text(i))}, 0)
		if err != nil {
			refused = append(refused, text(i))
			if errors.Is(err, errCrash) || errors.Is(err, ErrBroken) {
				break
			}
			continue
		}
		segment := place.Index
		needed, at, last = append(needed, text(i)), append(at, segment), place
		if i%3 == 0 && segment > 2 {
			j.Drop(segment - 1)
			for at[0] < segment-1 {
				needed, at = needed[1:], at[1:]
			}
		}
	}
	return needed, refused, last
}

// checkNeeded wants the needed records, in order and without a gap, perhaps behind older ones, and perhaps one that was
// under way behind them.
func checkNeeded(d *simDisk, last Place, needed, refused []string) error {
	got, err := replayed(d, known(last))
	if err != nil || len(needed) == 0 {
		return err
	}
	first := slices.Index(got, needed[0])
	if first < 0 || len(got) < first+len(needed) || !slices.Equal(got[first:first+len(needed)], needed) {
		return errors.New("a needed record is missing, or out of order")
	}
	for _, p := range got[first+len(needed):] {
		if !slices.Contains(refused, p) {
			return errors.New("an old record stands behind the newest")
		}
	}
	return nil
}

// TestReuse takes the power away at every call while files are used again, also after one call failed.
func TestReuse(t *testing.T) {
	whole := newSimDisk()
	if needed, _, _ := reusing(whole); len(needed) == 0 || len(needed) > 20 {
		t.Fatalf("%d records are needed in the end", len(needed))
	}
	for at := 6; at <= whole.calls; at++ {
		for seed := range uint64(4) {
			keep := []float64{0, 1, 0.5, 0.9}[seed]
			d := newSimDisk()
			d.crashAt = at
			needed, refused, last := reusing(d)
			r := rand.New(rand.NewPCG(seed, uint64(at)))
			if err := checkNeeded(d.after(r, keep), last, needed, refused); err != nil {
				t.Fatalf("power lost at call %d (%s), keeping %v: %v", at, whole.log[at-1], keep, err)
			}
			d = newSimDisk()
			d.faultAt, d.fault, d.crashAt = at, syscall.ENOSPC, at+int(seed)*7+3
			needed, refused, last = reusing(d)
			if err := checkNeeded(d.after(r, keep), last, needed, refused); err != nil {
				t.Fatalf("no space at call %d (%s), power lost at %d, keeping %v: %v", at, whole.log[at-1], d.crashAt, keep, err)
			}
		}
	}
}
