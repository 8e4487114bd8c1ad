package filemark_test

import (
	"testing"

	"postern/internal/filemark"
)

func TestMarksAreEqualForEqualContentsAlone(t *testing.T) {
	mark := func(texts ...string) filemark.Mark {
		var contents [][]byte
		for _, text := range texts {
			contents = append(contents, []byte(text))
		}
		return filemark.Of(contents...)
	}
	if again := mark("a", "b"); mark("a", "b") != again {
		t.Error("equal contents have different marks")
	}
	for _, other := range [][]string{{}, {""}, {"ab"}, {"a"}, {"b", "a"}, {"", "ab"}, {"a", "b", ""}, {"a", "c"}} {
		if mark("a", "b") == mark(other...) || mark(other...) == (filemark.Mark{}) {
			t.Errorf("%q has the mark of something else", other)
		}
	}
}
