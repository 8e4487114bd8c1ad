package tomlfile

import "strings"

// Nearest returns the word of the list that s is most likely a slip for, "" when none is so near as its bound allows.
func Nearest(s string, words []string, bound func(word string) int) string {
	best, least := "", maxWord
	for _, w := range words {
		if d := distance(s, w); d < least && d <= bound(w) {
			best, least = w, d
		}
	}
	return best
}

// Slip is Nearest without regard to case, for at most two letters of a word of seven and more.
func Slip(s string, words []string) string {
	return Nearest(strings.ToLower(s), words, func(w string) int { return min(2, (len(w)-1)/3) })
}

// maxWord is how long a word may be that is compared: a longer one is no slip.
const maxWord = 64

// distance is how many letters must be added, removed, changed or swapped with a neighbour to make a of b.
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	previous, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], previous[j-2]+1)
			}
		}
		previous, last, row = last, row, previous
	}
	return last[len(b)]
}
