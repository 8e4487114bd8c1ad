package mail

import "testing"

func TestAListThatMayBeLong(t *testing.T) {
	list := []string{"a", "b", "c"}
	for _, c := range []struct {
		n, most int
		want    string
	}{{0, 2, ""}, {1, 2, "a"}, {2, 2, "a, b"}, {3, 2, "a, b and 1 more"}, {3, 1, "a and 2 more"}} {
		if got := AtMost(list[:c.n], c.most, ", "); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.most, c.n, got, c.want)
		}
	}
}
