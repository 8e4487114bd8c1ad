package filewatch_test

import (
	"testing"

	"postern/internal/platform/filewatch"
)

func TestMarksAreEqualForEqualContentsAlone(t *testing.T) {
	mark := func(texts ...string) filewatch.Mark {
		var contents [][]byte
		for _, text := range texts {
			contents = append(contents, []byte(text))
		}
		return filewatch.Of(contents...)
	}
	if again := mark("a", "b"); mark("a", "b") != again {
		t.Error("equal contents have different marks")
	}
	for _, other := range [][]string{{}, {""}, {"ab"}, {"a"}, {"b", "a"}, {"", "ab"}, {"a", "b", ""}, {"a", "c"}} {
		if mark("a", "b") == mark(other...) || mark(other...) == (filewatch.Mark{}) {
			t.Errorf("%q has the mark of something else", other)
		}
	}
}
