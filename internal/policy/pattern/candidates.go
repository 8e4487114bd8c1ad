package pattern

import "math/bits"

// Candidates is a set of rules, one bit each: rules are positions, and the slice has a bit for every one.
type Candidates []uint64

// Add adds rules.
func (c Candidates) Add(rules []int32) {
	for _, r := range rules {
		c[r/64] |= 1 << (r % 64)
	}
}

// All yields the rules in the order of the file.
func (c Candidates) All(yield func(int) bool) {
	for i, word := range c {
		for ; word != 0; word &= word - 1 {
			if !yield(i*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}
