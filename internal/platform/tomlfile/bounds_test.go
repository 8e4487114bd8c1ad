package tomlfile_test

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/platform/tomlfile"
)

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestCheck(t *testing.T) {
	const most = tomlfile.MaxKeys
	for name, tc := range map[string]struct {
		text   string
		what   string // "" for good
		offset int
	}{
		"empty":                       {"", "", 0},
		"as many keys as may be":      {many(most, "k%d = 1\n"), "", 0},
		"one key more":                {many(most+1, "k%d = 1\n"), "a table of more than 250 keys", len(many(most, "k%d = 1\n"))},
		"the next table counts anew":  {many(most, "k%d = 1\n") + "[a]\n" + many(most, "k%d = 1\n"), "", 0},
		"a long list of tables":       {strings.Repeat("[[rule]]\nname = 1\n[rule.match]\n", 5000), "", 0},
		"many different tables":       {many(most+1, "[t%d]\n"), "more than 250 different tables", len(many(most, "[t%d]\n")) + 1},
		"many different lists":        {many(most+1, "[[t%d]]\n"), "more than 250 different tables", len(many(most, "[[t%d]]\n")) + 2},
		"a long key":                  {"a = 1\n" + strings.Repeat("a.", 16) + "a = 1", "a key of more than 16 parts", 6},
		"a long header":               {"[" + strings.Repeat("a.", 16) + "a]", "a key of more than 16 parts", 1},
		"a wide value":                {"a = {" + many(most+1, "k%d = 1, ") + "z = 1}", "a table of more than 250 keys", 0},
		"a wide value in lists":       {"a = [[{" + many(most+1, "k%d = 1, ") + "z = 1}]]", "a table of more than 250 keys", 0},
		"a long key in a value":       {"a = {b = {" + strings.Repeat("a.", 16) + "a = 1}}", "a key of more than 16 parts", 0},
		"a long list of values":       {"a = [" + strings.Repeat("1, ", 5000) + "]", "", 0},
		"what is no TOML is not ours": {"a = \n" + many(most+1, "k%d = 1\n"), "", 0},
		"a large file":                {strings.Repeat("#", tomlfile.MaxSize+1), "the file has 16777217 bytes, at most 16777216 are allowed", 0},
	} {
		over := tomlfile.Check([]byte(tc.text))
		switch {
		case over == nil && tc.what != "":
			t.Errorf("%s: nothing found, want %s", name, tc.what)
		case over != nil && (over.What != tc.what || over.Offset != tc.offset):
			t.Errorf("%s: %+v, want %s at %d", name, *over, tc.what, tc.offset)
		}
	}
}
