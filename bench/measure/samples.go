// Package measure holds what the runs measure with: samples and their percentiles, medians and spreads of rounds, the
// processor time and memory of a tree of processes, and how steady the machine was meanwhile.
package measure

import (
	"fmt"
	"slices"
	"time"
)

// Samples are durations, all of them kept: percentiles are exact. Not safe for use by several goroutines; each has its
// own and they are merged afterwards.
type Samples []time.Duration

// Merge joins several goroutines' samples, sorted.
func Merge(parts ...Samples) Samples {
	all := slices.Concat(parts...)
	slices.Sort(all)
	return all
}

// Percentile returns the smallest sample that p percent of all are not above (nearest rank), of sorted samples. 0 when
// there are none.
func (s Samples) Percentile(p float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	rank := int(p / 100 * float64(len(s)))
	if float64(rank) < p/100*float64(len(s)) {
		rank++
	}
	return s[min(max(rank, 1), len(s))-1]
}

// Median returns the middle of the values, or the mean of the two in the middle; 0 when there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Spread returns how far the values lie apart, as a share of their median: (largest-smallest)/median. 0 when there are
// fewer than two.
func Spread(values []float64) float64 {
	m := Median(values)
	if len(values) < 2 || m == 0 {
		return 0
	}
	return (slices.Max(values) - slices.Min(values)) / m
}

// Bytes prints a size as people write it: "4 KiB".
func Bytes(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
