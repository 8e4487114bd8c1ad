package headers

import "testing"

func TestNumbersOfHopsRead(t *testing.T) {
	for _, tt := range []struct {
		hops []int
		want string
	}{
		{[]int{3}, "hop 3"}, {[]int{1, 2}, "hops 1 and 2"}, {[]int{1, 2, 3}, "hops 1-3"}, {[]int{1, 3, 5}, "hops 1, 3 and 5"},
		{[]int{1, 2, 3, 7}, "hops 1-3 and 7"}, {[]int{1, 4, 5, 6, 9, 10}, "hops 1, 4-6, 9 and 10"},
	} {
		if got := numbers(tt.hops); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.hops, got, tt.want)
		}
	}
}
