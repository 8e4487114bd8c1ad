package rulelist

import (
	"testing"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// TestLargeListsAreHeldOnce: the rules that use a list share it, with case or without.
func TestLargeListsAreHeldOnce(t *testing.T) {
	p := &tomlfile.Problems{Source: []byte("[[list]]\nname = 'all'\nvalues = ['partner.test', 'Dr@other.test']\n")}
	lists := Read(p, p.Tree("", ""))
	b := NewBook(lists)
	for range 300 {
		if n := b.Number(b.Find("ALL"), false); n != 0 {
			t.Fatalf("it has the number %d too", n)
		}
	}
	if len(b.entries) != 1 {
		t.Errorf("the list is held %d times", len(b.entries))
	}
	b.Number(b.Find("all"), true)
	b.Make()
	for address, want := range map[string]int{"x@partner.test": 2, "Dr@other.test": 2, "dr@other.test": 1, "x@nobody.test": 0} {
		a, got := pattern.NewAddress(mail.MustAddress(address)), 0
		for range b.Of(&a).All {
			got++
		}
		if got != want {
			t.Errorf("%s is in %d lists, want %d", address, got, want)
		}
	}
}
