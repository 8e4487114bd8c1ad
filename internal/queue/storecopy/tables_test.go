package storecopy

import "testing"

func TestSpans(t *testing.T) {
	one, two := table("a", 1, 1, "id:i v:t?"), table("b", 2, 1, "kind:t key:t v:b")
	for _, c := range []struct {
		t    *Table
		in   Span
		want string
		args int
	}{
		{&one, Span{}, "", 0},
		{&one, Span{After: []any{int64(1)}}, " WHERE (id) > (?1)", 1},
		{&one, Span{To: []any{int64(1)}}, " WHERE (id) <= (?1)", 1},
		{&two, Span{After: []any{"k", "a"}, To: []any{"k", "b"}}, " WHERE (kind, key) > (?1, ?2) AND (kind, key) <= (?3, ?4)", 4},
	} {
		if text, args := c.t.Where(c.in); text != c.want || len(args) != c.args {
			t.Errorf("%+v: %q with %d arguments", c.in, text, len(args))
		}
	}
}

// TestDigestsTellRowsApart: what a table comes to is another whenever a value is another, and the same where only the
// name of a file is.
func TestDigestsTellRowsApart(t *testing.T) {
	of := table("a", 1, 1, "id:i v:t? w:t? b:b file:t?=")
	sum := func(rows ...[]any) string {
		d := newDigest()
		d.add(&of, rows)
		return d.text()
	}
	row := func(v, w any, b string, file any) []any { return []any{int64(1), v, w, []byte(b), file} }
	seen := map[string]int{}
	for i, rows := range [][][]any{{}, {row("a", "bc", "", nil)}, {row("ab", "c", "", nil)}, {row("ab", nil, "c", nil)}, {row(nil, "ab", "c", nil)},
		{row("ab", "", "c", nil)}, {row("ab", "", "c", "x")}, {row("ab", "", "c", "x"), row("ab", "", "c", "x")}} {
		text := sum(rows...)
		if other, taken := seen[text]; taken {
			t.Errorf("%d and %d come to the same", i, other)
		}
		seen[text] = i
	}
	a, b := row("a", "b", "c", "1.body"), row("a", "b", "c", "77")
	if sum(a) != sum(b) || !of.equal(a, b) {
		t.Error("the name of a file tells rows apart")
	}
	if of.equal(a, row("a", "b", "c", nil)) || of.equal(a, row("a", "b", "d", "1.body")) || of.equal(a, row("a", nil, "c", "1.body")) {
		t.Error("rows that differ are equal")
	}
}

// TestAStandingClosesAStore: a store without one opens.
func TestAStandingClosesAStore(t *testing.T) {
	if err := (&Standing{ID: "x"}).Closed("s"); err != nil {
		t.Error(err)
	}
}
