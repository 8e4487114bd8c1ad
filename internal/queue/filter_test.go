package queue

import (
	"testing"
	"time"

	"postern/internal/mail"
)

func TestMatchAddress(t *testing.T) {
	for _, tt := range []struct {
		pattern, address string
		want             bool
	}{
		{"a@b.test", "a@b.test", true},
		{"A@B.Test", "a@b.test", true},
		{"a@b.test", "A@b.test", true},
		{`"a"@b.test`, "a@b.test", true},
		{"a@b.test", `"a"@b.test`, true},
		{"a@b.test.", "a@b.test", true},
		{"a@bücher.test", "a@xn--bcher-kva.test", true},
		{"b.test", "a@b.test", true},
		{"b.test", "a@sub.b.test", false},
		{"BÜCHER.test", "a@xn--bcher-kva.test", true},
		{"*@b.test", "a@b.test", true},
		{"*.b.test", "a@sub.b.test", true},
		{"*.b.test", "a@b.test", false},
		{"a?c@*", "abc@b.test", true},
		{"a?c@*", "ac@b.test", false},
		{"?@b.test", "é@b.test", true},
		{"*", "", true},
		{"<>", "", true},
		{"<>", "a@b.test", false},
		{"a@b@c", "a@b.test", false},
	} {
		var a mail.Address
		if tt.address != "" {
			a = mail.MustAddress(tt.address)
		}
		if got := MatchAddress(tt.pattern, a); got != tt.want {
			t.Errorf("MatchAddress(%q, %s) is %v, want %v", tt.pattern, tt.address, got, tt.want)
		}
	}
}

func FuzzMatchPattern(f *testing.F) {
	for _, seed := range [][2]string{{"*a*b?c*", "xxaxxbxc"}, {"****?", ""}, {"?", "é"}, {"a*", "a"}, {"*a", "ba"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 12 {
			return // the slow reference below is exponential
		}
		if got, want := matchPattern(pattern, s), slowMatch([]rune(pattern), []rune(s)); got != want {
			t.Errorf("matchPattern(%q, %q) is %v, want %v", pattern, s, got, want)
		}
	})
}

func slowMatch(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '*':
		return slowMatch(p[1:], s) || len(s) > 0 && slowMatch(p, s[1:])
	case len(s) == 0:
		return false
	}
	return (p[0] == '?' || p[0] == s[0]) && slowMatch(p[1:], s[1:])
}

func TestHistorySlot(t *testing.T) {
	seen := map[int]int{}
	for n := range 40 {
		slot := HistorySlot(n)
		if slot < 0 || slot >= HistoryKept || n > 0 && slot == 0 {
			t.Fatalf("attempt %d goes to slot %d", n, slot)
		}
		if last, used := seen[slot]; used && n-last != HistoryKept-1 {
			t.Errorf("attempt %d takes the slot of attempt %d, want that of %d", n, last, n-HistoryKept+1)
		}
		seen[slot] = n
	}
}

func TestKept(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
	if got := Kept(at); !got.Equal(at.Truncate(time.Microsecond)) || got.Location() != time.UTC {
		t.Errorf("Kept(%v) is %v", at, got)
	}
	if got := Kept(time.Time{}); !got.IsZero() {
		t.Errorf("Kept of no time is %v", got)
	}
}
